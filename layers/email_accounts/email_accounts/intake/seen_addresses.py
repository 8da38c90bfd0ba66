"""Which addresses have been seen, and in which rows: a million of them in 24 MB.

The table has its size from the start, so the memory a file takes does not grow with its rows
until there are a million, and slowly from there on. Two addresses are taken for the same when
64 bits of their hashes are: among a million that happens by chance in one file out of forty
million.
"""

from array import array

_SLOTS = 1 << 21


class SeenAddresses:
    """Addresses in lower case, each with the row it stood in first (open addressing).

    The parts are public for the one loop that runs for each row: see `rows.py`. A hash of 0
    is an empty slot; up to row `limit` the table is at most half full.
    """

    def __init__(self, slots: int = _SLOTS) -> None:
        """Begin with so many slots, a power of two."""
        self._make(slots)

    def row_of(self, address: str) -> int:
        """Return the row an address stood in first, or 0."""
        return self.rows[self._place(_hashed(address))]

    def add(self, address: str, row: int) -> int:
        """Remember an address; return the row it stood in before, or 0."""
        if row > self.limit:
            self.make_room(row)
        hashed = _hashed(address)
        place = self._place(hashed)
        before = self.rows[place]
        if not before:
            self.hashes[place] = hashed
            self.rows[place] = row
        return before

    def make_room(self, row: int) -> None:
        """Raise `limit` beyond a row: rows that are blank or no accounts take no slots."""
        used = len(self.rows) - self.rows.count(0)
        if 4 * used > len(self.rows):
            self._double()
        self.limit = row - 1 + len(self.rows) // 2 - used

    def _double(self) -> None:
        hashes, rows = self.hashes, self.rows
        self._make(2 * len(hashes))
        for hashed, row in zip(hashes, rows, strict=True):
            if row:
                place = self._place(hashed)
                self.hashes[place] = hashed
                self.rows[place] = row

    def _make(self, slots: int) -> None:
        self.hashes = array("q", (0,)) * slots
        self.rows = array("I", (0,)) * slots
        self.mask = slots - 1
        self.limit = slots // 2

    def _place(self, hashed: int) -> int:
        hashes, mask = self.hashes, self.mask
        place = hashed & mask
        while hashes[place] not in (0, hashed):
            place = (place + 1) & mask
        return place


def _hashed(address: str) -> int:
    return hash(address) or 1
