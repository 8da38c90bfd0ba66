"""Which column of a file holds which field."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from email_accounts.account import ADDRESS_FIELD, FIELDS
from email_accounts.errors import FileRefusedError

_SEPARATORS = re.compile(r"[^0-9a-z]+")


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of a file: for each of FIELDS its position, or None where it has none."""

    positions: tuple[int | None, ...]
    unknown: tuple[str, ...]
    width: int

    def values(self, cells: Sequence[str]) -> list[str]:
        """Pick the cells of a row in the order of FIELDS; what is missing is blank."""
        count = len(cells)
        return [
            cells[position] if position is not None and position < count else ""
            for position in self.positions
        ]


def normalise_header(header: str) -> str:
    """Fold a header so that `smtpHost`, `SMTP Host` and `smtp_host` are the same."""
    return _SEPARATORS.sub("", header.strip().lstrip("\ufeff").lower())


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)


_FIELD_OF = {normalise_header(field): field for field in FIELDS}


def resolve(headers: Sequence[str]) -> Layout:
    """Find the fields among the headers; the first of two equal headers counts.

    Raises:
        FileRefusedError: no header is the address of an account.
    """
    found: dict[str, int] = {}
    unknown: list[str] = []
    for position, header in enumerate(headers):
        field = _FIELD_OF.get(normalise_header(header))
        if field is None:
            unknown.append(_printable(header.strip()))
        else:
            found.setdefault(field, position)
    if ADDRESS_FIELD not in found:
        raise FileRefusedError(
            f"None of its columns is {ADDRESS_FIELD}, the address of an account.",
            f"Name the columns {', '.join(FIELDS)}.",
        )
    return Layout(
        tuple(found.get(field) for field in FIELDS), tuple(filter(None, unknown)), len(headers)
    )
