"""Output of the commands: tables and sentences for people, JSON lines for programs."""

import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from functools import partial
from shutil import get_terminal_size
from textwrap import fill
from typing import IO, TYPE_CHECKING, Any, TextIO

import click

from email_accounts.text.display import visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

ALL_WELL, NOT_ALL_WELL, IMPOSSIBLE = range(3)
"""Exit codes: success; done, with a problem; not done."""

_WIDTH_OF_NO_TERMINAL = 240
_COMMAND = re.compile(r"(?:email-accounts|aws) [^.,:;)]*")
_NO_BREAK = "\N{NO-BREAK SPACE}"


class CommandError(click.ClickException):
    """A command failed: the reason and the fix."""

    exit_code = IMPOSSIBLE

    def __init__(self, message: str) -> None:
        """Make the message safe for a terminal."""
        super().__init__(printable(message))

    def show(self, file: IO[Any] | None = None) -> None:  # noqa: ARG002  as click has it
        """Print the message."""
        echo(f"Error: {self.message}", err=True)


@contextmanager
def output_written() -> Iterator[None]:
    """Flush all output before the end; a failure prints one line and exits with IMPOSSIBLE.

    A closed pipe prints nothing: its reader, such as `head`, has enough. Without this, Python
    flushes at exit, and a failure prints a traceback and exits with 120.
    """
    if sys.stdout is None:
        click.echo("The output cannot be written: stdout is closed.", err=True)
        sys.exit(IMPOSSIBLE)
    try:
        try:
            yield
        finally:
            sys.stdout.flush()
    except OSError as error:
        _discard(sys.stdout)
        if isinstance(error, BrokenPipeError):
            sys.exit(IMPOSSIBLE)
        what = printable(str(error.filename or "The output cannot be written"))
        try:
            click.echo(f"{what}: {error.strerror or error}.", err=True)
        except OSError:
            _discard(sys.stderr)
        sys.exit(IMPOSSIBLE)


def _discard(stream: TextIO) -> None:
    """Discard the buffer of a stream, or the flush at exit would fail again."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def console() -> "Console":
    """Return a console on stdout, as wide as its terminal."""
    from rich.console import Console  # noqa: PLC0415  not for programs

    class Screen(Console):
        def print(self, *objects: Any, **how: Any) -> None:  # noqa: ANN401  as rich has it
            texts = (_for_people(one) if isinstance(one, str) else one for one in objects)
            super().print(*texts, **how)

        def on_broken_pipe(self) -> None:
            raise  # noqa: PLE0704  called while it is handled; `output_written` reports it

    width = None if sys.stdout.isatty() else _WIDTH_OF_NO_TERMINAL
    return Screen(width=width, markup=False, highlight=False, emoji=False, soft_wrap=True)


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> "Table":
    """Return rows as a table."""
    from rich.table import Table  # noqa: PLC0415  as above
    from rich.text import Text  # noqa: PLC0415  as above

    result = Table(
        *map(printable, header),
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
        show_header=bool(header),
    )
    for row in rows:
        result.add_row(*(one if isinstance(one, Text) else printable(str(one)) for one in row))
    for column in result.columns:
        column.overflow = "fold"  # keeps addresses whole, to be copied
    return result


def cut(text: str) -> "Text":
    """Return a one-line cell, cut with `…` if it is wider than its column."""
    from rich.text import Text  # noqa: PLC0415  as above

    return Text(printable(text), no_wrap=True, overflow="ellipsis")


@contextmanager
def progress(what: str, total: int | None, *, in_bytes: bool) -> Iterator[Callable[..., object]]:
    """Draw a bar on stderr if it is a terminal.

    Yields the function that moves it: `advance` adds to what is done, `completed` sets it.
    """
    if not sys.stderr.isatty():
        yield lambda **_: None
        return
    from rich import progress as bars  # noqa: PLC0415  only on a terminal
    from rich.console import Console  # noqa: PLC0415  as above

    columns: list[bars.ProgressColumn] = []
    if in_bytes:
        columns = [bars.BarColumn(), bars.DownloadColumn(), bars.TransferSpeedColumn()]
        columns.append(bars.TimeRemainingColumn())
    screen = Console(stderr=True)
    with bars.Progress(*columns, console=screen, transient=True, redirect_stdout=False) as bar:
        yield partial(bar.update, bar.add_task(what, total=total))


def print_json(document: Mapping[str, object]) -> None:
    """Print a document as one line, at once."""
    click.echo(json.dumps(document))
    sys.stdout.flush()


def echo(text: str, *, err: bool = False) -> None:
    """Print a text for people, without control characters; a terminal gets it wrapped."""
    click.echo(_for_people(text, sys.stderr if err else sys.stdout), err=err)


def is_confirmed(question: str) -> bool:
    """Ask a person; False is the default."""
    return click.confirm(_for_people(question, sys.stderr), err=True)


def _for_people(text: str, stream: TextIO | None = None) -> str:
    text = printable(text)
    is_terminal = (stream or sys.stdout).isatty()
    return wrapped(text, get_terminal_size().columns) if is_terminal else text


def wrapped(text: str, width: int) -> str:
    """Wrap a text at blanks; commands and addresses stay whole, to be copied."""
    lines = (_COMMAND.sub(_unbroken, line) for line in text.split("\n"))
    return "\n".join(
        fill(
            line,
            width,
            subsequent_indent=" " * (len(line) - len(line.lstrip()) + 2),
            break_long_words=False,
            break_on_hyphens=False,
        )
        for line in lines
    ).replace(_NO_BREAK, " ")


def _unbroken(command: re.Match[str]) -> str:
    return command[0].replace(" ", _NO_BREAK)


def printable(text: str) -> str:
    """Remove control characters from a text; keep line breaks."""
    return visible(text, keep="\n")


def fitting(text: str, width: int) -> str:
    """Return a line, cut with `…` if it is wider than `width` columns."""
    line = cut(text)
    line.truncate(width, overflow="ellipsis")
    return line.plain


def counted(count: int, one: str, many: str = "") -> str:
    """Return `1 row`, `2 rows`; the plural is `many`, or ends in s."""
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def local_time(seconds: float) -> str:
    """Return seconds since the epoch as local time."""
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def iso_time(seconds: float) -> str:
    """Return seconds since the epoch as ISO 8601 in UTC, to the microsecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")


def short(import_id: str) -> str:
    """Return the first eight digits of an import's id."""
    return import_id[:8]
