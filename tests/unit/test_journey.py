"""What the terminal says about an import on its way."""

from pathlib import Path

import pytest

from local import journey
from local.journey import Station


def ledger(state: str, *batches: str) -> list[dict[str, object]]:
    """Items of an import in the ledger."""
    items: list[dict[str, object]] = [{"sk": "IMPORT", "state": state}]
    for number, batch in enumerate(batches, start=1):
        items.append({"sk": f"BATCH#{number:06}", "state": batch})
    return items


@pytest.mark.parametrize(
    ("items", "expected"),
    [
        ([], Station("uploaded", 1, None)),
        (ledger("received", "planned"), Station("uploaded, being validated", 1, None)),
        (ledger("refused"), Station("validated: refused, being answered", 2, 3)),
        (
            ledger("planned", "submitted", "sending"),
            Station("validated, submitted 1 of 2 batches", 3, 8),
        ),
        (
            ledger("planned", "completed", "submitted"),
            Station(
                "validated, submitted 2 of 2 batches, waiting for the remote: 1 of 2 done", 5, 8
            ),
        ),
        (
            ledger("planned", "refused", "unconfirmed"),
            Station("all batches done, delivering", 7, 8),
        ),
        (ledger("notified", "completed"), Station("notified", 6, 6)),
    ],
)
def test_station(items: list[dict[str, object]], expected: Station) -> None:
    """Each state of the ledger has its words, and its place on the bar."""
    assert journey.station(items) == expected


def test_empty_file_is_refused(tmp_path: Path) -> None:
    """An empty file, whose upload would start nothing, is refused before the upload."""
    empty = tmp_path / "accounts.csv"
    empty.touch()
    with pytest.raises(journey.FileError, match="is empty"):
        journey.check_file(empty)
