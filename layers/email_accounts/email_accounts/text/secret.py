"""Values that must not be seen: passwords and the API key."""

import unicodedata
from base64 import b64encode
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import NoReturn

from email_accounts.text.decoding import decoded_once, decodings

HIDDEN = "***"
SHORTEST_FOUND_INSIDE = 4
"""From so many characters on, blanks not counted, a secret is found inside of a longer text."""

_START = SHORTEST_FOUND_INSIDE
_LONGEST_READ = 10_000
_REMEMBERED = 2_000
"""Texts whose decodings a redactor remembers: what mail servers say differs in a few words."""

_URL_SAFE = str.maketrans("-_", "+/")


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
    """Hides texts that hold one of the given secrets, however it is written.

    A text is hidden whole, because what is left of it would reveal how long the secret is, or show
    the end of one that is only partly known. It is decoded in each way of `decodings`; Unicode's
    forms and blanks make no difference. A secret of fewer than four characters hides a text that
    is nothing else: inside of others it would hide everything. So does a text that is too long to
    be inspected.

    What is cleaned can be decoded once more without a secret coming to light.
    """

    def __init__(self, secrets: Iterable[Secret]) -> None:
        """Prepare to hide these secrets."""
        texts = {secret.reveal() for secret in secrets}
        self._whole = {_folded(text) for text in texts} - {""}
        long = {text for text in texts if len(_folded(text)) >= SHORTEST_FOUND_INSIDE}
        self._inside = {part for text in long for part in (_folded(text), *_in_base64(text))}
        self._starts = {part[:_START] for part in self._inside}
        self._decoded_once = lru_cache(_REMEMBERED)(decoded_once)
        self._is_in = lru_cache(_REMEMBERED)(self._holds)

    @property
    def has_short_ones(self) -> bool:
        """Whether some secret is found only where it is the whole text."""
        return any(len(text) < SHORTEST_FOUND_INSIDE for text in self._whole)

    def may_be_parted_by(self, character: str) -> bool:
        """Say whether a secret holds a character at which a text was parted."""
        return any(character in text for text in self._whole)

    def clean(self, text: str) -> str:
        """Return the text, or `***` where it holds a secret."""
        return HIDDEN if self.finds_in(text) else text

    def finds_in(self, text: str) -> bool:
        """Return whether a text holds a secret, or is too long to be sure."""
        if len(text) > _LONGEST_READ:
            return bool(self._whole)
        return any(map(self._is_in, decodings(text, self._decoded_once)))

    def _holds(self, text: str) -> bool:
        folded = _folded(text)
        if folded in self._whole:
            return True
        for one in {folded, folded.translate(_URL_SAFE)}:
            # Most texts hold the start of none: that costs one lookup per character.
            starts = map("".join, zip(*(one[at:] for at in range(_START)), strict=False))
            if not self._starts.isdisjoint(starts) and any(map(one.__contains__, self._inside)):
                return True
        return False


def _folded(text: str) -> str:
    """Return a text without blanks and NULs, its characters in their simplest form."""
    if not text.isascii():
        text = unicodedata.normalize("NFKD", text)
    return "".join(text.replace("\0", "").split())


def _in_base64(text: str) -> Iterator[str]:
    """Yield the base64 forms of a text at each offset within a longer text."""
    data = text.encode("utf-8", "surrogatepass")
    for before in range(3):
        encoded = b64encode(bytes(before) + data).decode()
        first, last = -(-before * 8 // 6), (before + len(data)) * 8 // 6
        yield encoded[first:last]
