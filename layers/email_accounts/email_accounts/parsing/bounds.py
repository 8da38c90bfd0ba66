"""What a file may be at most, whatever its format: what passes a bound is refused by name."""

from email_accounts.errors import FileRefusedError

SAMPLE = 100
"""Records on which delimiter, header and width are decided."""

SECONDS = 120
"""Of the processor, for one reading."""
BYTES = 2_000_000_000
"""Unpacked. Of a workbook and whatever else has to be held to be read, see below."""
ROWS = 2_000_000
COLUMNS = 1_000
CELLS = 50_000_000
CELL = 1 << 20
"""Characters of a cell, and of an item of JSON."""

SPLIT = "Split it into several files and drop each of them."


def refused(what: str, fix: str = SPLIT) -> FileRefusedError:
    """Return the error for a file that passes a bound."""
    return FileRefusedError(f"It has {what}.", fix)
