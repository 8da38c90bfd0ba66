"""What a file may be at most, whatever its format; what passes a bound is refused by its name.

Each reading is linear in what the file chooses, so these bound its time, too; `Meter` stops what
is slow nevertheless. The bounds on packed files are in `source` and `workbook`.
"""

import time
from collections.abc import Iterator
from typing import TypeVar

from email_accounts.errors import FileRefusedError

SAMPLE = 100
"""Records on which delimiter, header and width are decided."""

BYTES = 2_000_000_000
ROWS = 2_000_000
COLUMNS = 1_000
CELLS = 50_000_000
CELL = 1 << 20
"""Characters of a cell, and of an item of JSON. Longer ones would have to be kept in memory."""
ROW = 12 << 20
"""Characters of a row of delimited text."""
HEADERS = 2_000
"""Different sets of keys in JSON. The columns of each have to be recognized again."""
DEPTH = 16
"""Levels of nesting: of objects in an item of JSON, and of tags in a part of a workbook."""
SECONDS = 120.0
"""Time of the processor that one reading takes, without what is done with the rows."""

_Batch = TypeVar("_Batch")
SPLIT = "Split it into several files and upload each of them."


class Meter:
    """Counts what one reading takes, and ends it at the first bound that is passed."""

    def __init__(self) -> None:
        """Begin with nothing."""
        self._rows = self._cells = 0
        self._seconds = 0.0

    def add(self, rows: int, cells: int) -> None:
        """Count rows and cells, blank ones too.

        Raises:
            FileRefusedError: there are too many by now.
        """
        self._rows += rows
        self._cells += cells
        if self._rows > ROWS:
            raise FileRefusedError(f"It has more than {ROWS:,} rows, including blank ones.", SPLIT)
        if self._cells > CELLS:
            raise FileRefusedError(f"It has more than {CELLS:,} cells.", SPLIT)

    def timed(self, batches: Iterator[_Batch]) -> Iterator[_Batch]:
        """Yield what is read, batch by batch; batches may be empty, but have to be small.

        Raises:
            FileRefusedError: reading has taken too long.
        """
        while True:
            begin = time.thread_time()
            batch = next(batches, None)
            self._seconds += time.thread_time() - begin
            if batch is None:
                return
            if self._seconds > SECONDS:
                raise FileRefusedError(
                    f"Reading it takes more than {SECONDS:g} seconds.",
                    "Save it as CSV, or split it into several files.",
                )
            yield batch
