"""Values that must not be seen: passwords and the API key."""

import html
import json
import re
from collections.abc import Iterable, Iterator
from typing import NoReturn
from urllib.parse import quote, quote_plus

HIDDEN = "***"
_SHORTEST_FOUND_INSIDE = 4


class Secret:
    """A text that prints as `***` everywhere and is handed out by `reveal` alone."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        """Hide the text."""
        self._text = text

    def reveal(self) -> str:
        """Return the text itself, for the one place that sends it."""
        return self._text

    def __repr__(self) -> str:
        """Hide the text from logs, messages and debuggers."""
        return HIDDEN

    def __format__(self, spec: str) -> str:
        """Hide the text from f-strings."""
        return format(HIDDEN, spec)

    def __eq__(self, other: object) -> bool:
        """Compare by the text."""
        return isinstance(other, Secret) and self._text == other._text

    def __hash__(self) -> int:
        """Hash by the text."""
        return hash(self._text)

    def __reduce__(self) -> NoReturn:
        """Refuse to be written anywhere (pickle, copy)."""
        raise TypeError("a secret is not written anywhere")


class Redactor:
    """Removes the given secrets from texts that come from outside.

    A cell that is a secret is hidden whatever its length; inside a longer text only
    secrets of four or more characters are looked for, because a shorter one would blot
    out the text around it. Each is looked for as it is and as services quote it.
    """

    def __init__(self, secrets: Iterable[Secret]) -> None:
        """Prepare to remove these secrets."""
        self._whole = {text for secret in secrets for text in _writings(secret.reveal())} - {""}
        inside = sorted(
            (text for text in self._whole if len(text) >= _SHORTEST_FOUND_INSIDE),
            key=len,
            reverse=True,
        )
        self._inside = re.compile("|".join(map(re.escape, inside))) if inside else None

    def may_be_parted_by(self, character: str) -> bool:
        """Say whether a secret holds a character at which a text was parted."""
        return any(character in text for text in self._whole)

    def clean(self, text: str) -> str:
        """Return the text with every secret in it replaced by `***`."""
        if text.strip() in self._whole:
            return HIDDEN
        return self._inside.sub(HIDDEN, text) if self._inside else text


def _writings(text: str) -> Iterator[str]:
    """Yield a text as it is, and as JSON, URLs, HTML, CSV and Python quote it."""
    yield text
    if text.isalnum() and text.isascii():
        return  # all of them leave it as it is
    for quoted in (json.dumps(text)[1:-1], json.dumps(text, ensure_ascii=False)[1:-1]):
        yield from (quoted, quoted.replace("/", r"\/"))
    yield from (quote(text), quote(text, safe=""), quote_plus(text))
    in_html = html.escape(text)
    by_number = in_html.replace("&#x27;", "&#39;")
    yield from (in_html, by_number, by_number.replace("&quot;", "&#34;"))
    yield html.escape(text, quote=False)
    yield from (text.replace('"', '""'), repr(text)[1:-1])
