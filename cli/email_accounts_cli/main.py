"""The commands of `email-accounts`; each imports what it needs when it is run."""

import sys
from pathlib import Path
from typing import Any

import click

_UNWRITABLE = 2
_INTERRUPTED = 130


class _Commands(click.Group):
    """Commands that end without a traceback when they are interrupted or cannot write."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401  as click has it
        """Run a command. A reader that has gone, such as `head`, is left to click."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            ctx.exit(_INTERRUPTED)
        except BrokenPipeError:
            raise
        except OSError as error:
            click.echo(f"The output cannot be written: {error.strerror}.", err=True)
            ctx.exit(_UNWRITABLE)


@click.group(cls=_Commands)
def commands() -> None:
    """Connect the mailboxes of a file in bulk."""


@commands.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path())
@click.option(
    "--preview",
    metavar="N",
    type=click.IntRange(min=0),
    default=0,
    help="Show the first N accounts as they would be sent, passwords as ***.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document per file.")
def check(files: tuple[str, ...], preview: int, *, as_json: bool) -> None:
    """Judge files as an upload would be judged. Nothing leaves this computer.

    The exit code is 0 where all rows are accepted, 1 where some are rejected or duplicates,
    and 2 where a file as a whole is refused or cannot be read.
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
def template(kind: str | None, output: Path | None) -> None:
    """Write an accounts file to fill in.

    It has the 15 fields, one example row, and what to write into each field. The example has
    no passwords, so it is rejected, and nothing of it is sent, where it is left in the file.
    """
    from email_accounts_cli.template import csv_template, xlsx_template  # noqa: PLC0415  as above

    if kind is None:
        kind = "xlsx" if output and output.suffix.lower() == ".xlsx" else "csv"
    if kind == "xlsx" and not output and sys.stdout.isatty():
        raise click.UsageError("A workbook is nothing for a terminal: name a file with --output.")
    content = xlsx_template() if kind == "xlsx" else csv_template()
    if not output:
        click.echo(content, nl=False)
        return
    try:
        with output.open("xb") as file:
            file.write(content)
    except FileExistsError:
        raise click.ClickException(f"{output} exists: name another file.") from None
    except OSError as error:
        raise click.ClickException(f"{output}: {error.strerror}") from None
