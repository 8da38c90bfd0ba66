"""How commands speak: to people in tables and sentences, to programs in JSON lines."""

import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TextIO

import click

from email_accounts.text.display import visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

ALL_WELL, NOT_ALL_WELL, IMPOSSIBLE = range(3)
"""Exit codes: done and well; done, but something is not well; not done."""

_WIDTH_OF_NO_TERMINAL = 240


class CommandError(click.ClickException):
    """A command cannot do what was asked: what is wrong, and the cure."""

    exit_code = IMPOSSIBLE

    def __init__(self, message: str) -> None:
        """Say it without what could steer the terminal."""
        super().__init__(printable(message))


@contextmanager
def output_written() -> Iterator[None]:
    """Write all output before the end; what cannot be written is one line, and IMPOSSIBLE.

    Left to itself, Python flushes at exit, and answers a failure with a traceback and code 120.
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
        what = printable(str(error.filename or "The output cannot be written"))
        try:
            click.echo(f"{what}: {error.strerror or error}.", err=True)
        except OSError:
            _discard(sys.stderr)
        sys.exit(IMPOSSIBLE)


def _discard(stream: TextIO) -> None:
    """Have what is left in the buffer of a stream go nowhere, or exit would fail on it again."""
    with suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def console() -> "Console":
    """Return a console on stdout, as wide as its terminal."""
    from rich.console import Console  # noqa: PLC0415  not for programs

    class Screen(Console):
        def print(self, *objects: Any, **how: Any) -> None:  # noqa: ANN401  as rich has it
            texts = (printable(one) if isinstance(one, str) else one for one in objects)
            super().print(*texts, **how)

        def on_broken_pipe(self) -> None:
            raise  # noqa: PLE0704  called while it is handled, and told like all else by `output_written`

    width = None if sys.stdout.isatty() else _WIDTH_OF_NO_TERMINAL
    return Screen(width=width, markup=False, highlight=False, emoji=False, soft_wrap=True)


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> "Table":
    """Lay rows out in columns."""
    from rich.table import Table  # noqa: PLC0415  as above

    laid_out = Table(
        *map(printable, header),
        box=None,
        pad_edge=False,
        padding=(0, 2, 0, 0),
        show_header=bool(header),
    )
    for row in rows:
        laid_out.add_row(*(printable(str(cell)) for cell in row))
    return laid_out


def tell_program(document: Mapping[str, object]) -> None:
    """Print a document as one line, at once."""
    click.echo(json.dumps(document))
    sys.stdout.flush()


def echo(text: str, *, err: bool = False) -> None:
    """Print a text for people, without what could steer the terminal."""
    click.echo(printable(text), err=err)


def printable(text: str) -> str:
    """Keep a text from steering the terminal; line breaks stay."""
    return visible(text, keep="\n")


def counted(count: int, what: str) -> str:
    """Return `1 row`, `2 rows`."""
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"


def local_time(seconds: float) -> str:
    """Return a time of the epoch as a person on this computer reads it."""
    return datetime.fromtimestamp(seconds, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def iso_time(seconds: float) -> str:
    """Return a time of the epoch as programs read it, to the microsecond."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="microseconds")


def short(import_id: str) -> str:
    """Return the beginning of an import's id: enough to name it by."""
    return import_id[:8]
