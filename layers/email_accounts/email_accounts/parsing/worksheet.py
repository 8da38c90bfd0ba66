"""The XML parts of a workbook, parsed as streams: lists, shared texts, the rows of a sheet."""

import re
from array import array
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple
from xml.parsers import expat

from email_accounts.errors import FileRefusedError
from email_accounts.parsing.archive import damaged
from email_accounts.parsing.bounds import CELL, COLUMNS, DEPTH
from email_accounts.parsing.number_formats import NumberFormats, code_of
from email_accounts.parsing.records import (
    EXPORT_AGAIN,
    SHEET_ROWS,
    Damage,
    DamagedRow,
    Record,
    Unreadable,
    is_blank,
)
from email_accounts.parsing.source import WINDOW
from email_accounts.parsing.table import more_cells

_LAST_COLUMN = 16_384
_MOST_LETTERS = 3
_LARGEST_SHARED = 50_000_000
_ENTRY = 8
_TEXTS_AT_HAND = 64
"""Many columns have the same few texts in each row."""
_LONGEST_TAG = 1 << 17
_MOST_NAMES = 1_000
_MOST_STYLES = 100_000
_MOST_MERGED = 100_000
_SHORT_NUMBER = 11
_ESCAPED = re.compile("_x([0-9A-Fa-f]{4})_")
_BOOLEANS = {"0": "FALSE", "1": "TRUE"}
_DAMAGED_KINDS = {"e": Damage.ERROR, "d": Damage.DATE}
_TEXTS = ("str", "inlineStr")
_RANGE = re.compile("([A-Z]{1,3})([0-9]{1,7}):[A-Z]{1,3}([0-9]{1,7})", re.ASCII)


class XmlPart:
    """A part that is streamed: only the current tag and text are in memory."""

    def __init__(self, root: str) -> None:
        """Prepare for a part with this root element; no entity is ever followed."""
        self._root = root
        self._fed = self._depth = 0
        self._pieces: list[str] = []
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.buffer_size = WINDOW
        self._parser.StartDoctypeDeclHandler = _refuse_doctype
        self._parser.StartElementHandler = self._begin
        self._parser.CharacterDataHandler = self._pieces.append

    def feed(self, data: bytes) -> None:
        """Parse the next bytes; none are the end."""
        self._parser.Parse(data, not data)
        self._fed += len(data)
        if self._fed - self._parser.CurrentByteIndex > _LONGEST_TAG:
            raise damaged(f"a tag has more than {_LONGEST_TAG:,} bytes")
        if len(self._parser.intern) > _MOST_NAMES:  # expat keeps them all
            raise damaged(f"it has more than {_MOST_NAMES:,} names of tags and attributes")
        if sum(map(len, self._pieces)) > CELL:
            raise self._too_long()

    def _begin(self, name: str, _attributes: dict[str, str]) -> None:
        if name.rpartition(":")[2] != self._root:
            raise damaged(f"it has no {self._root} where one is expected")
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._name_elements(name.removesuffix(self._root))

    def _name_elements(self, prefix: str) -> None:
        """Note under which names elements come, if any are sought by their full name."""

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        raise NotImplementedError

    def _end(self, name: str) -> None:
        raise NotImplementedError

    def _descend(self) -> None:
        self._depth += 1
        if self._depth > DEPTH:
            raise damaged(f"its tags are nested more than {DEPTH} deep")

    def _too_long(self) -> FileRefusedError:
        return FileRefusedError(
            f"Its {self._root} has a text of more than {CELL:,} characters.", EXPORT_AGAIN
        )


class _Tags(XmlPart):
    """A part of which attributes count, not texts."""

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        self._descend()
        self._take(name.rpartition(":")[2], attributes)

    def _end(self, name: str) -> None:  # noqa: ARG002  expat's
        self._pieces.clear()
        self._depth -= 1

    def _take(self, name: str, attributes: dict[str, str]) -> None:
        raise NotImplementedError


class Elements(_Tags):
    """The attributes of all elements of one name."""

    def __init__(self, root: str, element: str) -> None:
        """Collect these elements below the root."""
        super().__init__(root)
        self._element = element
        self.found: list[dict[str, str]] = []

    def _take(self, name: str, attributes: dict[str, str]) -> None:
        if name == self._element:
            self.found.append(attributes)


class Styles(_Tags):
    """The formats of numbers, which cells refer to by the number of their style."""

    def __init__(self) -> None:
        """Begin without any."""
        super().__init__("styleSheet")
        self._custom: dict[int, str] = {}
        self._numbers: list[int] = []
        self._in_cells = False

    def codes(self) -> list[str]:
        """Return the code of the format for each style."""
        return [code_of(number, self._custom) for number in self._numbers]

    def _take(self, name: str, attributes: dict[str, str]) -> None:
        if name == "numFmt":
            self._custom[int(attributes["numFmtId"])] = attributes["formatCode"]
        elif name == "xf" and self._in_cells:
            self._numbers.append(int(attributes.get("numFmtId", "0")))
        elif name in ("cellStyleXfs", "cellXfs", "cellStyles"):
            self._in_cells = name == "cellXfs"
        if len(self._numbers) + len(self._custom) > _MOST_STYLES:
            raise damaged(f"it has more than {_MOST_STYLES:,} styles")


class Merged(NamedTuple):
    """Cells of one column that show what the first of them holds."""

    first_row: int
    last_row: int
    column: int


class MergedCells(_Tags):
    """The merged cells of a sheet."""

    def __init__(self) -> None:
        """Begin without any."""
        super().__init__("worksheet")
        self._columns = _Columns()
        self._found: list[Merged] = []

    def last_first(self) -> list[Merged]:
        """Return those of more than one row, the last one first."""
        return sorted(self._found, reverse=True)

    def _take(self, name: str, attributes: dict[str, str]) -> None:
        if name == "mergeCell" and (given := _RANGE.fullmatch(attributes.get("ref", ""))):
            merged = Merged(int(given[2]), int(given[3]), self._columns[given[1]])
            if merged.last_row > merged.first_row:
                self._found.append(merged)
            if len(self._found) > _MOST_MERGED:
                raise damaged(f"it has more than {_MOST_MERGED:,} merged cells")


class SharedStrings(XmlPart):
    """The texts that cells refer to by number, kept as one run of bytes.

    As separate strings they would take three times the memory.
    """

    def __init__(self) -> None:
        """Begin without any."""
        super().__init__("sst")
        self._item = self._text = self._phonetic = ""
        self._in_phonetic = False
        self._bytes = bytearray()
        self._starts = array("I", [0])

    def __getitem__(self, number: int) -> str:
        """Return a text; IndexError where there is none of this number."""
        if number < 0:
            raise IndexError
        start, end = self._starts[number], self._starts[number + 1]
        return self._bytes[start:end].decode()

    def _name_elements(self, prefix: str) -> None:
        self._item, self._text, self._phonetic = prefix + "si", prefix + "t", prefix + "rPh"

    def _start(self, name: str, attributes: dict[str, str]) -> None:  # noqa: ARG002  expat's
        self._descend()
        if name == self._text:
            self._pieces.clear()
        elif name == self._phonetic:
            self._in_phonetic = True

    def _end(self, name: str) -> None:
        self._depth -= 1
        if name == self._text:
            if not self._in_phonetic:
                self._bytes += unescaped("".join(self._pieces)).encode()
                if len(self._bytes) - self._starts[-1] > CELL:
                    raise self._too_long()
        elif name == self._item:
            self._pieces.clear()
            self._starts.append(len(self._bytes))
            self._check()
        elif name == self._phonetic:
            self._in_phonetic = False

    def _check(self) -> None:
        if len(self._bytes) + _ENTRY * len(self._starts) > _LARGEST_SHARED:
            raise FileRefusedError(
                f"Its texts take more than {_LARGEST_SHARED / 1e6:g} MB.",
                "Split it, or save it as CSV.",
            )


class _Columns(dict[str, int]):
    """The positions of columns by their letters: A is 0, AA is 26."""

    def __missing__(self, letters: str) -> int:
        if not (len(letters) <= _MOST_LETTERS and letters.isascii() and letters.isupper()):
            raise damaged("a cell is in no column")
        position = 0
        for letter in letters:
            position = position * 26 + ord(letter) - ord("A") + 1
        if not 0 < position <= _LAST_COLUMN:
            raise damaged("a cell is in no column")
        self[letters] = position - 1
        return position - 1


@dataclass(frozen=True, slots=True)
class Scope:
    """Which rows of a sheet count: those below a row, in so many columns; what is added to them."""

    above: int = 0
    width: int = COLUMNS + 1
    offset: int = 0


class Worksheet(XmlPart):
    """The rows of a sheet, collected until the caller takes them."""

    def __init__(
        self, texts: SharedStrings, formats: NumberFormats, merged: MergedCells, scope: Scope
    ) -> None:
        """Begin above the first row."""
        super().__init__("worksheet")
        self.ended = False
        self._text = lru_cache(_TEXTS_AT_HAND)(lambda number: texts[int(number)])
        self._formats = formats
        self._general = formats.general
        self._merged = merged.last_first()
        self._scope = scope
        self._width = scope.width
        self._columns = _Columns()
        self._c = self._v = self._t = self._f = self._row = self._data = self._phonetic = ""
        self._records: list[Record] = []
        self._number = self._count = self._rows = 0
        self._cells: list[str] | None = None
        self._damage: dict[int, Damage] = {}
        self._covered: dict[int, tuple[int, str, Damage | None]] = {}
        self._column = -1
        self._kind = ""
        self._style = ""
        self._value = ""
        self._runs: list[str] = []
        self._length = 0
        self._in_phonetic = self._in_value = self._surplus = self._computed = False

    def taken(self) -> list[Record]:
        """Return the rows that have been read since this was asked last."""
        records, self._records = self._records, []
        return records

    def counted(self) -> tuple[int, int]:
        """Return how many rows and cells have been read since this was asked last."""
        rows, cells, self._rows, self._count = self._rows, self._count, 0, 0
        return rows, cells

    def _name_elements(self, prefix: str) -> None:
        self._c, self._v, self._t = prefix + "c", prefix + "v", prefix + "t"
        self._row, self._data, self._phonetic = prefix + "row", prefix + "sheetData", prefix + "rPh"
        self._f = prefix + "f"

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if name == self._c:
            if self._kind or self._cells is None:
                raise damaged("a cell is not in a row")
            if reference := attributes.get("r"):
                self._column = self._columns[reference.rstrip("0123456789")]
            else:
                self._column += 1
            self._kind = attributes.get("t") or "n"
            if self._kind == "n":
                self._style = attributes.get("s", "0")
            self._count += 1
            return
        if name == self._v:
            if self._in_value:
                raise damaged("a value is in another one")
            self._in_value = True
            self._pieces.clear()
            return
        self._start_other(name, attributes)

    def _start_other(self, name: str, attributes: dict[str, str]) -> None:
        self._descend()
        if name == self._t:
            self._pieces.clear()
        elif name == self._row:
            self._begin_row(attributes.get("r"))
        elif name == self._f:
            self._computed = True
        elif name == self._phonetic:
            self._in_phonetic = True

    def _begin_row(self, given: str | None) -> None:
        number = int(given) if given else self._number + 1
        if not self._number < number <= SHEET_ROWS or self._cells is not None:
            raise damaged(f"the row after row {self._number} is out of order")
        self._number = number
        self._rows += 1
        self._cells = []
        self._column = -1

    def _end(self, name: str) -> None:
        if name == self._v:
            self._in_value = False
            self._value = "".join(self._pieces)
            return
        if name == self._c:
            if self._runs:
                self._value = "".join(self._runs)
                self._runs.clear()
                self._length = 0
            if self._cells is not None and (self._value or self._computed):
                self._place(self._cells)
                self._value = ""
                self._computed = False
            self._kind = ""
            return
        self._end_other(name)

    def _end_other(self, name: str) -> None:
        self._depth -= 1
        if name == self._t:
            if not self._in_phonetic and self._pieces:
                run = "".join(self._pieces)
                self._runs.append(run)
                self._length += len(run)
                if self._length > CELL:
                    raise self._too_long()
        elif name == self._row:
            self._pieces.clear()
            self._end_row()
        elif name == self._f:
            self._pieces.clear()
        elif name == self._phonetic:
            self._in_phonetic = False
        elif name == self._data:
            self.ended = True

    def _place(self, cells: list[str]) -> None:
        """Put the value of a cell where it belongs."""
        damage = None
        if self._kind == "s" and self._value:
            text = self._text(self._value)
        else:
            text, damage = self._shown(self._value, self._kind)
        column = self._column
        if column >= self._width:
            if self._scope.above:
                self._surplus = self._surplus or bool(damage or text.strip())
                return
            # A header that is too wide has to be seen as such.
            column = COLUMNS
        missing = column - len(cells)
        if missing < 0:
            cells[column] = text
        else:
            if missing:
                self._count += missing
                cells += [""] * missing
            cells.append(text)
        if damage and not self._surplus:
            self._damage[column] = damage

    def _shown(self, value: str, kind: str) -> tuple[str, Damage | None]:
        """Return the text of a value, and what makes it another than was typed."""
        if not value:
            return "", None if kind in _TEXTS else Damage.FORMULA
        if kind == "n":
            if value.isdecimal() and len(value) <= _SHORT_NUMBER and self._style in self._general:
                return value, None
            return self._formats.shown(value, self._style)
        if kind == "b":
            return _BOOLEANS.get(value, value), Damage.BOOLEAN
        return unescaped(value), _DAMAGED_KINDS.get(kind)

    def _end_row(self) -> None:
        cells, damage, surplus = self._cells or [], self._damage, self._surplus
        self._cells = None
        self._damage = {}
        self._surplus = False
        if self._number <= self._scope.above:
            return
        if (self._merged or self._covered) and cells:
            self._spread(cells, damage)
        number = self._number + self._scope.offset
        if surplus:
            self._records.append(Unreadable(number, more_cells(self._width)))
        elif damage:
            self._records.append(DamagedRow(number, cells, damage))
        elif cells and (cells[0].strip() or not is_blank(cells)):
            self._records.append((number, cells))

    def _spread(self, cells: list[str], damage: dict[int, Damage]) -> None:
        """Let merged cells that cover this row count in it, unless it is blank."""
        while self._merged and self._merged[-1].first_row <= self._number:
            merged = self._merged.pop()
            if merged.first_row == self._number and merged.column < len(cells):
                column = merged.column
                self._covered[column] = merged.last_row, cells[column], damage.get(column)
        if is_blank(cells) and not damage:
            return
        self._count += len(self._covered)
        for column, (last_row, text, what) in [*self._covered.items()]:
            if self._number > last_row:
                del self._covered[column]
                continue
            if column >= len(cells):
                cells += [""] * (column - len(cells) + 1)
            if not cells[column] and column not in damage:
                cells[column] = text
                if what:
                    damage[column] = what

    def _too_long(self) -> FileRefusedError:
        return FileRefusedError(
            f"A cell in row {self._number} has more than {CELL:,} characters.",
            "Shorten it and upload the workbook again.",
        )


def unescaped(text: str) -> str:
    """Undo the escapes of characters that XML cannot hold: _x000D_ is a carriage return."""
    return _ESCAPED.sub(_character, text) if "_x" in text else text


def _character(escaped: re.Match[str]) -> str:
    character = chr(int(escaped[1], 16))
    return escaped[0] if "\ud800" <= character <= "\udfff" else character


def _refuse_doctype(*_: object) -> None:
    raise damaged("it declares XML entities")
