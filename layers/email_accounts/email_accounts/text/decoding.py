"""Undoes the ways in which a service may write a text that it repeats."""

import re
import unicodedata
from binascii import a2b_base64
from collections.abc import Callable, Iterator
from functools import lru_cache
from urllib.parse import unquote_to_bytes

_DEPTH = 3
"""Twice, and once more because a cell of a report may be JSON."""

_REMEMBERED = 500
"""Texts whose decoding is remembered: what services write differs in a few words."""

_ESCAPE = re.compile(
    r"\\(?:u\{(?P<braced>[0-9a-fA-F]{1,6})\}|u(?P<four>[0-9a-fA-F]{4})|U(?P<eight>[0-9a-fA-F]{8})"
    r"|x(?P<two>[0-9a-fA-F]{2})|(?P<octal>[0-3]?[0-7]{1,2})|(?P<sign>.))",
    re.DOTALL,
)
_CONTROLS = {"n": "\n", "r": "\r", "t": "\t", "b": "\b", "f": "\f"}
_PERCENT_U = re.compile(r"%u([0-9a-fA-F]{4})")
_PERCENT = re.compile(r"(?:%[0-9a-fA-F]{2})+")
_QUOTED = re.compile(r"(?:=[0-9a-fA-F]{2})+")
_SOFT_BREAK = re.compile(r"=[ \t]*(?:\r?\n|(?![0-9a-fA-F]{2}))")
"""Its line break may be lost: who repeats lines may join them."""
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]{8,}(?:\r?\n[A-Za-z0-9+/_-]+)*")
_WORD = re.compile(r"[A-Z]?[a-z]+(?:[-_/][A-Z]?[a-z]+)*|[A-Z_-]+|[0-9-]+")
"""What is no base64: that of eight letters has one chance in five hundred to look like this."""

_URL_SAFE = str.maketrans("-_", "+/", "\r\n")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]{2,}")
_BYTE_OF_CP1252 = {
    ord(bytes([byte]).decode("cp1252")): byte
    for byte in range(0x80, 0xA0)
    if byte not in (0x81, 0x8D, 0x8F, 0x90, 0x9D)  # these mean nothing there
}

_UNPRINTABLE = bytes([*range(0x20), 0x7F])

Decoder = Callable[[str], Iterator[str]]


def decoded_once(text: str) -> tuple[str, ...]:
    """Return what a text becomes when it is decoded in each way."""
    return tuple(decoded for decoder in _DECODERS for decoded in decoder(text))


def decodings(text: str, once: Callable[[str], tuple[str, ...]] = decoded_once) -> Iterator[str]:
    """Yield a text, then what it becomes when it is decoded up to three times, in whatever ways.

    These are the escapes of JSON, JavaScript, Python and C, percent-encoding and forms, HTML
    entities, quoted-printable, base64 of both alphabets at any place, doubled quotes, UTF-8 taken
    for Latin-1 or Windows-1252, and Unicode's composed form. `once` may remember what it returned.
    """
    yield text
    seen, layer = {text}, [text]
    for depth in range(_DEPTH):
        deeper = []
        for one in filter(_is_readable, layer) if depth else layer:
            for decoded in once(one):
                if decoded not in seen:
                    seen.add(decoded)
                    yield decoded
                    deeper.append(decoded)
        layer = deeper


@lru_cache(_REMEMBERED)
def _is_readable(text: str) -> bool:
    """Say whether this may be a text: base64 that begins elsewhere decodes to anything."""
    if text.isprintable():
        return True
    printable = text.encode("ascii", "ignore").translate(None, _UNPRINTABLE)
    return len(printable) * 2 >= len(text) or _NOT_ASCII.sub(_as_utf_8, text) != text


def _escapes(text: str) -> Iterator[str]:
    if "\\" in text:
        unescaped = _paired(_ESCAPE.sub(_unescaped, text))
        yield unescaped
        yield from _taken_for_latin(unescaped)  # \xc3\xbc means the bytes of one character


def _unescaped(found: re.Match[str]) -> str:
    if found["sign"]:
        return _CONTROLS.get(found["sign"], found["sign"])
    if found["octal"]:
        return chr(int(found["octal"], 8))
    number = int(found["braced"] or found["four"] or found["eight"] or found["two"], 16)
    return chr(number) if number <= 0x10FFFF else found[0]  # noqa: PLR2004  the last of Unicode


def _paired(text: str) -> str:
    """Return a text in which two surrogates are the one character they mean."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _percent(text: str) -> Iterator[str]:
    if "%" in text or "+" in text:
        units = _PERCENT_U.sub(lambda found: chr(int(found[1], 16)), text)
        unescaped = _paired(units) if units != text else text
        for one in (unescaped, unescaped.replace("+", " ")):
            yield from _bytes_decoded(_PERCENT, unquote_to_bytes, one)


def _quoted_printable(text: str) -> Iterator[str]:
    if "=" in text:
        unbroken = _SOFT_BREAK.sub("", text)
        spaces = (unbroken.replace("_", " "),) if "=?" in text else ()
        for one in (unbroken, *spaces):
            yield from _bytes_decoded(_QUOTED, _from_hexadecimal, one)


def _from_hexadecimal(quoted: str) -> bytes:
    return bytes.fromhex(quoted.replace("=", ""))


def _bytes_decoded(
    pattern: re.Pattern[str], decode: Callable[[str], bytes], text: str
) -> Iterator[str]:
    """Yield a text with some of it decoded to bytes, these taken for UTF-8 and for Latin-1."""
    for encoding in ("utf-8", "latin-1"):
        yield pattern.sub(lambda found: decode(found[0]).decode(encoding, "replace"), text)  # noqa: B023  called at once


def _entities(text: str) -> Iterator[str]:
    if "&" in text:
        # Imported here because its table would slow down each cold start.
        import html  # noqa: PLC0415

        yield html.unescape(text)


def _doubled_quotes(text: str) -> Iterator[str]:
    for quote in "\"'":
        if quote * 2 in text:
            yield text.replace(quote * 2, quote)


def _base64(text: str) -> Iterator[str]:
    for found in _BASE64.findall(text):
        if not _WORD.fullmatch(found):
            yield from _decoded_run(found)


@lru_cache(_REMEMBERED)
def _decoded_run(found: str) -> tuple[str, ...]:
    run = found.translate(_URL_SAFE)
    decoded = []
    for start in range(4):
        part = run[start:]
        whole = part[: len(part) - (len(part) % 4 == 1)]
        data = a2b_base64(whole + "=" * (-len(whole) % 4))
        decoded.append(data.decode("utf-8", "replace"))
        if not data.isascii():
            decoded.append(data.decode("latin-1"))
    return tuple(decoded)


def _taken_for_latin(text: str) -> Iterator[str]:
    if not text.isascii():
        yield _NOT_ASCII.sub(_as_utf_8, text)


def _as_utf_8(found: re.Match[str]) -> str:
    taken = found[0].translate(_BYTE_OF_CP1252)
    try:
        return taken.encode("latin-1").decode("utf-8")
    except ValueError:
        return found[0]


def _composed(text: str) -> Iterator[str]:
    if not text.isascii():
        yield unicodedata.normalize("NFC", text)


_DECODERS: tuple[Decoder, ...] = (
    *(_escapes, _percent, _entities, _quoted_printable, _base64),
    *(_doubled_quotes, _taken_for_latin, _composed),
)
