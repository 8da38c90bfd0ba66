"""Every file that people have is imported end to end, whatever its columns, format and encoding."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.cloud import ROOT, LocalCloud, Subscriber

pytestmark = pytest.mark.e2e

SAMPLES = ROOT / "tests/samples"
COUNTS = {
    "accounts.csv": {"connected": 234, "failed": 6, "rejected": 5, "duplicate": 1},
    "accounts.json": {"connected": 30},
    "instantly.csv": {"connected": 120},
    "smartlead.csv": {"connected": 60},
    "layouts/brandjet.json": {"connected": 3, "failed": 1},
    "layouts/email-password.csv": {"connected": 2, "failed": 1, "rejected": 1},
    "layouts/emailbison.csv": {"connected": 2, "failed": 1, "rejected": 1},
    "layouts/instantly.xlsx": {"connected": 2, "failed": 1, "rejected": 1, "duplicate": 1},
    "layouts/mailbox-seller.csv": {"connected": 2, "failed": 1, "rejected": 1},
    "layouts/salesblink.csv": {"connected": 2, "failed": 1, "rejected": 1},
    "layouts/saleshandy-api.jsonl": {"connected": 3, "failed": 1, "rejected": 1},
    "layouts/sendkit.csv": {"connected": 2, "failed": 1, "duplicate": 1},
    "layouts/smartlead.csv.gz": {"connected": 3, "failed": 1},
    "layouts/snov.csv": {"connected": 1, "failed": 1, "rejected": 1},
    "layouts/warm-up.jsonl.gz": {"connected": 1, "failed": 1, "rejected": 2},
    "layouts/woodpecker.txt": {"connected": 3, "failed": 1},
}
"""What becomes of the rows of each file: each layout has one whose password is refused."""


def test_every_layout(cloud: LocalCloud, subscriber: Subscriber) -> None:
    """Files in all layouts, dropped at once, end with the outcomes of their rows."""
    files = [path.relative_to(SAMPLES) for path in SAMPLES.rglob("*") if path.is_file()]
    # The others need no cloud.
    others = {"field-cases", "tables"}
    assert sorted(str(one) for one in files if one.parts[0] not in others) == sorted(COUNTS)
    cloud.behave()
    with ThreadPoolExecutor(len(COUNTS)) as threads:
        identities = [*threads.map(lambda name: upload(cloud, name), COUNTS)]
    counted = [subscriber.answer(identity).document["counts"] for identity in identities]

    assert dict(zip(COUNTS, map(filled, counted), strict=True)) == {
        name: {"rows": sum(counts.values())} | counts for name, counts in COUNTS.items()
    }
    connected = sum(counts["connected"] for counts in COUNTS.values())
    known = cloud.control("GET", "accounts").json()
    assert sum(account["status"] == 1 for account in known) == connected

    # The workbook has a blank row, which a spreadsheet counts.
    outcomes = cloud.outcomes(identities[[*COUNTS].index("layouts/instantly.xlsx")])
    assert [(line["row"], line["outcome"]) for line in outcomes] == [
        ("2", "connected"),
        ("3", "failed"),
        ("5", "rejected"),
        ("6", "duplicate"),
        ("7", "connected"),
    ]


def upload(cloud: LocalCloud, name: str) -> str:
    """Drop a sample under its own name, for the default workspace; return the id of its import."""
    return cloud.upload(f"uploads/default/{name}", (SAMPLES / name).read_bytes())


def filled(counts: dict[str, int]) -> dict[str, int]:
    """Leave out what did not occur."""
    return {name: count for name, count in counts.items() if count}
