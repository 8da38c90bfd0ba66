"""Measures the delivery of the largest imports, and writes it into docs/measurements.md.

S3, DynamoDB, SNS and EventBridge are the emulator's, in a process of its own. Each import is
delivered by the function's own parts in another process, whose time and memory are
measured. Any write to a file fails there. `python -m tests.benchmarks.delivery 0.01` measures
smaller imports, and writes nothing.
"""

import csv
import io
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import boto3

from email_accounts.delivery.message import message_of
from email_accounts.intake.accounts_file import open_accounts_file
from email_accounts.intake.batches import plan
from email_accounts.lambda_runtime.container import Container
from email_accounts.lambda_runtime.settings import Settings
from email_accounts.models.account import FIELDS
from email_accounts.models.imports import BatchRange, BatchState
from email_accounts.models.upload import Upload
from email_accounts.ports import Reports
from email_accounts.saleshandy.report import report_name
from local import processes
from local.cloud import DEFAULTS, State, _start_emulator
from tests.benchmarks.cold_start import ENVIRONMENT
from tests.benchmarks.samples import rows
from tests.support.aws import new_bucket, new_bus, new_table, new_topic
from tests.support.measurements import write
from tests.support.template import template

ROOT = Path(__file__).parents[2]
BATCHES, BATCH, REJECTED = 10_000, 100, 1_999_999
WRITERS = 8
Reason = Callable[[int], str]


def _equal(_: int) -> str:
    return "535 5.7.8 Username and Password not accepted"


def _distinct(number: int) -> str:
    session = f"{number * 0x9E3779B97F4A7C15 % (1 << 100):025x}"
    return (
        "535-5.7.8 Username and Password not accepted. For more information, go to 535 5.7.8 "
        f"https://support.google.com/mail/?p=BadCredentials {session[:13]}-{session[13:]}.{number} "
        "- gsmtp"
    )


CASES: dict[str, Reason | None] = {
    "failures for one reason": _equal,
    "failures for reasons of their own": _distinct,
    "rejected rows": None,
}
"""The reasons of a million failures in as many reports as there are batches; or none."""


def main(share: float) -> None:
    """Measure each case and write the table."""
    (ROOT / ".local").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ROOT / ".local") as folder:
        state = State(Path(folder))
        try:
            os.environ |= ENVIRONMENT | _start_emulator(state, DEFAULTS)
            results = {case: _measured(reason, share) for case, reason in CASES.items()}
        finally:
            processes.stop(state.record)
    text = _table(results)
    print(text)  # noqa: T201
    if share == 1:
        write("delivery", text)


def _measured(reason: Reason | None, share: float) -> dict[str, object]:
    """Prepare an import and deliver it in a process of its own."""
    queue = new_bus("default", {"source": ["email-accounts-importer"]})
    inbox, (topic, _) = new_bucket(), new_topic()
    os.environ |= {
        "LEDGER_TABLE": new_table(),
        "REPORTS_BUCKET": new_bucket(),
        "NOTIFICATION_TOPIC": topic,
        "EVENT_BUS": "default",
    }
    import_id = _prepared(Container(Settings.read(os.environ)), inbox, reason, share)
    command = [sys.executable, "-m", "tests.benchmarks.delivery", import_id]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    result: dict[str, object] = json.loads(done.stdout)
    assert boto3.client("sqs").receive_message(QueueUrl=queue)["Messages"]  # one event came
    return result


def _prepared(parts: Container, inbox: str, reason: Reason | None, share: float) -> str:
    """Leave an import as it is when its last batch has ended; return its id."""
    content = _file(reason, share)
    boto3.client("s3").upload_fileobj(io.BytesIO(content), inbox, "uploads/accounts.csv")
    deliverer, now = parts.deliverer(), time.time()
    uploads, reports, ledger = deliverer.uploads, deliverer.reports, deliverer.ledger
    upload = uploads.found(Upload(inbox, "uploads/accounts.csv", "", len(content)))
    imported, _ = ledger.claim(upload, now, now + 86_400)
    lease = ledger.lease(imported.id, now, now + 900)
    assert lease
    planned = plan(open_accounts_file(io.BytesIO(content)), BATCH)
    ledger.plan(imported.id, lease, planned, ())
    ledger.release(imported.id, lease)

    if reason:
        with ThreadPoolExecutor(WRITERS) as pool:
            list(pool.map(partial(_report, reports, imported.id, reason), planned.batches))
        _complete(imported.id)
    return imported.id


def _report(reports: Reports, import_id: str, reason: Reason, batch: BatchRange) -> None:
    """Write the copy of a report in which each account failed."""
    with reports.writer(import_id, report_name(batch.number), "text/csv") as report:
        lines = csv.writer(report, quoting=csv.QUOTE_ALL)
        lines.writerow(["Email", "Status", "Reason"])
        for number in range((batch.number - 1) * BATCH, batch.number * BATCH):
            address = f"firstname.lastname{number:07}@company{number % 97:02}.example"
            lines.writerow([address, "Failed", reason(number)])


def _complete(import_id: str) -> None:
    """Have the ledger know each batch as completed, with a report."""
    client, table = boto3.client("dynamodb"), os.environ["LEDGER_TABLE"]
    pages = client.get_paginator("query").paginate(
        TableName=table,
        KeyConditionExpression="pk = :pk AND begins_with(sk, :sk)",
        ExpressionAttributeValues={":pk": {"S": f"IMPORT#{import_id}"}, ":sk": {"S": "BATCH#"}},
    )
    completed = {"state": {"S": BatchState.COMPLETED}, "report": {"BOOL": True}}
    items = (item | completed for page in pages for item in page["Items"])
    while chunk := list(islice(items, 25)):
        puts: list[Any] = [{"PutRequest": {"Item": item}} for item in chunk]
        client.batch_write_item(RequestItems={table: puts})


def _file(reason: Reason | None, share: float) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(FIELDS)
    writer.writerows(rows(int(BATCHES * share) * BATCH) if reason else _rejected(share))
    return text.getvalue().encode()


def _rejected(share: float) -> Iterator[list[str]]:
    for number in range(int(REJECTED * share)):
        yield ["gsuite", "A", "B", f"nobody{number}", *[""] * 11]


def deliver(import_id: str) -> None:
    """Deliver an import and print what that took."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    began = time.monotonic()
    result = Container(Settings.read(os.environ)).deliverer().deliver(import_id)
    assert result
    seconds, used = time.monotonic() - began, resource.getrusage(resource.RUSAGE_SELF)
    status = Path("/proc/self/status").read_text()
    message = message_of(result)
    s3, bucket = boto3.client("s3"), os.environ["REPORTS_BUCKET"]
    sizes = {
        name: s3.head_object(Bucket=bucket, Key=f"imports/{import_id}/{name}")["ContentLength"]
        for name in ("outcome.csv", "report.html", "summary.json")
    }
    found = {
        "rows": f"{result.rows:,}",
        "processor, seconds": f"{used.ru_utime + used.ru_stime:.0f}",
        "from begin to end, seconds": f"{seconds:.0f}",
        "peak memory, MiB": f"{int(status.partition('VmHWM:')[2].split()[0]) >> 10}",
        "mail, document, bytes": f"{len(message.mail.encode()):,}, {len(message.document):,}",
        **{f"`{name}`, bytes": f"{size:,}" for name, size in sizes.items()},
    }
    print(json.dumps(found))  # noqa: T201


def _table(results: dict[str, dict[str, object]]) -> str:
    memory = template()["Globals"]["Function"]["MemorySize"]
    lines = [
        f"| {' | '.join(['', *results])} |",
        "| --- " * (len(results) + 1) + "|",
        *(
            f"| {name} | {' | '.join(str(one[name]) for one in results.values())} |"
            for name in next(iter(results.values()))
        ),
    ]
    table = "\n".join(lines)
    return f"""{os.cpu_count()} processors, {platform.python_implementation()} \
{platform.python_version()}; the function has {memory / 1769:.0f} processor ({memory} MB).

{table}
"""


if __name__ == "__main__":
    if sys.argv[1:] and len(sys.argv[1]) > 20:
        deliver(sys.argv[1])
    else:
        main(float(sys.argv[1]) if sys.argv[1:] else 1.0)
