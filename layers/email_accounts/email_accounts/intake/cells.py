"""Cells of any column: blank, invisible or damaged."""

import re
import unicodedata
from contextlib import suppress

_PLACEHOLDERS = frozenset(
    (
        *("n/a", "n.a.", "n.a", "na", "null", "none", "nil", "nan", "undefined", "empty"),
        *("<na>", "<null>", "<none>", "(null)", "(none)", "(blank)", "(empty)", "[null]", "\\n"),
        *("redacted", "[redacted]", "<redacted>", "(redacted)", "hidden", "[hidden]", "(hidden)"),
        *("<hidden>", "masked", "[masked]", "<masked>", "(masked)", "not set", "not available"),
        *("not provided", "tbd", "k.a.", "keine angabe", "object object"),
        *("same", "same as smtp", "same as above", "as above", "see above", "ditto", "idem"),
        *("wie oben", "siehe oben", "wie smtp"),
    )
)
"""What programs and people write for a blank, or for "as the previous cell", in lower case."""

_NO_SECRET = frozenset(
    (
        *("encrypted", "protected", "blank", "missing", "unknown", "no password", "changeme"),
        *("change me", "not applicable", "to be defined", "leer", "keine", "keines", "keins"),
        *("kein passwort", "unbekannt", "n. v.", "n.v.", "k. a.", "fehlt", "nicht gesetzt"),
        *("nicht vorhanden", "vide", "aucun", "aucune", "inconnu", "s/o", "n/d", "non défini"),
        *("ninguno", "ninguna", "vacío", "vacio", "nessuno", "nessuna", "vuoto", "nenhum"),
        *("nenhuma", "vazio", "geen", "leeg", "нет", "brak", "yok", "todo", "pending", "xxx"),
        *("to follow", "not shown", "set by user", "pendiente", "pendente", "en blanco"),
        *("em branco", "sin contraseña", "sem senha", "sans mot de passe", "senza password"),
        *("ausstehend", "in attesa", "en attente", "не указан", "無し", "なし", "无"),
    )
)
"""What people write in a column of passwords or user names for none."""

_SECRET_NAMED = frozenset(
    ("password", "app password", "secret", "passwort", "kennwort", "mot de passe", "contraseña")
)
"""What means a password still to be filled in, where it is in brackets."""

_TO_FILL_IN = re.compile(
    r"(?:your|enter|insert|my|ihr|dein|votre|tu)[ _-](?:[a-z]+[ _-]){0,2}(?:password|passwort|pass)"
    r"(?:[ _-]here)?",
    re.IGNORECASE,
)
_AROUND = "<>[](){}"

_SIGNS_ALONE = re.compile(r"[-_=.?/\"\u2010-\u2015\u2026\u2212\u3003\u30fc]+")
"""Dashes, dots and ditto marks."""

_MASK = re.compile(
    r"""(?:[*\u2022\u25cf\u2219\u22c5\u00b7\u25aa\u25e6\u26ab\u2b24]+|[xX]{4,})
        (?:\s*[*\u2022\u25cf\u2219\u22c5\u00b7xX])*
    | .{0,4}[*\u2022\u25cf]{4,}.{0,4}                        # ab******** or ********34
    | \{\{.*\}\} | \$\{.*\} | %\w+%                        # of a template""",
    re.VERBOSE,
)
"""What is shown instead of a password."""

_HASH = re.compile(
    r"(?:\{[A-Z0-9.-]{3,20}\})?\$(?:2[abxy]?|[156]|y|argon2\w{0,2})\$.+"
    r"|\{(?:S?SHA\d*|S?MD5|CRYPT|PBKDF2)[A-Z0-9.-]*\}.+"
)

_WRAPPED = re.compile(r'="([^"]*)"|=""([^"]*)""')
PLAIN_PASSWORD = re.compile(r"(?!(?i:xxxx|your[_-])|.{1,4}\*{4})[A-Za-z][!-~]{14,253}[!-~]")
"""A password of simple form; another value may be a password too."""

_DAMAGED = re.compile(
    r"""[+-]?\d(?:[.,]\d+)?[Ee][+-]\d+         # 1.23457E+15
    | \#+ | Loading\.\.\. | \#(?:N/?[ABDV]|I/T|\u041d/\u0414|YOK|GETTING_DATA)
    | \#[\u00bf\u00a1]?(?:(?![a-z1-9_])[\w/]){2,14}[!?]        # #NAME? in any language
    | \#ERROR!? | Err:\d+ | (?i:TRUE|FALSE) | WAHR | FALSCH | VRAI | FAUX | VERDADERO | FALSO
    | VERDADEIRO | VERO | WAAR | ONWAAR | PRAWDA | FA\u0141SZ | DO\u011eRU | YANLI\u015e
    | \u0418\u0421\u0422\u0418\u041d\u0410 | \u041b\u041e\u0416\u042c | SANT | SAND | SANN | FALSKT?
    | =[A-Za-z][A-Za-z.]*\(.*\)""",
    re.VERBOSE,
)
_LIKE_DATE = r"""\d{4}-\d\d-\d\d(?:[ T]\d\d:\d\d(?::\d\d)?)? | \d{1,2}[./]\d{1,2}[./](?:\d\d|\d{4})
    | \d{1,2}[-./ ]{1,2}(?:MONTH)\.?(?:[-. ]\d{2,4})? | (?:MONTH)\.?[- ]\d{2,4}
    | \d{1,2}:\d\d(?::\d\d)?(?:\s?[ap]m)?
    | [$\u20ac\u00a3]\s?\d{1,3}(?:[.,]\d{3})*[.,]\d\d | \d+(?:[.,]\d+)?\s?%
    """.replace(
    "MONTH",
    "jan|janv|ene|gen|feb|f\u00e9vr|fev|mar|mars|mrz|m\u00e4r|m\u00e4rz|apr|avr|abr|may|mai|mag|maj"
    "|jun|juin|giu|jul|juil|lug|aug|ao\u00fbt|ago|sep|sept|set|oct|okt|out|ott|nov|dec|d\u00e9c|dez"
    "|dic",
)
_FILLERS = "\u034f\u115f\u1160\u3164\uffa0"
_LOST_SELECTOR = re.compile("(?<=[!-~])[\ufe00-\ufe0f](?!\u20e3)")
"""It chooses the form of the sign before it, which ASCII has only one of."""
_BLANK_LETTERS = re.compile(f"[{_FILLERS}\ufe00-\ufe0f]")
_JOINERS = "\u200c\u200d"
"""Invisible, but part of how names are written in some scripts."""


def is_placeholder(text: str) -> bool:
    """Return whether a stripped text means blank, or masks its value."""
    lower = text.lower()
    bare = lower.strip(_AROUND).strip()
    return bool(
        not filled(text)
        or bare in _NO_SECRET
        or (bare in _SECRET_NAMED and bare != lower)
        or _TO_FILL_IN.fullmatch(bare)
        or _MASK.fullmatch(text)
    )


def filled(text: str) -> str:
    """Return a text without the blanks around it; "" for what means blank."""
    text = text.strip()
    lower = text.lower()
    if lower in _PLACEHOLDERS or lower.strip(_AROUND) in _PLACEHOLDERS:
        return ""
    if text[:1].isalnum():
        return text
    return "" if _SIGNS_ALONE.fullmatch(text) else unwrapped(text)


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
    if not _may_hide(text):
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
    if not _may_hide(text):
        return ""
    found = dict.fromkeys(
        char for char in text if is_invisible(char) or (char.isspace() and ord(char) > ord("\x7f"))
    )
    found |= dict.fromkeys(_LOST_SELECTOR.findall(text))
    return ", ".join(_named(char) for char in found)


def _may_hide(text: str) -> bool:
    if not text.isprintable():
        return True
    return not text.isascii() and _BLANK_LETTERS.search(text) is not None


def is_invisible(char: str) -> bool:
    """Return whether a character cannot be seen, such as a byte-order mark."""
    return unicodedata.category(char) == "Cf" or char in _FILLERS


def is_hashed(text: str) -> bool:
    """Say whether a text is what servers keep instead of a password."""
    return _HASH.fullmatch(text) is not None


def _named(char: str) -> str:
    return f"U+{ord(char):04X} {unicodedata.name(char, 'unnamed').lower()}"


def is_damaged(text: str) -> bool:
    """Say whether a text is what a spreadsheet leaves of another one."""
    return _DAMAGED.fullmatch(text) is not None


def is_misread(text: str) -> bool:
    """Say whether a text was UTF-8 that a program took for Windows-1252, or has lost letters."""
    if text.isascii():
        return False
    if "\ufffd" in text:
        return True
    with suppress(UnicodeError):
        text.encode("cp1252").decode("utf-8")
        return True
    return False


def is_like_date(text: str) -> bool:
    """Say whether a text is written as a spreadsheet writes dates, times and amounts."""
    return re.fullmatch(_LIKE_DATE, text, re.VERBOSE | re.IGNORECASE) is not None


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
