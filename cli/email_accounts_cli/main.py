"""The commands of `email-accounts`; each imports its modules when it runs."""

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

from email_accounts_cli import INTERRUPTED, completion
from email_accounts_cli.terminal import CommandError, output_written

if TYPE_CHECKING:
    from email_accounts.models.upload import Pairs
    from email_accounts_cli.stack import Stack

_DURATION = re.compile(r"(\d+)([dhm])")
_EPOCH = re.compile(r"\d{9,}\.?\d*")
_SECONDS = {"d": 86_400, "h": 3_600, "m": 60}
_STATUSES = (
    "running",
    "complete",
    "partial",
    "failed",
    "refused",
    "stopped",
    "unfinished",
    "broken",
)


class _Commands(click.Group):
    """Commands that report an error in one line, without a traceback."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the command line, `--help` and `--version` included."""
        with output_written():
            return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401  as click has it
        """Run a command."""
        with output_written():
            try:
                return super().invoke(ctx)
            except (KeyboardInterrupt, click.Abort):  # the second by a question
                ctx.exit(INTERRUPTED)
            except OSError:
                raise
            except Exception as error:
                from email_accounts_cli.errors import explained  # noqa: PLC0415  only on failure

                if text := explained(error):
                    raise CommandError(text) from None
                raise


class Pair(click.ParamType[tuple[str, str]]):
    """Two texts around the last `=`."""

    name = "pair"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, str]:
        """Split `provider=google`."""
        first, equals, second = value.rpartition("=")
        if not (equals and first.strip()):
            self.fail(f"write it as {param.metavar if param else 'NAME=VALUE'}.", param, ctx)
        return first.strip(), second.strip()


class Moment(click.ParamType[float]):
    """A time or an age, as seconds since the epoch."""

    name = "time"

    def convert(
        self, value: str, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Read `7d`, `12h`, `2026-11-01` or `2026-11-01T08:00`; local time without a zone.

        A number is seconds since the epoch, as in the cursor that `list` prints.
        """
        if _EPOCH.fullmatch(value):
            return float(value)
        if ago := _DURATION.fullmatch(value):
            return time.time() - int(ago[1]) * _SECONDS[ago[2]]
        try:
            return datetime.fromisoformat(value).astimezone().timestamp()
        except ValueError:
            self.fail(
                f"{value} is not a time: write 7d, 12h, 2026-11-01 or 2026-11-01T08:00.", param, ctx
            )


_as_json = click.option(
    "--json", "as_json", is_flag=True, help="Print JSON for programs, one document per line."
)


_set = click.option(
    "--set",
    "values",
    metavar="FIELD=VALUE",
    type=Pair(),
    multiple=True,
    help="A value for blank cells of every row, such as provider=google; never a password. "
    "Repeatable.",
)
_map = click.option(
    "--map",
    "columns",
    metavar="COLUMN=FIELD",
    type=Pair(),
    multiple=True,
    help="What a column holds, such as 'Mot de passe=password'; nothing after = ignores the "
    "column. Repeatable.",
)


def is_interactive() -> bool:
    """Return whether a person can answer a question."""
    return sys.stdin.isatty() and sys.stderr.isatty()


def _of_a_stack(command: Callable[..., int]) -> Callable[..., None]:
    """Add the options that name a stack, pass the stack, and exit with the command's code."""

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
        from email_accounts_cli.stack import find_stack  # noqa: PLC0415  not for --help

        sys.exit(command(stack=find_stack(stack, profile, region), **rest))

    return run


@click.group(
    cls=_Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 success; 1 done, with a problem (see each command's help); "
    "2 not done; 130 interrupted.",
)
@click.version_option(package_name="email-accounts-importer", message="%(prog)s %(version)s")
def commands() -> None:
    """Connect mailboxes in bulk from a file, and operate the deployment.

    Commands that need a deployment find it by its stack name and use your AWS profile and
    region; set AWS_ENDPOINT_URL for a local cloud. No password is ever shown or asked for.
    """
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # a terminal may lack characters


# Files on this computer


@commands.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path())
@click.option(
    "--preview",
    metavar="N",
    type=click.IntRange(min=0),
    default=0,
    help="Show the first N accounts as they would be sent, passwords as ***.",
)
@_set
@_map
@click.option("--offline", is_flag=True, help="Do not look up mail servers by DNS.")
@click.option(
    "--sign-in",
    "signs_in",
    is_flag=True,
    help="Also sign in to each mailbox at its own mail server.",
)
@click.option(
    "--sample",
    metavar="N",
    type=click.IntRange(min=1),
    help="Try only N mailboxes, spread over the file.",
)
@_as_json
def check(  # noqa: PLR0913  options of the command
    files: tuple[str, ...],
    preview: int,
    values: "Pairs",
    columns: "Pairs",
    sample: int | None,
    *,
    offline: bool,
    signs_in: bool,
    as_json: bool,
) -> None:
    """Validate files locally, as an upload would be.

    FILE is a path, or - for standard input. Only domains of rows without mail servers leave this
    computer, for DNS lookups. A pipe is checked offline. With --sign-in, each mailbox is tried
    once; --json prints the findings as a second line.

    The exit code is 0 if all rows are accepted and sign in, 1 if some do not, and 2 if a whole
    file is refused or cannot be read.

    Example: email-accounts check --preview 1 accounts.csv
    """
    from email_accounts_cli.check import check_files  # noqa: PLC0415  not for --help
    from email_accounts_cli.validation import given_options  # noqa: PLC0415  as above

    if offline and signs_in:
        raise click.UsageError("--sign-in uses the network: leave out --offline.")
    if signs_in and "-" in files:
        raise click.UsageError("--sign-in reads a file twice: name it instead of -.")
    if sample and not signs_in:
        raise click.UsageError("--sample needs --sign-in.")
    sys.exit(
        check_files(
            files,
            preview,
            given_options(values, columns),
            offline=offline,
            as_json=as_json,
            signs_in=signs_in,
            sample=sample,
        )
    )


@commands.command()
@click.option(
    "--format",
    "kind",
    type=click.Choice(["csv", "xlsx"]),
    help="CSV, or an Excel workbook with drop-down lists. Default: from FILE's extension, or csv.",
)
@click.option("--output", metavar="FILE", type=click.Path(path_type=Path), help="Default: stdout.")
@_as_json
def template(kind: str | None, output: Path | None, *, as_json: bool) -> None:
    """Write an accounts file to fill in.

    It has the 15 fields, one example row, and what to write in each field. The example has no
    passwords, so it is rejected if you leave it in the file. With --json, prints the fields
    instead, one per line, with an example and the rules of each.

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
    shell_complete=completion.workspaces,
    help="The workspace whose API key is used. Default: default.",
)
@_set
@_map
@click.option("--follow", is_flag=True, help="Watch the imports until they end.")
@click.option("--strict", is_flag=True, help="Upload nothing unless every row is accepted.")
@click.option("--anyway", is_flag=True, help="Upload without checking the files first.")
@click.option(
    "--resend",
    is_flag=True,
    help="Send accounts that are connected already, too, for example with new passwords.",
)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@_of_a_stack
def drop(  # noqa: PLR0913  one per option
    stack: "Stack",
    files: tuple[Path, ...],
    workspace: str,
    values: "Pairs",
    columns: "Pairs",
    *,
    follow: bool,
    strict: bool,
    anyway: bool,
    resend: bool,
    yes: bool,
    as_json: bool,
) -> int:
    """Check files, upload them, and optionally watch their imports.

    On a terminal it shows the result of the check and asks before it uploads. If one file is
    refused, nothing is uploaded. Large files are uploaded in parts, and failed parts are retried.
    With --follow, Ctrl-C stops watching; the imports continue.

    The exit code is 0 if everything is uploaded; with --follow, 1 if some row is not connected.

    Example: email-accounts drop --follow --workspace north accounts.csv
    """
    from email_accounts_cli.drop import drop as drop_files  # noqa: PLC0415  not for --help
    from email_accounts_cli.validation import given_options  # noqa: PLC0415  as above

    if strict and anyway:
        raise click.UsageError("--strict needs the check that --anyway skips: use one of them.")
    return drop_files(
        stack,
        files,
        workspace,
        anyway=anyway,
        follow=follow,
        as_json=as_json,
        options=given_options(values, columns, resend=resend),
        strict=strict,
        ask=not (yes or as_json) and is_interactive(),
    )


@commands.command()
@click.argument("imports", metavar="[IMPORT]...", nargs=-1, shell_complete=completion.imports)
@_of_a_stack
def watch(stack: "Stack", imports: tuple[str, ...], *, as_json: bool) -> int:
    """Watch imports until they end.

    IMPORT is an id from `list`, or its first digits; without one, all running imports are
    watched. Ctrl-C stops watching; imports continue.
    Each import ends with the next command to run, if there is one. The exit code is 1 if some
    row is not connected.

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
@click.option("--before", metavar="TIME", type=Moment(), help="Only older imports: the next page.")
@click.option(
    "--status",
    metavar="STATUS",
    type=click.Choice(_STATUSES),
    help=f"Only imports with this status: {', '.join(_STATUSES[:-1])} or {_STATUSES[-1]}.",
)
@click.option(
    "--workspace",
    metavar="NAME",
    shell_complete=completion.workspaces,
    help="Only imports of this workspace.",
)
@click.option(
    "--limit",
    metavar="N",
    type=click.IntRange(min=1),
    default=20,
    help="At most this many. Default: 20.",
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

    If there are more, the last line shows how to get the next page (with --json, `next`).

    Example: email-accounts list --since 30d --status partial
    """
    from email_accounts_cli.show import Wanted, list_imports  # noqa: PLC0415  as above

    wanted = Wanted(since, before, status, workspace)
    return list_imports(stack, wanted, limit, as_json=as_json)


@commands.command()
@click.argument("import_", metavar="IMPORT", shell_complete=completion.imports)
@_of_a_stack
def show(stack: "Stack", import_: str, *, as_json: bool) -> int:
    """Show the details of an import.

    File, counts, execution, reports, batches with their request ids, and a timeline.

    Example: email-accounts show 0cd944f0
    """
    from email_accounts_cli.show import show as show_import  # noqa: PLC0415  as above

    return show_import(stack, import_, as_json=as_json)


@commands.command()
@click.argument("import_", metavar="IMPORT", shell_complete=completion.imports)
@click.option(
    "--output",
    metavar="DIR",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder to copy to. Default: one named after the import's id.",
)
@click.option("--open", "opened", is_flag=True, help="Open the report in a browser afterwards.")
@_of_a_stack
def report(
    stack: "Stack", import_: str, output: Path | None, *, opened: bool, as_json: bool
) -> int:
    """Download the reports of an import.

    Example: email-accounts report 0cd944f0 --open
    """
    from email_accounts_cli.report import report as fetch_report  # noqa: PLC0415  as above

    return fetch_report(stack, import_, output, opened=opened, as_json=as_json)


@commands.command()
@click.argument("import_", metavar="IMPORT", shell_complete=completion.imports)
@click.option(
    "--output",
    metavar="FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Default: failed-<name of the upload>, with the ending of its format.",
)
@_of_a_stack
def failed(stack: "Stack", import_: str, output: Path | None, *, as_json: bool) -> int:
    """Write the failed rows to a file, to fix and drop again.

    It has the failed, rejected and unsent rows in the format of the upload, with its columns (and
    sheets) and three more: `problem`, `fix` and `original_row`, which are ignored when you drop
    it. A password that a spreadsheet changed is written as ########: type it again. The file
    holds passwords, so only you can read it. Duplicates and unconfirmed rows are not included.

    Example: email-accounts failed 0cd944f0 --output again.csv
    """
    from email_accounts_cli.failed import failed as write_failed  # noqa: PLC0415  as above

    return write_failed(stack, import_, output, as_json=as_json)


# Stopping and recovering


@commands.command()
@click.argument("import_", metavar="IMPORT", shell_complete=completion.imports)
@_of_a_stack
def resume(stack: "Stack", import_: str, *, as_json: bool) -> int:
    """Resume an import that stopped early.

    For an import that was stopped (for example by a wrong API key), that broke, or that did not
    finish by its deadline: fix the cause first. Sends the remaining rows and checks unconfirmed
    ones; nothing that arrived is sent again. The old report is deleted; a second notification
    covers all rows. Failed rows stay failed: use `failed` for them.

    The exit code is 1 if there is nothing to resume: the import is still running, the file was
    refused, or every row already has a result.

    Example: email-accounts resume 0cd944f0
    """
    from email_accounts_cli.recovery import resume as resume_import  # noqa: PLC0415  as above

    return resume_import(stack, import_, as_json=as_json)


@commands.command()
@click.argument("import_", metavar="IMPORT", shell_complete=completion.imports)
@_of_a_stack
def stop(stack: "Stack", import_: str, *, as_json: bool) -> int:
    """Stop a running import and have its report written.

    No further batch is sent. Batches already sent are not checked again: their rows are reported
    with what is known. The report follows within minutes; `resume` continues the import later.

    The exit code is 1 if it cannot be stopped: it has ended, or is still being validated.

    Example: email-accounts stop 0cd944f0
    """
    from email_accounts_cli.recovery import stop as stop_import  # noqa: PLC0415  as above

    return stop_import(stack, import_, as_json=as_json)


@commands.command()
@_of_a_stack
def redrive(stack: "Stack", *, as_json: bool) -> int:
    """Move dead letters back to their queues.

    Dead letters are uploads that could not be processed, and broken imports whose report could
    not be written. Fix the cause first. Nothing is imported or reported twice.

    Example: email-accounts redrive
    """
    from email_accounts_cli.recovery import redrive as redrive_letters  # noqa: PLC0415  as above

    return redrive_letters(stack, as_json=as_json)


@commands.command()
@_of_a_stack
def doctor(stack: "Stack", *, as_json: bool) -> int:
    """Check a deployment and suggest fixes.

    Checks the stack with its outputs and parameters, subscriptions, the encryption key, API keys
    (one read-only call each), the parameters of their account lists, queues and dead letters,
    alarms, this computer's clock, and versions. The exit code is 1 if there is something to fix.

    Example: email-accounts doctor
    """
    from email_accounts_cli.doctor import doctor as check_deployment  # noqa: PLC0415  as above

    return check_deployment(stack, as_json=as_json)


# Workspaces


@commands.group(cls=_Commands)
def workspace() -> None:
    """Manage workspaces: each has one API key.

    Files under uploads/NAME/ belong to the workspace NAME, those directly under uploads/ to
    default.
    """


@workspace.command("add")
@click.argument("name", shell_complete=completion.workspaces)
@click.option(
    "--key-file",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A file with the API key. Default: stdin; on a terminal, you are prompted (input hidden).",
)
@click.option("--replace", is_flag=True, help="Replace the existing key.")
@_of_a_stack
def add_workspace(
    stack: "Stack", name: str, key_file: Path | None, *, replace: bool, as_json: bool
) -> int:
    """Add a workspace, or set its key, and try the key.

    The key is not an argument, because shells and process lists show arguments. The exit code
    is 1 if the key was saved but does not work.

    Example: email-accounts workspace add north < key.txt
    """
    from email_accounts_cli.workspaces import add  # noqa: PLC0415  as above

    return add(stack, name, key_file, replace=replace, as_json=as_json)


@workspace.command("list")
@_of_a_stack
def list_workspaces(stack: "Stack", *, as_json: bool) -> int:
    """List workspaces: their keys and who gets their results.

    Example: email-accounts workspace list
    """
    from email_accounts_cli.workspaces import listed  # noqa: PLC0415  as above

    return listed(stack, as_json=as_json)


@workspace.command("remove")
@click.argument("name", shell_complete=completion.workspaces)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@_of_a_stack
def remove_workspace(stack: "Stack", name: str, *, yes: bool, as_json: bool) -> int:
    """Remove a workspace. AWS can restore its key for seven days.

    Example: email-accounts workspace remove north --yes
    """
    from email_accounts_cli.workspaces import remove  # noqa: PLC0415  as above

    return remove(stack, name, sure=yes, as_json=as_json)


@workspace.command()
@click.argument("name", shell_complete=completion.workspaces)
@click.argument("address")
@_of_a_stack
def notify(stack: "Stack", name: str, address: str, *, as_json: bool) -> int:
    """Send the results of a workspace to an email address.

    AWS asks the address to confirm. It then gets the results of this workspace only. Addresses
    subscribed without a filter, such as NotificationEmail, still get all results.

    Example: email-accounts workspace notify north team@example.com
    """
    from email_accounts_cli.workspaces import notify as add_recipient  # noqa: PLC0415  as above

    return add_recipient(stack, name, address, as_json=as_json)


@workspace.command()
@click.argument("name", default="default", shell_complete=completion.workspaces)
@_of_a_stack
def test(stack: "Stack", name: str, *, as_json: bool) -> int:
    """Try the key of a workspace, and test its account list.

    It makes a few read-only calls, and shows and stores which parameters of the account list
    work (page, sort, status, search). Imports use them to read a long list faster. The exit code
    is 1 if the key does not work.

    Example: email-accounts workspace test north
    """
    from email_accounts_cli.workspaces import try_workspace  # noqa: PLC0415  as above

    return try_workspace(stack, name, as_json=as_json)
