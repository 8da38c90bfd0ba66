"""Measures the largest reports: size of the file, seconds, memory, and the counts.

    make up && . .local/env && .venv/bin/python -m tests.benchmarks.deliveries

The inbox and the reports are buckets of the S3 that the environment names; the ledger is in
memory. Each case is delivered in a process of its own.
"""

import csv
import io
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator

import boto3

from email_accounts.aws.s3 import InboxBucket, ReportsBucket
from email_accounts.intake.accounts_file import open_accounts_file
from email_accounts.intake.batches import plan
from email_accounts.models.account import FIELDS
from email_accounts.models.upload import Upload
from email_accounts.saleshandy.report import report_name
from tests.benchmarks.samples import rows as sample_rows
from tests.support.fakes import World

BATCHES = 10_000
_INBOX, _REPORTS = "benchmark-inbox", "benchmark-reports"
_KEY = "uploads/accounts.csv"


def _reported() -> Iterator[list[str]]:
    yield from sample_rows(BATCHES * 100)


def _rejected() -> Iterator[list[str]]:
    for number in range(2_000_000):
        yield ["gsuite", "A", "B", f"nobody{number}", *[""] * 11]


def _without_address() -> Iterator[list[str]]:
    for _ in range(5_000_000):
        yield ["gsuite", "A", "B", *[""] * 12, "x" * 80]


CASES: dict[str, Callable[[], Iterator[list[str]]]] = {
    "10,000 batches of 100, each with a report of 10 failures": _reported,
    "2,000,000 rejected rows": _rejected,
    "500 MB of rows without an address": _without_address,
}


def main(case: str) -> None:
    """Deliver one import and print what it took."""
    client = boto3.client("s3")
    for bucket in (_INBOX, _REPORTS):
        client.create_bucket(Bucket=bucket)
    with tempfile.TemporaryFile("w+b") as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        writer = csv.writer(text)
        writer.writerow(FIELDS)
        writer.writerows(CASES[case]())
        text.flush()
        size = file.tell()
        file.seek(0)
        client.upload_fileobj(file, _INBOX, _KEY)
        text.detach()
    world = World()
    world.uploads = InboxBucket(client)  # type: ignore[assignment]
    world.reports = ReportsBucket(client, _REPORTS)  # type: ignore[assignment]
    upload = Upload(_INBOX, _KEY, "", size, world.clock())
    _finish(world, upload)
    began, cpu = time.monotonic(), time.process_time()
    answer = world.deliverer().deliver(upload.import_id)
    seconds, cpu = time.monotonic() - began, time.process_time() - cpu
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    outcomes = answer.summary.outcomes if answer else {}
    counts = ", ".join(f"{count:,} {name}" for name, count in outcomes.items() if count)
    print(f"| {case} | {size >> 20} | {cpu:.0f} | {seconds:.0f} | {peak} | {counts} |")  # noqa: T201


def _finish(world: World, upload: Upload) -> None:
    """Plan the import, and have each of its batches completed with a report."""
    imported, _ = world.ledger.claim(upload, world.clock(), world.clock() + 86_400)
    lease = world.ledger.lease(imported.id, world.clock(), world.clock() + 900)
    with world.uploads.open(upload) as content:
        file = open_accounts_file(content)
        world.ledger.plan(imported.id, str(lease), plan(file, 100), ())
    world.ledger.release(imported.id, str(lease))
    for batch in list(world.ledger.batches(imported.id)):
        name = report_name(batch.number)
        with world.reports.writer(imported.id, name, "text/csv") as report:
            lines = csv.writer(report)
            lines.writerow(["Email", "Reason"])
            first = (batch.number - 1) * 100
            for number in range(first, first + 10):
                address = f"firstname.lastname{number:07}@company{number % 97:02}.example"
                lines.writerow([address, f"535 5.7.8 authentication failed ({number})"])
        sent = world.ledger.save(imported.id, batch, batch.sending(1, reconciliation=False))
        sent = world.ledger.save(imported.id, sent, sent.submitted("1", 1, 1))
        world.ledger.save(imported.id, sent, sent.completed(1, report=True))


if __name__ == "__main__":
    if sys.argv[1:]:
        main(sys.argv[1])
    else:
        print("| import | MB | CPU s | s | peak MiB | rows |")  # noqa: T201
        for one in CASES:
            subprocess.run([sys.executable, "-m", __spec__.name, one], check=True)
