"""Names of columns: made comparable, and quoted only where they cannot be anything else."""

import re
import unicodedata

_NO_LETTERS = re.compile(r"[^0-9a-z]+")
_ADDRESS = re.compile(r"\S@\S")
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[^\W\d_A-Za-z][^\W\d_]*")
_BETWEEN = re.compile(r"[ _./&()[\]-]*")
_LONGEST_NAME = 40
_LONGEST_WORD = 15
_FEW_WORDS = _FEW_LETTERS = 2
_LENGTHS_OF_APP_PASSWORD = {(4, 4, 4, 4)}
"""Google, Yahoo and Apple hand out sixteen lower-case letters, often in groups of four."""


def normalize_header(text: str) -> str:
    """Keep a text's letters and digits alone, in lower case."""
    return _NO_LETTERS.sub("", text.lower())


def holds_address(header: str) -> bool:
    """Say whether the name of a column holds an email address, which makes it a value."""
    return bool(_ADDRESS.search(unicodedata.normalize("NFKC", header)))


def looks_like_a_name(header: str) -> bool:
    """Say whether a header can be quoted: a few words, and nothing that may be a password.

    A file without a header row has a password in its first line. So a header with a digit or an
    unusual sign is not quoted, nor are letters in random case, or in the groups of an app password.
    """
    header = unicodedata.normalize("NFC", header.strip())
    if not 0 < len(header) <= _LONGEST_NAME or _BETWEEN.fullmatch(_WORDS.sub("", header)) is None:
        return False
    words = [len(word) for word in _WORDS.findall(header)]
    short = sum(length <= _FEW_LETTERS for length in words)
    in_random_case = len(words) > _FEW_WORDS and short * 2 > len(words)
    return (
        bool(words)
        and max(words) <= _LONGEST_WORD
        and not in_random_case
        and tuple(words) not in _LENGTHS_OF_APP_PASSWORD
    )


def shown_header(header: str, position: int) -> str:
    """Return a header as people and logs may see it; `position` counts from 1."""
    return header.strip() if looks_like_a_name(header) else f"column {position}"
