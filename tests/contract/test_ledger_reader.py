"""Reading the ledger as the command line does: imports by id and by day."""

import boto3

from email_accounts.aws.dynamodb import DynamoLedger, LedgerReader
from email_accounts.models.imports import BatchRange, Plan
from email_accounts.models.upload import Upload
from tests.support.aws import new_table
from tests.support.ledger import planned

NOON = 1_790_000_000.25
DAY = 86_400.0


def test_imports_are_found_by_id_and_by_day() -> None:
    """Newest first, from a time on and before another, over days of UTC and days without any.

    The index holds imports alone, though the table holds budgets and account indexes as well.
    """
    table, client = new_table(), boto3.client("dynamodb")
    ledger, reader = DynamoLedger(client, table, DAY), LedgerReader(client, table)
    midnight = NOON - NOON % DAY
    times = [NOON, NOON - 1, midnight, midnight - 1, NOON - 3 * DAY, NOON - 4 * DAY]
    uploads = [Upload("inbox", f"uploads/{at}.csv", "v1", 1) for at in range(len(times))]
    for upload, at in zip(uploads, times, strict=True):
        assert ledger.claim(upload, at, at + DAY)[1]
    ledger.lease_index("default", NOON, NOON + 300)
    ledger.take_call("default", "one", 1, NOON, 5, rank=NOON)
    found = [one.id for one in reader.by_day(NOON - 3 * DAY, NOON)]
    assert found == [one.import_id for one in uploads[1:5]]
    assert reader.find(uploads[0].import_id) == ledger.get(uploads[0].import_id)
    assert reader.find("0" * 32) is None


def test_a_planned_import_counts_its_rows() -> None:
    """What was planned is what is read, from the index as well."""
    table, client = new_table(), boto3.client("dynamodb")
    ledger, reader = DynamoLedger(client, table, DAY), LedgerReader(client, table)
    upload = Upload("inbox", "uploads/a.csv", "v1", 1)
    ledger.claim(upload, NOON, NOON + DAY)
    plan = Plan((BatchRange(1, 2, 8, 5),), 8, 2, 1)
    planned(ledger, upload.import_id, plan, NOON)
    [listed] = reader.by_day(NOON, NOON + 1)
    assert listed == reader.find(upload.import_id)
    assert (listed.rows, listed.accepted, listed.rejected, listed.duplicates) == (8, 5, 2, 1)
