"""The XML parts of a workbook, parsed as streams: lists, shared texts, the rows of a sheet."""

import re
from array import array
from xml.parsers import expat

from email_accounts.errors import FileRefusedError
from email_accounts.parsing.records import EXPORT_AGAIN, LONGEST_CELL, is_blank
from email_accounts.parsing.source import WINDOW

_MOST_COLUMNS = 16_384
_MOST_ROWS = 1_048_576
_MOST_CELLS = 20_000_000
_LARGEST_SHARED = 50_000_000
_ENTRY = 8
_LONGEST_TAG = 1 << 20
_SIGNIFICANT = ".15g"
_ESCAPED = re.compile("_x([0-9A-Fa-f]{4})_")
_DATA = b"<sheetData>"
_ROW_BEGIN, _ROW_END = "<row ", "</row>"
_TWICE = r"[^>]* ([\w:]+)=[^>]* \1="
_NAME = r"[A-Za-z]\w*(?::[A-Za-z]\w*)?"
_PLAIN_ROW = re.compile(
    rf'<row(?!{_TWICE}) r="(?P<number>[0-9]{{1,7}})"(?: {_NAME}="[\w .:-]*")*>', re.ASCII
)
_PLAIN_CELL = re.compile(
    r'<c r="([A-Z]{1,3})[0-9]{1,7}"(?: s="[0-9]+")?(?: t="([a-z]+)")?'
    r"(?:/>|>(?:<v>([0-9A-Za-z.+-]*)</v>)?</c>)"
)
_GROUPS = _PLAIN_CELL.groups + 1
_BOOLEANS = {"0": "false", "1": "true"}


def damaged(what: str) -> FileRefusedError:
    """Return the error for a workbook of which a part is not as it has to be."""
    return FileRefusedError(f"It is a damaged workbook: {what}.", EXPORT_AGAIN)


class XmlPart:
    """A part of which no more is in memory than the tag and the text in hand."""

    def __init__(self, root: str) -> None:
        """Prepare for a part with this root element; no entity is ever followed."""
        self._root = root
        self._fed = 0
        self._pieces: list[str] = []
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = True
        self._parser.StartDoctypeDeclHandler = _refuse_doctype
        self._parser.StartElementHandler = self._begin
        self._parser.CharacterDataHandler = self._pieces.append

    def feed(self, data: bytes) -> None:
        """Parse the next bytes; none are the end."""
        self._parser.Parse(data, not data)
        self._fed += len(data)
        if self._fed - self._parser.CurrentByteIndex > _LONGEST_TAG:
            raise damaged("a tag does not end")
        if sum(map(len, self._pieces)) > LONGEST_CELL:
            raise self._too_long()

    def _begin(self, name: str, _attributes: dict[str, str]) -> None:
        if name.rpartition(":")[2] != self._root:
            raise damaged(f"where its {self._root} should be, something else is")
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._name_elements(name.removesuffix(self._root))

    def _name_elements(self, prefix: str) -> None:
        raise NotImplementedError

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        raise NotImplementedError

    def _end(self, name: str) -> None:
        raise NotImplementedError

    def _too_long(self) -> FileRefusedError:
        return FileRefusedError(
            f"Its {self._root} holds a text of more than {LONGEST_CELL:,} characters.", EXPORT_AGAIN
        )


class Elements(XmlPart):
    """The attributes of all elements of one name."""

    def __init__(self, root: str, element: str) -> None:
        """Collect these elements below the root."""
        super().__init__(root)
        self._element = element
        self.found: list[dict[str, str]] = []

    def _name_elements(self, prefix: str) -> None:
        self._element = prefix + self._element

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if name == self._element:
            self.found.append(attributes)

    def _end(self, name: str) -> None:  # noqa: ARG002  expat's
        self._pieces.clear()


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
        if name == self._text:
            self._pieces.clear()
        elif name == self._phonetic:
            self._in_phonetic = True

    def _end(self, name: str) -> None:
        if name == self._text:
            if not self._in_phonetic:
                self._bytes += unescaped("".join(self._pieces)).encode()
                if len(self._bytes) - self._starts[-1] > LONGEST_CELL:
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
        position = 0
        for letter in letters:
            position = position * 26 + ord(letter) - ord("A") + 1
        if not (letters.isascii() and letters.isupper() and 0 < position <= _MOST_COLUMNS):
            raise damaged("a cell is in no column")
        self[letters] = position - 1
        return position - 1


class Worksheet(XmlPart):
    """The rows of a sheet, collected in `rows` until the caller takes them.

    A row is its number, its cells, and whether it has more of them than the header, which is
    the first row that is not blank.

    Rows like those that Excel writes are read without the parser, which does not know that they
    are there: it calls back five times for each cell. From the first row on that has anything
    unusual it reads the rest.
    """

    def __init__(self, texts: SharedStrings) -> None:
        """Begin above the first row."""
        super().__init__("worksheet")
        self.rows: list[tuple[int, list[str], bool]] = []
        self.ended = False
        self._texts = texts
        self._columns = _Columns()
        self._c = self._v = self._t = self._row = self._data = self._phonetic = ""
        self._number = self._count = 0
        self._cells: list[str] = []
        self._column = -1
        self._type = "n"
        self._value = ""
        self._in_phonetic = self._surplus = False
        self._width = 0
        self._in_data = self._plain = False
        self._held = b""

    def feed(self, data: bytes) -> None:
        """Read the next bytes."""
        if not self._fed:
            before, begin, data = data.partition(_DATA)
            super().feed(before + begin)
            self._plain = self._in_data
        if self._plain:
            data = self._without_plain_rows(self._held + data)
        if data:
            super().feed(data)

    def _without_plain_rows(self, data: bytes) -> bytes:
        """Take plain rows up to the first other one; return what is left to be parsed."""
        if not data.isascii():
            self._plain = False
            return data
        *rows, rest = data.decode().split(_ROW_END)
        taken = next((at for at, row in enumerate(rows) if not self._take(row)), len(rows))
        left = _ROW_END.join([*rows[taken:], rest]).encode()
        goes_on = _ROW_BEGIN.startswith(rest[: len(_ROW_BEGIN)]) and len(rest) <= WINDOW
        self._plain = taken == len(rows) and goes_on
        if not self._plain:
            return left
        self._held = left
        return b""

    def _take(self, row: str) -> bool:
        """Take a row that is plain; otherwise do nothing and say so."""
        begin = _PLAIN_ROW.match(row)
        if not begin:
            return False
        parts = _PLAIN_CELL.split(row[begin.end() :])
        if any(parts[::_GROUPS]):
            return False
        self._begin_row(begin["number"])
        self._count += len(parts) // _GROUPS
        for letters, kind, value in zip(
            parts[1::_GROUPS], parts[2::_GROUPS], parts[3::_GROUPS], strict=True
        ):
            if value:
                self._column = self._columns[letters]
                self._type = kind or "n"
                self._place(value)
        self._end_row()
        return True

    def _name_elements(self, prefix: str) -> None:
        self._c, self._v, self._t = prefix + "c", prefix + "v", prefix + "t"
        self._row, self._data, self._phonetic = prefix + "row", prefix + "sheetData", prefix + "rPh"

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if name == self._c:
            self._count += 1
            if reference := attributes.get("r"):
                self._column = self._columns[reference.rstrip("0123456789")]
            else:
                self._column += 1
            self._type = attributes.get("t", "n")
        elif name == self._v or name == self._t:  # noqa: PLR1714  a tuple would be built each time
            self._pieces.clear()
        elif name == self._row:
            self._begin_row(attributes.get("r"))
        elif name == self._phonetic:
            self._in_phonetic = True
        elif name == self._data:
            self._in_data = True

    def _begin_row(self, given: str | None) -> None:
        number = int(given) if given else self._number + 1
        if not self._number < number <= _MOST_ROWS:
            raise damaged(f"the row behind row {self._number} is out of order")
        self._number = number
        self._cells = []
        self._column = -1
        self._surplus = False

    def _end(self, name: str) -> None:
        if name == self._v:
            self._value = "".join(self._pieces)
        elif name == self._c:
            if self._value:
                self._place(self._value)
                self._value = ""
        elif name == self._t:
            if not self._in_phonetic:
                self._value += "".join(self._pieces)
                if len(self._value) > LONGEST_CELL:
                    raise self._too_long()
        elif name == self._row:
            self._pieces.clear()
            self._end_row()
        elif name == self._phonetic:
            self._in_phonetic = False
        elif name == self._data:
            self.ended = True

    def _end_row(self) -> None:
        if self._count > _MOST_CELLS:
            raise FileRefusedError(
                f"Its first sheet has more than {_MOST_CELLS:,} cells.",
                "Delete the rows and columns that hold nothing, or split it.",
            )
        if not self._width and not is_blank(self._cells):
            self._width = len(self._cells)
        if self._cells or self._surplus:
            self.rows.append((self._number, self._cells, self._surplus))

    def _place(self, text: str) -> None:
        kind = self._type
        if kind == "s":
            text = self._texts[int(text)]
        elif kind == "n":
            text = _number(text)
        elif kind == "b":
            text = _BOOLEANS.get(text, text)
        else:
            text = unescaped(text)
        cells = self._cells
        missing = self._column - len(cells)
        if 0 < self._width <= self._column:
            self._surplus = self._surplus or bool(text.strip())
        elif missing > 0:
            self._count += missing
            cells += [""] * missing
            cells.append(text)
        elif missing == 0:
            cells.append(text)
        else:
            cells[self._column] = text

    def _too_long(self) -> FileRefusedError:
        return FileRefusedError(
            f"A cell in row {self._number} has more than {LONGEST_CELL:,} characters.",
            "Shorten it and drop the workbook again.",
        )


def unescaped(text: str) -> str:
    """Undo the escapes of characters that XML cannot hold: _x000D_ is a carriage return."""
    return _ESCAPED.sub(_character, text) if "_x" in text else text


def _character(escaped: re.Match[str]) -> str:
    character = chr(int(escaped[1], 16))
    return escaped[0] if "\ud800" <= character <= "\udfff" else character


def _number(text: str) -> str:
    """Write a number as a person sees it: 465 for 4.65E2, 0.3 for 0.30000000000000004."""
    if text.isdecimal():
        return text
    try:
        return format(float(text), _SIGNIFICANT)
    except ValueError:
        return text


def _refuse_doctype(*_: object) -> None:
    raise damaged("it declares entities of its own")
