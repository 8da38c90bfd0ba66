"""What the account list says of the accounts of a batch; kept beside the remote's reports."""

import csv
from collections.abc import Mapping
from enum import StrEnum
from typing import TextIO


class Standing(StrEnum):
    """How an account stands in the account list; one that is not there has none."""

    CONNECTED = "connected"
    NOT_WORKING = "not working"
    CONNECTED_BEFORE = "connected before"


def evidence_name(batch_number: int) -> str:
    """Name the evidence on a batch."""
    return f"listed/batch-{batch_number:06d}.csv"


def write_evidence(evidence: TextIO, standings: Mapping[str, Standing]) -> None:
    """Write the standing of each address, given in lower case."""
    writer = csv.writer(evidence, lineterminator="\r\n")
    writer.writerow(("address", "standing"))
    writer.writerows((address, standing.value) for address, standing in standings.items())


def read_evidence(evidence: TextIO) -> dict[str, Standing]:
    """Read the standing of each address, in lower case."""
    records = csv.reader(evidence)
    next(records)
    return {address: Standing(standing) for address, standing in records}
