"""Names of columns, made comparable."""

import re

_NO_LETTERS = re.compile(r"[^0-9a-z]+")


def normalize_header(text: str) -> str:
    """Keep a text's letters and digits alone, in lower case."""
    return _NO_LETTERS.sub("", text.lower())
