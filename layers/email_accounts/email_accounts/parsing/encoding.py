"""From the bytes of a file to its characters and lines, whatever their encoding."""

import codecs
import io
import re
from collections.abc import Iterator
from itertools import chain

from email_accounts.errors import FileRefusedError
from email_accounts.parsing.records import EXPORT_AGAIN, SAVE_AS_UTF_8, not_text

UTF_8 = "UTF-8"
UTF_8_WITH_MARK = "UTF-8 with byte-order mark"
UTF_16 = "UTF-16"
WINDOWS_1252 = "Windows-1252"

_MARKS = {
    codecs.BOM_UTF8: (UTF_8_WITH_MARK, "utf-8"),
    codecs.BOM_UTF16_LE: (UTF_16, "utf-16-le"),
    codecs.BOM_UTF16_BE: (UTF_16, "utf-16-be"),
}
_HEADER_BYTES = 128
_MARK_OF_LINE = re.compile(r"(?:(?<=[\r\n])|\A)\ufeff+")
_LINE_END = re.compile(r"\r\n?|\n")
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0e-\x1f\x7f]")


class Text:
    """The characters of a file, decoded as they are asked for.

    Bytes that are no text do not end it: they appear as lone surrogates, and `damaged`
    is set from the first of them on. `unsure` is set from where on characters that are
    not ASCII may be others than were written: the file is neither UTF-8 nor UTF-16.
    """

    def __init__(self, head: bytes, rest: Iterator[bytes]) -> None:
        """Recognise the encoding by the first bytes; `start` is what they say."""
        mark = next(filter(head.startswith, _MARKS), b"")
        self.encoding, codec = _MARKS[mark] if mark else _without_mark(head)
        self.damaged = self.unsure = False
        self._decoder = codecs.getincrementaldecoder(codec)()
        self._is_ascii = self.encoding == UTF_8
        self._rest = rest
        self.start = self._decoded(head[len(mark) :]).lstrip("\ufeff")

    def chunks(self) -> Iterator[str]:
        """Yield the text piece by piece, to be asked for once; no piece ends inside a line end."""
        held = ""
        for chunk in chain([self.start], map(self._decoded, self._rest)):
            text = held + chunk
            held = "\r" if text.endswith("\r") else ""
            yield text[:-1] if held else text
        if last := held + self._decoded(b"", final=True):
            yield last

    def _decoded(self, data: bytes, *, final: bool = False) -> str:
        try:
            decoded = self._decoder.decode(data, final)
        except UnicodeDecodeError as error:
            if self._is_ascii and error.object[: error.start].isascii():
                return self._begin_windows_1252(error.object)
            return self._decoded_with_damage(data, final=final)
        if self._is_ascii:
            self._is_ascii = decoded.isascii()
        return decoded

    def _begin_windows_1252(self, data: bytes) -> str:
        """Go over to Windows-1252, which has been the same up to here."""
        if _CONTROL.search(data):
            raise not_text()
        decoder = codecs.getincrementaldecoder("cp1252")()
        try:
            decoded = decoder.decode(data)
        except UnicodeDecodeError:
            raise FileRefusedError(
                "It is text in an encoding that cannot be recognized.", SAVE_AS_UTF_8
            ) from None
        self.encoding, self._decoder, self._is_ascii = WINDOWS_1252, decoder, False
        self.unsure = True
        return decoded

    def _decoded_with_damage(self, data: bytes, *, final: bool) -> str:
        self.damaged = True
        self.unsure = self.encoding != UTF_16
        self._decoder.errors = "surrogatepass" if self.encoding == UTF_16 else "surrogateescape"
        try:
            return self._decoder.decode(data, final)
        except UnicodeDecodeError:
            raise FileRefusedError("It ends inside a character.", EXPORT_AGAIN) from None


def _without_mark(head: bytes) -> tuple[str, str]:
    """Return the encoding: UTF-16 if every second byte of a header is NUL."""
    header = head[:_HEADER_BYTES]
    first, second = header[::2].count(0), header[1::2].count(0)
    half = len(header) // 2
    if first * 8 < half < second * 2:
        return UTF_16, "utf-16-le"
    if second * 8 < half < first * 2:
        return UTF_16, "utf-16-be"
    return UTF_8, "utf-8"


def whole_lines(chunks: Iterator[str]) -> Iterator[str]:
    """Yield for each piece of text the lines that end in it, as one text: perhaps none.

    A byte-order mark at the beginning of a line is no part of it: files are put together.
    """
    begun: list[str] = []
    for chunk in chunks:
        end = max(chunk.rfind("\n"), chunk.rfind("\r")) + 1
        if end:
            yield _without_marks("".join([*begun, chunk[:end]]))
            begun.clear()
        else:
            yield ""
        begun.append(chunk[end:])
    if last := "".join(begun):
        yield _without_marks(last)


def _without_marks(lines: str) -> str:
    return _MARK_OF_LINE.sub("", lines) if "\ufeff" in lines else lines


def lines_in(text: str) -> list[str]:
    """Part a text into its lines, with their ends.

    The first may be long: by itself it is not copied into io.StringIO, at four bytes a character.
    """
    end = _LINE_END.search(text)
    if not end:
        return [text] if text else []
    return [text[: end.end()], *io.StringIO(text[end.end() :], newline="").readlines()]
