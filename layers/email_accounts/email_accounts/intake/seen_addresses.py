"""Which addresses have been seen, and in which rows: a million of them in 24 MB.

The table has its size from the start, so the memory a file takes does not grow with its rows
until there are a million, and slowly from there on. Two addresses are taken for the same when
64 bits of their hashes are: among a million that happens by chance in one file out of forty
million.
"""

from array import array

_SLOTS = 1 << 21


class SeenAddresses:
    """Addresses in lower case, each with the row where it was first seen (open addressing).

    A hash of 0 is an empty slot; up to row `_limit` the table is at most half full.
    """

    def __init__(self, slots: int = _SLOTS) -> None:
        """Begin with so many slots, a power of two."""
        self._make(slots)

    def row_of(self, address: str) -> int:
        """Return the row where an address was first seen, or 0."""
        return self._rows[self._place(hash(address) or 1)]

    def add(self, address: str, row: int) -> int:
        """Store an address; return the row where it was seen before, or 0."""
        if row > self._limit:
            self._make_room(row)
        hashes, mask = self._hashes, self._mask
        hashed = hash(address) or 1
        place = hashed & mask
        while found := hashes[place]:
            if found == hashed:
                return self._rows[place]
            place = (place + 1) & mask
        hashes[place] = hashed
        self._rows[place] = row
        return 0

    def _make_room(self, row: int) -> None:
        """Raise `_limit` beyond a row: rows that are blank or no accounts take no slots."""
        used = len(self._rows) - self._rows.count(0)
        if 4 * used > len(self._rows):
            self._double()
        self._limit = row - 1 + len(self._rows) // 2 - used

    def _double(self) -> None:
        hashes, rows = self._hashes, self._rows
        self._make(2 * len(hashes))
        for hashed, row in zip(hashes, rows, strict=True):
            if row:
                place = self._place(hashed)
                self._hashes[place] = hashed
                self._rows[place] = row

    def _make(self, slots: int) -> None:
        self._hashes = array("q", (0,)) * slots
        self._rows = array("I", (0,)) * slots
        self._mask = slots - 1
        self._limit = slots // 2

    def _place(self, hashed: int) -> int:
        hashes, mask = self._hashes, self._mask
        place = hashed & mask
        while hashes[place] not in (0, hashed):
            place = (place + 1) & mask
        return place
