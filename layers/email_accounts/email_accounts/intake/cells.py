"""Cells of any column: blank, invisible or damaged."""

import re
import unicodedata

_PLACEHOLDERS = frozenset(
    (
        *("-", "--", "---", "_", "?", "??", ".", "...", "\u2013", "\u2014", "\u2026", "/"),
        *("n/a", "n.a.", "n.a", "na", "null", "none", "nil", "nan", "undefined", "empty"),
        *("<na>", "<null>", "<none>", "(null)", "(none)", "(blank)", "(empty)", "[null]", "\\n"),
        *("redacted", "[redacted]", "<redacted>", "(redacted)", "hidden", "[hidden]", "(hidden)"),
        *("<hidden>", "masked", "[masked]", "<masked>", "(masked)", "not set", "not available"),
        *("not provided", "tbd", "k.a.", "keine angabe"),
    )
)
"""What programs and people write for nothing, in lower case."""

_MASK = re.compile(
    r"(?:[*\u2022\u25cf\u2219\u22c5\u00b7\u25aa\u25e6\u26ab\u2b24]+|[xX]{4,})"
    r"(?:\s*[*\u2022\u25cf\u2219\u22c5\u00b7xX])*"
)
"""What is shown instead of a password."""

_WRAPPED = re.compile(r'="([^"]*)"|=""([^"]*)""')
PLAIN_PASSWORD = re.compile(r"(?!xxxx|XXXX)[A-Za-z][!-~]{14,253}[!-~]")
"""A password of simple form; another value may be a password too."""

_DAMAGED = re.compile(
    r"""[+-]?\d(?:[.,]\d+)?E[+-]\d+            # 1.23457E+15
    | \#+ | \#(?:N/?A|NAME\?|REF!|VALUE!|DIV/0!|NUM!|NULL!|SPILL!|CALC!|FIELD!|GETTING_DATA
        |BLOCKED!|CONNECT!|UNKNOWN!|BUSY!|[A-Z\u00c0-\u00dc/0]{2,12}[!?])   # in other languages
    | \#ERROR!? | Err:\d+ | TRUE | FALSE | WAHR | FALSCH | VRAI | FAUX | VERDADERO | FALSO
    | =[A-Za-z][A-Za-z.]*\(.*\)""",
    re.VERBOSE,
)
_LIKE_DATE = re.compile(
    r"""\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d)?)? | \d{1,2}[./]\d{1,2}[./](?:\d\d|\d{4})
    | \d{1,2}[-. ](?:[A-Z][a-z]{2})(?:[-. ]\d{2,4})? | [A-Z][a-z]{2}[- ]\d\d
    | \d{1,2}:\d\d(?::\d\d)?
    """,
    re.VERBOSE,
)
_SPACE = re.compile(r"\s+")
_JOINERS = "\u200c\u200d"
"""Invisible, but part of how names are written in some scripts."""


def is_placeholder(text: str) -> bool:
    """Return whether a stripped text means blank, or masks its value."""
    return text.lower() in _PLACEHOLDERS or _MASK.fullmatch(text) is not None


def filled(text: str) -> str:
    """Return a text without the blanks around it; "" for what means blank."""
    text = text.strip()
    return "" if text.lower() in _PLACEHOLDERS else unwrapped(text)


def unwrapped(text: str) -> str:
    """Return the text in `="..."`, which keeps spreadsheets from changing a cell of a CSV."""
    if not text.startswith("="):
        return text
    found = _WRAPPED.fullmatch(text)
    return (found[1] or found[2] or "") if found else text


def visible(text: str) -> tuple[str, str]:
    """Return a text without invisible characters, and what these are called.

    Blanks of any width become plain ones. Joiners stay in texts with other non-ASCII characters.
    """
    if text.isprintable():
        return text, ""
    kept = _JOINERS if not text.translate(dict.fromkeys(map(ord, _JOINERS))).isascii() else ""
    found = dict.fromkeys(char for char in text if is_invisible(char) and char not in kept)
    shown = "".join(char for char in text if char not in found)
    named = ", ".join(_named(char) for char in found)
    return "".join(
        " " if char.isspace() and ord(char) > ord(" ") else char for char in shown
    ), named


def invisible_in(text: str) -> str:
    """Return what the invisible characters in a text are called, wide blanks among them."""
    if text.isprintable():
        return ""
    found = dict.fromkeys(
        char for char in text if is_invisible(char) or (char.isspace() and ord(char) > ord("\x7f"))
    )
    return ", ".join(_named(char) for char in found)


def is_invisible(char: str) -> bool:
    """Return whether a text has characters without width, such as a byte-order mark."""
    return unicodedata.category(char) == "Cf"


def _named(char: str) -> str:
    return f"U+{ord(char):04X} {unicodedata.name(char, 'unnamed').lower()}"


def is_damaged(text: str) -> bool:
    """Say whether a text is what a spreadsheet leaves of another one."""
    return _DAMAGED.fullmatch(text) is not None


def is_like_date(text: str) -> bool:
    """Say whether a text is written as a spreadsheet writes dates and times."""
    return _LIKE_DATE.fullmatch(text) is not None


def without_blanks(text: str) -> str:
    """Return a text without any blank."""
    return _SPACE.sub("", text)


def in_ascii(domain: str) -> str:
    """Return the name of a domain or server as mail servers know it: xn--… for other letters.

    A name that different standards write differently stays as it is.
    """
    if domain.isascii():
        return domain
    try:
        written = domain.encode("idna").decode("ascii")
        again = written.encode("ascii").decode("idna")
    except UnicodeError:
        return domain
    return written if again == unicodedata.normalize("NFC", domain.lower()) else domain
