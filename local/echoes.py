"""How services write a text that they repeat."""

import base64
import html.entities
import json
import quopri
import unicodedata
from collections.abc import Callable
from urllib.parse import quote, quote_plus


def _go(text: str) -> str:
    escaped = json.dumps(text, ensure_ascii=False)[1:-1]
    return "".join(f"\\u{ord(char):04x}" if char in "&<>" else char for char in escaped)


def _gson(text: str) -> str:
    return "".join(f"\\u{ord(char):04x}" if char in "='" else char for char in _go(text))


def _numbered(form: str, plain: str = "") -> Callable[[str], str]:
    """Write each character but the plain ones as a number."""
    return lambda text: "".join(
        char if char.isascii() and (char.isalnum() or char in plain) else form.format(ord(char))
        for char in text
    )


def _units(text: str) -> str:
    """Return a text in which two surrogates are what is no single unit of UTF-16."""
    data = text.encode("utf-16-le")
    return "".join(chr(data[at] + data[at + 1] * 256) for at in range(0, len(data), 2))


def _escape(text: str) -> str:
    return "".join(
        _bytes_numbered("%{:02X}")(char)
        if char.isascii()
        else f"%{ord(char):02X}"
        if ord(char) < 256  # noqa: PLR2004  a byte
        else f"%u{ord(char):04X}"
        for char in _units(text)
    )


def _bytes_numbered(form: str) -> Callable[[str], str]:
    return lambda text: "".join(
        chr(byte) if chr(byte).isascii() and chr(byte).isalnum() else form.format(byte)
        for byte in text.encode()
    )


def _quoted_word(text: str) -> str:
    return _bytes_numbered("={:02X}")(text).replace("=20", "_")


def _entities(text: str) -> str:
    names = html.entities.codepoint2name | {ord("'"): "apos", ord("!"): "excl", ord("#"): "num"}
    return "".join(f"&{names[ord(char)]};" if ord(char) in names else char for char in text)


def _in_latin_1(text: str) -> bytes:
    """Return the bytes of a text, in UTF-8 where Latin-1 has no such character."""
    return text.encode("latin-1" if max(text) < "\u0100" else "utf-8")


def _base64(before: str, behind: str = "") -> Callable[[str], str]:
    return lambda text: base64.b64encode(f"{before}{text}{behind}".encode()).decode()


ECHOES: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "JSON": lambda text: json.dumps(text)[1:-1],
    "JSON of PHP": lambda text: json.dumps(text)[1:-1].replace("/", r"\/"),
    "JSON of Go": _go,
    "JSON of Gson": _gson,
    "JSON of .NET": lambda text: _numbered("\\u{:04X}", " !#$%()*,-./:;?@[]^_{|}~")(_units(text)),
    "JSON twice": lambda text: json.dumps(json.dumps(text)[1:-1])[1:-1],
    "JavaScript": _numbered("\\u{{{:x}}}"),
    "\\x of JavaScript": _bytes_numbered("\\x{:02x}"),
    "Python": lambda text: repr(text)[1:-1],
    "bytes of Python": lambda text: repr(text.encode())[2:-1],
    "C, octal": _bytes_numbered("\\{:03o}"),
    "C, universal": _numbered("\\U{:08x}"),
    "CSV": lambda text: text.replace('"', '""'),
    "SQL": lambda text: text.replace("'", "''"),
    "percent": quote,
    "percent, all": _bytes_numbered("%{:02X}"),
    "percent, lower case": _bytes_numbered("%{:02x}"),
    "encodeURIComponent": lambda text: quote(text, safe="-_.!~*'()"),
    "form": quote_plus,
    "escape": _escape,
    "HTML": html.escape,
    "HTML, named": _entities,
    "HTML, decimal": _numbered("&#{};"),
    "HTML, hexadecimal": _numbered("&#x{:X};"),
    "quoted-printable": _bytes_numbered("={:02X}"),
    "quoted-printable, lines": lambda text: quopri.encodestring(b"y" * 73 + text.encode()).decode(),
    "quoted-printable, lines joined": lambda text: "".join(
        quopri.encodestring(b"y" * 73 + text.encode()).decode().splitlines()
    ),
    "encoded word": lambda text: f"=?utf-8?q?{_quoted_word(text)}?=",
    "base64": _base64(""),
    "base64 without padding": lambda text: _base64("")(text).rstrip("="),
    "base64, second": _base64("x"),
    "base64, third": _base64("xy", "?"),
    "base64 for URLs": lambda text: base64.urlsafe_b64encode(f"?~{text}~?".encode()).decode(),
    "base64 behind letters": lambda text: f"xyz{_base64('')(text)}",
    "SASL PLAIN": lambda text: base64.b64encode(f"\0robin@a.example\0{text}".encode()).decode(),
    "base64 of Latin-1": lambda text: base64.b64encode(_in_latin_1(text)).decode(),
    "base64 in lines": lambda text: base64.encodebytes(("y" * 50 + text).encode()).decode(),
    "NFC": lambda text: unicodedata.normalize("NFC", text),
    "NFD": lambda text: unicodedata.normalize("NFD", text),
    "NFKC": lambda text: unicodedata.normalize("NFKC", text),
    "NFKD": lambda text: unicodedata.normalize("NFKD", text),
    "Latin-1": lambda text: text.encode().decode("latin-1"),
    "Windows-1252": lambda text: text.encode().decode("cp1252", "replace"),
}
"""Each is found in all texts of four characters or more, also where two follow one another."""


def in_turn(number: int, text: str) -> str:
    """Write the text of so many before it in one way, and the next one in another."""
    return tuple(ECHOES.values())[number % len(ECHOES)](text)
