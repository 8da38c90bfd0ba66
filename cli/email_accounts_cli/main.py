"""The commands of `email-accounts`; each imports what it needs when it is run."""

import re
import sys
import time
from collections.abc import Callable
from datetime import datetime
from functools import wraps
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from email_accounts_cli import INTERRUPTED
from email_accounts_cli.terminal import CommandError, output_written

if TYPE_CHECKING:
    from email_accounts_cli.stack import Stack

_MEND_THE_WAY = "Look at the network and, if it is set, at AWS_ENDPOINT_URL: is the cloud there up?"
_DURATION = re.compile(r"(\d+)([dhm])")
_EPOCH = re.compile(r"\d{9,}\.?\d*")
_SECONDS = {"d": 86_400, "h": 3_600, "m": 60}
_STATUSES = ("running", "complete", "partial", "refused", "stopped", "unfinished", "broken")


class _Commands(click.Group):
    """Commands that end without a traceback, whatever stands in their way."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Read the command line, and answer `--help` and `--version`."""
        with output_written():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401  as click has it
        """Run a command."""
        with output_written():
            return self._invoke(ctx)

    def _invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401  as click has it
        try:
            return super().invoke(ctx)
        except (KeyboardInterrupt, click.Abort):  # the second by a question
            ctx.exit(INTERRUPTED)
        except OSError:
            raise
        except Exception as error:
            if said := _said_by_others(error):
                raise CommandError(said) from None
            raise


def _said_by_others(error: Exception) -> str:
    """Return what AWS or the domain says, and a cure; "" for an error of this program."""
    if "botocore" in sys.modules:
        from boto3.exceptions import Boto3Error  # noqa: PLC0415  loaded already
        from botocore import exceptions  # noqa: PLC0415  loaded already

        if isinstance(error, exceptions.NoCredentialsError | exceptions.TokenRetrievalError):
            return "AWS does not know you: sign in (aws sso login, aws configure), or use --profile"
        if isinstance(error, exceptions.ClientError):
            said = error.response["Error"]
            return f"AWS refuses {error.operation_name}: {said.get('Message') or said['Code']}"
        if isinstance(error, exceptions.ConnectionError | exceptions.HTTPClientError):
            return f"AWS cannot be reached: {error}. {_MEND_THE_WAY}"
        if isinstance(error, exceptions.BotoCoreError | Boto3Error):
            return f"AWS cannot be used: {error}"
    from email_accounts.errors import ImporterError  # noqa: PLC0415  only when something failed

    return str(error) if isinstance(error, ImporterError) else ""


class Moment(click.ParamType[float]):
    """A time, or how long ago; in seconds since the epoch."""

    name = "time"

    def convert(
        self,
        value: str | float,
        param: click.Parameter | None,
        ctx: click.Context | None,
    ) -> float:
        """Read `7d`, `12h`, `2026-11-01` or `2026-11-01T08:00`; without a zone it is local.

        A number is taken as it is: `list` names the next page by one, because it is exact.
        """
        if isinstance(value, float) or _EPOCH.fullmatch(value):
            return float(value)
        if ago := _DURATION.fullmatch(value):
            return time.time() - int(ago[1]) * _SECONDS[ago[2]]
        try:
            return datetime.fromisoformat(value).astimezone().timestamp()
        except ValueError:
            self.fail(
                f"{value} is no time: write 7d, 12h, 2026-11-01 or 2026-11-01T08:00.", param, ctx
            )


_as_json = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON for programs, one document per line."
)


def _of_a_stack(command: Callable[..., int]) -> Callable[..., None]:
    """Give a command the options that name a stack, and the stack; end with its exit code."""

    @click.option(
        "--stack",
        metavar="NAME",
        envvar="STACK_NAME",
        default="",
        help="The stack. Default: STACK_NAME.",
    )
    @click.option(
        "--profile", metavar="NAME", default="", help="The AWS profile. Default: AWS_PROFILE."
    )
    @click.option(
        "--region",
        metavar="NAME",
        default="",
        help="The AWS region. Default: AWS_REGION, else the profile's.",
    )
    @_as_json
    @wraps(command)
    def run(*, stack: str, profile: str, region: str, **rest: Any) -> None:  # noqa: ANN401  by name
        from email_accounts_cli.stack import Where, find_stack  # noqa: PLC0415  not for --help

        sys.exit(command(stack=find_stack(Where(stack, profile, region)), **rest))

    return run


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 all is well; 1 done, but something is not well; 2 not done; "
    "130 interrupted. What is not well is said in each command's help.",
)
@click.version_option(package_name="email-accounts-importer", message="%(prog)s %(version)s")
def commands() -> None:
    """Connect the mailboxes of a file in bulk, and look after it.

    Commands that need a deployment find it by the name of its stack and use your AWS profile
    and region; AWS_ENDPOINT_URL leads them to a local cloud. No password is shown or asked for.
    """
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # not every terminal has every character


# Before a file leaves this computer


@commands.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path())
@click.option(
    "--preview",
    metavar="N",
    type=click.IntRange(min=0),
    default=0,
    help="Show the first N accounts as they would be sent, passwords as ***.",
)
@_as_json
def check(files: tuple[str, ...], preview: int, *, as_json: bool) -> None:
    """Judge files as an upload would be judged. Nothing leaves this computer.

    The exit code is 0 where all rows are accepted, 1 where some are rejected or duplicates,
    and 2 where a file as a whole is refused or cannot be read.

    Example: email-accounts check --preview 1 accounts.csv
    """
    from email_accounts_cli.check import check_files  # noqa: PLC0415  not for --help

    sys.exit(check_files(files, preview, as_json=as_json))


@commands.command()
@click.option(
    "--format",
    "kind",
    type=click.Choice(["csv", "xlsx"]),
    help="CSV, or an Excel workbook with lists to choose from. Default: by FILE's ending, or csv.",
)
@click.option("--output", metavar="FILE", type=click.Path(path_type=Path), help="Default: stdout.")
@_as_json
def template(kind: str | None, output: Path | None, *, as_json: bool) -> None:
    """Write an accounts file to fill in.

    It has the 15 fields, one example row, and what to write into each field. The example has
    no passwords, so it is rejected, and nothing of it is sent, where it is left in the file.
    With --json the fields are printed instead, one per line, with their example and rules.

    Example: email-accounts template --output accounts.xlsx
    """
    from email_accounts_cli.template import write_template  # noqa: PLC0415  as above

    sys.exit(write_template(kind, output, as_json=as_json))


# Imports


@commands.command()
@click.argument(
    "files",
    metavar="FILE...",
    nargs=-1,
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
)
@click.option(
    "--workspace",
    metavar="NAME",
    default="default",
    help="The workspace whose API key is used. Default: default.",
)
@click.option("--follow", is_flag=True, help="Watch the imports until they are answered.")
@click.option("--anyway", is_flag=True, help="Upload without checking the files first.")
@_of_a_stack
def drop(  # noqa: PLR0913  one per option
    stack: "Stack",
    files: tuple[Path, ...],
    workspace: str,
    *,
    follow: bool,
    anyway: bool,
    as_json: bool,
) -> int:
    """Check files, upload them, and follow them if wanted.

    Where one file is refused as a whole nothing is uploaded. A large file goes up in parts;
    a part that fails is sent again. Ctrl-C while following stops the looking, not the import.

    The exit code is 0 when all is uploaded; with --follow, 1 where some row is not connected.

    Example: email-accounts drop --follow --workspace north accounts.csv
    """
    from email_accounts_cli.drop import drop as drop_files  # noqa: PLC0415  not for --help

    return drop_files(stack, files, workspace, anyway=anyway, follow=follow, as_json=as_json)


@commands.command()
@click.argument("imports", metavar="[IMPORT]...", nargs=-1)
@_of_a_stack
def watch(stack: "Stack", imports: tuple[str, ...], *, as_json: bool) -> int:
    """Follow imports to their end: those named, or all that run now.

    IMPORT is an id as `list` shows it, or its beginning. Ctrl-C stops the looking, not the
    import. The exit code is 1 where some row is not connected.

    Example: email-accounts watch 0cd944f0
    """
    from email_accounts_cli.watch import watch as watch_imports  # noqa: PLC0415  as above

    return watch_imports(stack, imports, as_json=as_json)


@commands.command("list")
@click.option(
    "--since",
    metavar="TIME",
    type=Moment(),
    default="7d",
    help="How far back: 7d, 12h, 2026-11-01 or 2026-11-01T08:00. Default: 7d.",
)
@click.option("--before", metavar="TIME", type=Moment(), help="Only older ones: the next page.")
@click.option("--status", type=click.Choice(_STATUSES), help="Only those that stand like this.")
@click.option("--workspace", metavar="NAME", help="Only those of this workspace.")
@click.option(
    "--limit",
    metavar="N",
    type=click.IntRange(min=1),
    default=20,
    help="How many at most. Default: 20.",
)
@_of_a_stack
def list_(  # noqa: PLR0913  one per option
    stack: "Stack",
    *,
    since: float,
    before: float | None,
    status: str | None,
    workspace: str | None,
    limit: int,
    as_json: bool,
) -> int:
    """List imports, newest first.

    Where there are more, the last line says how to get the next page.

    Example: email-accounts list --since 30d --status partial
    """
    from email_accounts_cli.show import Wanted, list_imports  # noqa: PLC0415  as above

    wanted = Wanted(since, before, status, workspace)
    return list_imports(stack, wanted, limit, as_json=as_json)


@commands.command()
@click.argument("import_", metavar="IMPORT")
@_of_a_stack
def show(stack: "Stack", import_: str, *, as_json: bool) -> int:
    """Tell everything that is known of an import.

    File, counts, execution, report addresses, batches with their request ids, and a time line.

    Example: email-accounts show 0cd944f0
    """
    from email_accounts_cli.show import show as show_import  # noqa: PLC0415  as above

    return show_import(stack, import_, as_json=as_json)


@commands.command()
@click.argument("import_", metavar="IMPORT")
@click.option(
    "--output",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder to copy into. Default: one named by the import's id.",
)
@click.option("--open", "opened", is_flag=True, help="Open the report for people afterwards.")
@_of_a_stack
def report(
    stack: "Stack", import_: str, output: Path | None, *, opened: bool, as_json: bool
) -> int:
    """Copy the reports on an import to this computer.

    Example: email-accounts report 0cd944f0 --open
    """
    from email_accounts_cli.report import report as fetch_report  # noqa: PLC0415  as above

    return fetch_report(stack, import_, output, opened=opened, as_json=as_json)


@commands.command()
@click.argument("import_", metavar="IMPORT")
@click.option(
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Default: failed-<name of the upload>.csv.",
)
@_of_a_stack
def failed(stack: "Stack", import_: str, output: Path | None, *, as_json: bool) -> int:
    """Write the rows that failed into a file to mend and drop again.

    It has the failed and the rejected rows, with the columns of the upload and one more,
    `problem`, which is ignored when it is dropped. CSV keeps its delimiter; JSON and workbooks
    become CSV with the same columns. It holds passwords, so only you can read it. Duplicates and
    unconfirmed rows are left out.

    Example: email-accounts failed 0cd944f0 --output again.csv
    """
    from email_accounts_cli.failed import failed as write_failed  # noqa: PLC0415  as above

    return write_failed(stack, import_, output, as_json=as_json)


# When something stopped


@commands.command()
@click.argument("import_", metavar="IMPORT")
@_of_a_stack
def resume(stack: "Stack", import_: str, *, as_json: bool) -> int:
    """Take an import up again after its answer.

    What was left is sent and found out. It is for an import that was stopped (the API key was
    wrong), broken off, or not finished by its deadline: mend the cause first. What is known to
    have arrived is not sent again, and a second answer tells of all rows. What failed stays
    failed: that is for `failed`.

    The exit code is 1 where there is nothing to take up: there is no answer yet, the file was
    refused, or what became of each row is known.

    Example: email-accounts resume 0cd944f0
    """
    from email_accounts_cli.recovery import resume as resume_import  # noqa: PLC0415  as above

    return resume_import(stack, import_, as_json=as_json)


@commands.command()
@_of_a_stack
def redrive(stack: "Stack", *, as_json: bool) -> int:
    """Put dead letters back where they came from.

    They are uploads that could not be taken in, and broken imports that could not be answered.
    Mend the cause first. What was taken in or answered meanwhile is not imported or answered twice.

    Example: email-accounts redrive
    """
    from email_accounts_cli.recovery import redrive as redrive_letters  # noqa: PLC0415  as above

    return redrive_letters(stack, as_json=as_json)


@commands.command()
@_of_a_stack
def doctor(stack: "Stack", *, as_json: bool) -> int:
    """Look a deployment over: each finding with its cure.

    Looks at the stack with its outputs and parameters, subscriptions, the key that data is
    encrypted with, API keys (one harmless call each), queues and dead letters, alarms, this
    computer's clock, and versions. The exit code is 1 where something is to be done.

    Example: email-accounts doctor
    """
    from email_accounts_cli.doctor import doctor as look_over  # noqa: PLC0415  as above

    return look_over(stack, as_json=as_json)


# Workspaces


@commands.group(cls=_Commands)
def workspace() -> None:
    """Look after workspaces: one API key each.

    Files under uploads/NAME/ belong to the workspace NAME, those directly under uploads/ to
    default.
    """


@workspace.command("add")
@click.argument("name")
@click.option(
    "--key-file",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The file with the API key. Default: stdin; on a terminal it is typed unseen.",
)
@click.option("--replace", is_flag=True, help="Put it in the place of the key that is there.")
@_of_a_stack
def add_workspace(
    stack: "Stack", name: str, key_file: Path | None, *, replace: bool, as_json: bool
) -> int:
    """Add a workspace, or give one its key.

    The key is no argument, because arguments are remembered and seen by others.

    Example: email-accounts workspace add north < key.txt
    """
    from email_accounts_cli.workspaces import add  # noqa: PLC0415  as above

    return add(stack, name, key_file, replace=replace, as_json=as_json)


@workspace.command("list")
@_of_a_stack
def list_workspaces(stack: "Stack", *, as_json: bool) -> int:
    """List the workspaces, and whether they have a key.

    Example: email-accounts workspace list
    """
    from email_accounts_cli.workspaces import listed  # noqa: PLC0415  as above

    return listed(stack, as_json=as_json)


@workspace.command("remove")
@click.argument("name")
@click.option("--yes", is_flag=True, help="Do not ask whether this is meant.")
@_of_a_stack
def remove_workspace(stack: "Stack", name: str, *, yes: bool, as_json: bool) -> int:
    """Remove a workspace. AWS can bring its key back for seven days.

    Example: email-accounts workspace remove north --yes
    """
    from email_accounts_cli.workspaces import remove  # noqa: PLC0415  as above

    return remove(stack, name, sure=yes, as_json=as_json)


@workspace.command()
@click.argument("name", default="default")
@_of_a_stack
def test(stack: "Stack", name: str, *, as_json: bool) -> int:
    """Make one harmless call with the key of a workspace.

    It lists one account. The exit code is 1 where the key does not work.

    Example: email-accounts workspace test north
    """
    from email_accounts_cli.workspaces import try_workspace  # noqa: PLC0415  as above

    return try_workspace(stack, name, as_json=as_json)
