"""What the account list says of the accounts of a batch; kept beside the remote's reports."""

import csv
from collections.abc import Mapping
from enum import StrEnum
from typing import TextIO

from email_accounts.text.spreadsheet import escape_formula, unescape_formula


class AccountStatus(StrEnum):
    """How an account stands in the account list; one that is not there has none."""

    CONNECTED = "connected"
    NOT_WORKING = "not working"
    CONNECTED_BEFORE = "connected before"


def reconciliation_name(batch_number: int) -> str:
    """Name the evidence on a batch."""
    return f"listed/batch-{batch_number:06d}.csv"


def write_reconciliation(evidence: TextIO, statuses: Mapping[str, AccountStatus]) -> None:
    """Write the standing of each address, given in lower case."""
    writer = csv.writer(evidence, lineterminator="\r\n")
    writer.writerow(("address", "standing"))
    writer.writerows(
        (escape_formula(address), account_status.value)
        for address, account_status in statuses.items()
    )


def read_reconciliation(evidence: TextIO) -> dict[str, AccountStatus]:
    """Read the standing of each address, in lower case."""
    records = csv.reader(evidence)
    next(records)
    return {
        unescape_formula(address): AccountStatus(account_status)
        for address, account_status in records
    }
