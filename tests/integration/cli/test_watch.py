"""`watch`: imports are followed to their end."""

import io
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError
from rich.console import Console

from email_accounts.aws.s3 import ReportsBucket
from email_accounts.intake.accounts_file import open_accounts_file
from email_accounts.intake.batches import plan
from email_accounts.models.imports import BatchState
from email_accounts.models.service import AccountStatus
from email_accounts.models.upload import Upload
from email_accounts.saleshandy.reconciliation import (
    Observation,
    reconciliation_name,
    write_reconciliation,
)
from email_accounts.saleshandy.report import report_name
from email_accounts_cli.history import History
from email_accounts_cli.stack import Stack
from email_accounts_cli.watch import Progress, drawn, follow, watch
from tests.support.deployment import (
    NOW,
    REPORT,
    Captured,
    deliverer,
    description,
    documents,
    imported,
    ledger,
    received,
)
from tests.support.files import accounts_file, row
from tests.support.ledger import answer, change, planned, refuse, send, settle, submit


def test_an_answered_import_is_told_at_once(stack: Stack, capsys: Captured) -> None:
    """Headline and address of what became of each row are the end; not all connected is 1."""
    identity = imported(
        stack, "a.csv", accounts_file("a@n.example", "b@n.example"), refused="b@n.example"
    )
    assert watch(stack, [identity[:8]], as_json=False) == 1
    assert capsys.readouterr().out == (
        "a.csv: 1 connected, 1 failed\n"
        f"  each row: s3://{stack.output('ReportsBucketName')}/imports/{identity}/outcome.csv\n"
    )
    assert watch(stack, [imported(stack, "b.csv", accounts_file("a@n.example"))], as_json=True) == 0


def test_why_nothing_was_imported_is_told(stack: Stack, capsys: Captured) -> None:
    """Who follows a file learns what is wrong without looking for the message."""
    identity = received(stack, "uploads/a.csv")
    refuse(ledger(stack), identity, "It is a PDF. Save it as CSV.")
    deliverer(stack).deliver(identity)
    assert watch(stack, [identity], as_json=False) == 1
    assert capsys.readouterr().out == (
        "a.csv: not imported, the file cannot be used\n  why: It is a PDF. Save it as CSV.\n"
    )
    watch(stack, [identity], as_json=True)
    [document] = documents(capsys.readouterr().out)
    assert document["failureReason"] == "It is a PDF. Save it as CSV."


def test_a_running_import_is_followed_to_its_end(stack: Stack, capsys: Captured) -> None:
    """Station and outcomes so far come first, from batches that are settled; then the end."""
    bucket, s3 = stack.output("InboxBucketName"), boto3.client("s3")
    content = accounts_file("a@n.example", "b@n.example", row("c@n.example", smtpPort="x"))
    version = s3.put_object(Bucket=bucket, Key="uploads/a.csv", Body=content)["VersionId"]
    upload = Upload(bucket, "uploads/a.csv", version, len(content))
    reports = ReportsBucket(s3, stack.output("ReportsBucketName"))
    book, identity = ledger(stack), upload.import_id
    assert book.claim(upload, NOW, NOW + 3600)
    planned(book, identity, plan(open_accounts_file(io.BytesIO(content)), 1), NOW)
    for number in (1, 2):
        send(book, identity, number, NOW)
        submit(book, identity, number, NOW)
    with reports.writer(identity, report_name(1), "text/csv") as copy:
        copy.write(REPORT.format("a@n.example"))
    settle(book, identity, 1, BatchState.COMPLETED, NOW, report=True)

    def end() -> None:
        with reports.writer(identity, report_name(2), "text/csv") as copy:
            copy.write(REPORT.format("b@n.example"))
        settle(book, identity, 2, BatchState.COMPLETED, NOW, report=True)
        deliverer(stack).deliver(identity)

    later = threading.Timer(3, end)
    later.start()
    assert watch(stack, [], as_json=True) == 1
    later.join()
    first, *_, last = documents(capsys.readouterr().out)
    assert first["station"] == "submitted, waiting for the remote, 1 of 2 done"
    assert first["outcomes"] == {"failed": 1, "rejected": 1}
    assert (first["status"], first["file"]) == ("running", "a.csv")
    assert last["outcomes"] == {"failed": 2, "rejected": 1}
    assert last["headline"] == "a.csv: 2 failed, 1 rejected"


def test_accounts_that_were_found_in_the_list_are_counted_as_they_stand(
    stack: Stack, capsys: Captured
) -> None:
    """What was left out is already connected, whatever became of the rest of its batch."""
    accounts = [f"{name}@n.example" for name in "abcdefghijklm"]
    identity = received(stack, "uploads/a.csv")
    book = ledger(stack)
    planned(book, identity, plan(open_accounts_file(io.BytesIO(accounts_file(*accounts))), 4), NOW)
    before = Observation(AccountStatus.ACTIVE, sent=False)
    works = Observation(AccountStatus.ABSENT, AccountStatus.ACTIVE)
    broken = Observation(AccountStatus.ABSENT, AccountStatus.INACTIVE)
    listings = (
        (BatchState.COMPLETED, {"a@n.example": before}),
        (
            BatchState.RECONCILED,
            {"e@n.example": before, "f@n.example": works, "g@n.example": broken},
        ),
        (BatchState.REFUSED, {"i@n.example": before, "j@n.example": before}),
    )
    reports = ReportsBucket(boto3.client("s3"), stack.output("ReportsBucketName"))
    for number, (state, statuses) in enumerate(listings, start=1):
        change(book, identity, number, lambda one: one.sending(NOW, reconciliation=True))
        with reports.writer(identity, reconciliation_name(number), "text/csv") as evidence:
            write_reconciliation(evidence, statuses)
        settle(book, identity, number, state, NOW, report=number == 1)
    with reports.writer(identity, report_name(1), "text/csv") as copy:
        copy.write(REPORT.format("b@n.example"))
    later = threading.Timer(3, answer, [book, identity])
    later.start()
    assert watch(stack, [identity], as_json=True) == 1
    later.join()
    first, *_ = documents(capsys.readouterr().out)
    assert first["status"] == "running"
    assert first["outcomes"] == {
        "connected": 2 + 1,
        "already_connected": 1 + 1 + 2,
        "failed": 1 + 1 + 2,
        "unconfirmed": 1,
    }


def test_a_table_that_changes_fits_into_its_terminal() -> None:
    """Each import is one line, however narrow it is; its id and what comes next stay whole."""
    running = [
        Progress(
            import_id=f"{number:032x}",
            file="accounts-of-a-client.csv",
            workspace="default",
            status="running",
            station="submitted, waiting for the remote, 1 of 3 done",
            outcomes={"connected": 96, "failed": 4, "rejected": 5, "duplicate": 1},
            doing="look",
            next_at=time.time() + 40,
        )
        for number in range(30)
    ]
    ended = replace(running[0], status="partial", station="partial", doing="")
    screen = Console(file=io.StringIO(), width=80, height=24)
    with screen.capture() as shown:
        screen.print(drawn([ended, *running], screen.height))
    lines = [line.rstrip() for line in shown.get().splitlines()]
    assert len(lines) < 24
    assert [line.split()[0] for line in lines[1:20]] == [f"{0:08x}"] * 19
    assert all(re.search(r"look in (39|40) s$", line) for line in lines[1:20])
    assert lines[-1] == "and 12 more; 1 of 31 imports ended. Ctrl-C stops looking only"


def test_a_terminal_that_cannot_go_back_gets_lines(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What comes next is written below on a terminal that has no way to move the cursor."""
    identity = imported(stack, "a.csv", accounts_file("a@n.example"))
    screen, terminal = pty.openpty()
    with open(terminal, "w", encoding="utf-8") as stdout, monkeypatch.context() as patched:  # noqa: PTH123  a descriptor
        patched.setenv("TERM", "dumb")
        patched.setattr("sys.stdout", stdout)
        assert watch(stack, [identity], as_json=False) == 0
    shown = b""
    with suppress(OSError):  # how a terminal ends that nobody writes to any more
        while more := os.read(screen, 1 << 16):
            shown += more
    os.close(screen)
    assert shown.startswith(b"a.csv: 1 connected\r\n  each row: ")


def test_what_ends_the_looking_says_how_to_look_again(stack: Stack, capsys: Captured) -> None:
    """Where AWS refuses in the middle the imports go on all the same."""
    identity = received(stack, "uploads/a.csv")
    closed = History(stack)
    boto3.client("dynamodb").delete_table(TableName=stack.output("LedgerTableName"))
    with pytest.raises(ClientError):
        follow(closed, [(identity, "a.csv", "default")], as_json=False)
    assert capsys.readouterr().err == (
        "\n1 import still running; they go on by themselves. "
        f"Look again: email-accounts watch {identity}\n"
    )


@contextmanager
def falling_silent(stack: Stack, answered: int) -> Iterator[tuple[str, threading.Event]]:
    """Serve AWS that describes a stack, knows nothing, and after some calls answers no more."""
    silent, over = threading.Event(), threading.Event()
    left = iter(range(answered))

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            body = b'{"Items": [], "Count": 0, "ScannedCount": 0}'
            if "X-Amz-Target" not in self.headers:
                body = description(stack)
            elif next(left, None) is None:
                silent.set()
                over.wait()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{http.server_port}", silent
        finally:
            over.set()
            http.shutdown()


def test_ctrl_c_waits_for_no_answer(stack: Stack) -> None:
    """Where AWS has fallen silent the looking ends at once all the same."""
    identity = "0" * 32
    command = str(Path(sys.executable).with_name("email-accounts"))
    with falling_silent(stack, answered=1) as (endpoint, silent):
        environment = os.environ | {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "false",
            "STACK_NAME": stack.name,
        }
        with subprocess.Popen(
            [command, "watch", identity],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as child:
            try:
                assert silent.wait(30)
                child.send_signal(signal.SIGINT)
                said, told = child.communicate(timeout=10)
            finally:
                child.kill()
    assert child.returncode == 130
    assert said == ""
    assert told.endswith(f"Look again: email-accounts watch {identity}\n")
    assert "Traceback" not in told


def test_nothing_to_watch_is_no_error(stack: Stack, capsys: Captured) -> None:
    """Without a running import there is nothing to follow."""
    imported(stack, "a.csv", accounts_file("a@n.example"))
    assert watch(stack, [], as_json=False) == 0
    assert capsys.readouterr().out == "No import is running.\n"
