"""The accounts of a batch as found in the account list; stored with Saleshandy's reports."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TextIO

from email_accounts.models.service import AccountStatus
from email_accounts.text.spreadsheet import escape_formula, unescape_formula

_COLUMNS = ("address", "before", "after", "created", "sent", "seen")


@dataclass(frozen=True, slots=True)
class Observation:
    """What the list shows of an address before and after its batch was sent.

    `after` is None if the list was not read, and unknown if it was not available. `is_new`
    says that the account was created after the sending, `sent` that it was sent at all: one that
    was active before may be skipped, one whose sign-in is proven not to work is `held` back.
    `seen_at` is when the list showed that, in seconds since the epoch; 0 where it did not.
    """

    before: AccountStatus = AccountStatus.UNKNOWN
    after: AccountStatus | None = None
    is_new: bool = False
    sent: bool = True
    seen_at: float = 0.0
    held: bool = False


def reconciliation_name(batch_number: int) -> str:
    """Name the file of what is observed of a batch."""
    return f"listed/batch-{batch_number:06d}.csv"


def write_reconciliation(text: TextIO, observed: Mapping[str, Observation]) -> None:
    """Write what is observed of each address, given in lower case."""
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(_COLUMNS)
    writer.writerows(
        (
            *(escape_formula(address), one.before, one.after or ""),
            *("new" * one.is_new, "yes" if one.sent else "held" if one.held else "skipped"),
            f"{one.seen_at:.0f}" if one.seen_at else "",
        )
        for address, one in observed.items()
    )


def read_reconciliation(text: TextIO) -> dict[str, Observation]:
    """Read what is observed of each address, in lower case."""
    records = csv.reader(text)
    next(records)
    return {
        unescape_formula(address): Observation(
            AccountStatus(before),
            AccountStatus(after) if after else None,
            created == "new",
            sent == "yes",
            float(*seen) if any(seen) else 0.0,
            sent == "held",
        )
        for address, before, after, created, sent, *seen in records
    }
