"""`watch`: imports are followed to their end."""

import io
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import boto3
import pytest
from botocore.exceptions import ClientError
from rich.console import Console

from email_accounts.aws.dynamodb import DynamoLedger
from email_accounts.aws.s3 import ReportsBucket
from email_accounts.intake.batches import plan
from email_accounts.models.imports import Batch, BatchState, ReasonCode, SignIns
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
from email_accounts_cli.terminal import iso_time
from email_accounts_cli.watch import Progress, Stage, Step, drawn, follow, watch
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
    reopened,
    served,
)
from tests.support.files import accounts_file, opened, row
from tests.support.ledger import answer, change, planned, refuse, send, settle, submit
from tests.support.service import Handler, said, serving, silent
from tests.support.terminal import shown_on_terminal

COMMAND = Path(sys.executable).with_name("email-accounts")


def running(stack: Stack, batch_size: int, *accounts: str) -> tuple[DynamoLedger, str]:
    """Have an import planned; return the ledger and its id."""
    book, identity = ledger(stack), received(stack, "uploads/a.csv")
    planned(book, identity, plan(opened(accounts_file(*accounts)), batch_size), NOW)
    return book, identity


@contextmanager
def soon(change: Callable[..., object], *given: object) -> Iterator[None]:
    """Have something change while imports are followed."""
    later = threading.Timer(3, change, given)
    later.start()
    yield
    later.join()


def test_an_answered_import_is_told_at_once(stack: Stack, capsys: Captured) -> None:
    """Headline and address of the outcome of each row are the end; not all connected is 1."""
    identity = imported(
        stack, "a.csv", accounts_file("a@n.example", "b@n.example"), refused="b@n.example"
    )
    assert watch(stack, [identity[:8], identity], as_json=False) == 1
    assert capsys.readouterr().out == (
        "[default] a.csv, 2 rows: 1 connected, 1 failed\n"
        f"  full results: s3://{stack.output('ReportsBucketName')}/imports/{identity}/outcome.csv\n"
        f"  next: email-accounts failed {identity[:8]}\n"
    )
    assert watch(stack, [imported(stack, "b.csv", accounts_file("a@n.example"))], as_json=True) == 0


def test_why_nothing_was_imported_is_told(stack: Stack, capsys: Captured) -> None:
    """Who follows a file learns what is wrong without looking for the message."""
    identity = received(stack, "uploads/a.csv")
    refuse(ledger(stack), identity, "It is a PDF. Save it as CSV.")
    deliverer(stack).deliver(identity)
    assert watch(stack, [identity], as_json=False) == 1
    assert capsys.readouterr().out == (
        "[default] a.csv: not imported, unusable file\n  why: It is a PDF. Save it as CSV.\n"
        "  next: email-accounts check a.csv\n"
    )
    watch(stack, [identity], as_json=True)
    [document] = documents(capsys.readouterr().out)
    assert document["failureReason"] == "It is a PDF. Save it as CSV."
    assert document["reasonCode"] == "file_refused"


def test_a_running_import_is_followed_to_its_end(stack: Stack, capsys: Captured) -> None:
    """Stage and outcomes so far come first, from batches that are settled; then the end."""
    bucket, s3 = stack.output("InboxBucketName"), boto3.client("s3")
    content = accounts_file("a@n.example", "b@n.example", row("c@n.example", smtpPort="x"))
    version = s3.put_object(Bucket=bucket, Key="uploads/a.csv", Body=content)["VersionId"]
    upload = Upload(bucket, "uploads/a.csv", version, len(content))
    reports = ReportsBucket(s3, stack.output("ReportsBucketName"))
    book, identity = ledger(stack), upload.import_id
    assert book.claim(upload, NOW, NOW + 3600)
    planned(book, identity, plan(opened(content), 1), NOW)
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

    with soon(end):
        assert watch(stack, [], as_json=True) == 1
    first, *_, last = documents(capsys.readouterr().out)
    assert first["stage"] == "processing"
    assert first["batches"] == {"total": 2, "submitted": 2, "processed": 1}
    assert first["outcomes"] == {"failed": 1, "rejected": 1}
    assert (first["status"], first["file"]) == ("running", "a.csv")
    assert last["outcomes"] == {"failed": 2, "rejected": 1}
    assert last["headline"] == "[default] a.csv, 3 rows: 2 failed, 1 rejected"


def test_accounts_that_were_found_in_the_list_are_counted_as_they_stand(
    stack: Stack, capsys: Captured
) -> None:
    """What was skipped is already connected, whatever the outcome of the rest of its batch."""
    book, identity = running(stack, 4, *(f"{name}@n.example" for name in "abcdefghijklm"))
    before = Observation(AccountStatus.ACTIVE, sent=False)
    works = Observation(AccountStatus.ABSENT, AccountStatus.ACTIVE)
    broken = Observation(AccountStatus.ABSENT, AccountStatus.INACTIVE)
    held = Observation(sent=False, held=True)
    listings = (
        (BatchState.COMPLETED, {"a@n.example": before, "c@n.example": held}),
        (
            BatchState.RECONCILED,
            {"e@n.example": before, "f@n.example": works, "g@n.example": broken},
        ),
        (BatchState.REFUSED, {"i@n.example": before, "j@n.example": before, "k@n.example": held}),
    )
    reports = ReportsBucket(boto3.client("s3"), stack.output("ReportsBucketName"))
    for number, (state, statuses) in enumerate(listings, start=1):
        change(book, identity, number, lambda one: one.sending(NOW, reconciliation=True))
        with reports.writer(identity, reconciliation_name(number), "text/csv") as evidence:
            write_reconciliation(evidence, statuses)
        settle(book, identity, number, state, NOW, report=number == 1)
    with reports.writer(identity, report_name(1), "text/csv") as copy:
        copy.write(REPORT.format("b@n.example"))
    with soon(answer, book, identity):
        assert watch(stack, [identity], as_json=True) == 1
    first, *_ = documents(capsys.readouterr().out)
    assert first["status"] == "running"
    assert first["outcomes"] == {
        "connected": 1 + 1,
        "already_connected": 1 + 1 + 2,
        "failed": 1 + 1 + 1,
        "unconfirmed": 1,
        "rejected": 1 + 1,
    }


@pytest.mark.parametrize("as_json", [False, True])
def test_what_the_sign_in_check_found_is_told_before_anything_is_sent(
    stack: Stack, capsys: Captured, *, as_json: bool
) -> None:
    """In a line of its own for people, with each document for programs."""
    book, identity = running(stack, 2, *(f"{name}@n.example" for name in "abc"))
    for number, found in ((1, SignIns(0, 1, 1)), (2, SignIns(1))):
        change(book, identity, number, Batch.trying)
        change(book, identity, number, partial(Batch.found, sign_ins=found))
        change(book, identity, number, Batch.checked)
    with soon(answer, book, identity):
        watch(stack, [identity], as_json=as_json)
    told = capsys.readouterr().out
    if as_json:
        found_so_far = documents(told)[0]["signIns"]
        assert found_so_far == {"signed_in": 1, "proven": 1, "unproven": 1}
    else:
        assert "a.csv: sign-ins: 1 good, 1 cannot work, 1 unclear\n" in told
    progress = Progress(identity, "a.csv", "default", sign_ins=SignIns(1, 1, 1))
    assert progress.counts() == "sign-ins: 1 good, 1 cannot work, 1 unclear"
    assert replace(progress, submitted=1).counts() == ""


RUNNING = Progress(
    import_id="",
    file="accounts-of-a-client-with-a-long-name-and-a-date-2026-11-25.csv",
    workspace="default",
    stage=Stage.SUBMITTING,
    batches=120,
    submitted=12,
    seconds_left=324,
    outcomes={"connected": 96, "failed": 4, "rejected": 5, "duplicate": 2},
)


@pytest.mark.parametrize(("columns", "shown_whole"), [(60, 6), (80, 6), (130, 19)])
def test_progress_fits_its_terminal(columns: int, shown_whole: int) -> None:
    """No line is wider and none is lost; ids and what comes next stay whole."""
    step = Step("submit_accounts", time.time() + 31, rate_limited=True)
    running = [replace(RUNNING, import_id=f"{number:032x}", step=step) for number in range(30)]
    ended = replace(running[0], import_id="f" * 32, status="partial", stage=Stage.ENDED)
    screen = Console(file=io.StringIO(), width=columns, height=24)
    with screen.capture() as shown:
        screen.print(drawn([ended, *running], screen.width, screen.height))
    text = shown.get()
    lines = [line.rstrip() for line in text.splitlines()]
    assert len(lines) < 24
    assert max(map(len, lines)) <= columns
    assert sum(line.startswith("000000") for line in lines) == shown_whole
    assert sum(bool(re.search("limit: next call in 3[01] s$", one)) for one in lines) == shown_whole
    assert lines[-2].startswith(f"{31 - shown_whole} more; 1 of 31 imports ended")
    assert "6+ min left" in text
    assert RUNNING.counts() == "96 connected, 4 failed, 5 rejected, 2 duplicates"


@pytest.mark.parametrize(
    ("step", "text"),
    [
        (Step(), ""),
        (Step("check_status"), "checking the status"),
        (Step("check_status", NOW - 1), "checking the status"),
        (Step("check_status", NOW + 99_999), "next status check in "),
        (Step("deliver_report", NOW + 99_999), "report in "),
        (Step("check_status", NOW + 99_999, rate_limited=True), "rate limit: next call in "),
    ],
)
def test_why_an_import_waits_is_shown(step: Step, text: str) -> None:
    """What runs now, or what runs when, and whether the rate limit decides."""
    assert step.text().startswith(text)
    assert bool(step.text()) == bool(text)


@pytest.mark.parametrize("stage", [Stage.REFUSED, Stage.STOPPED, Stage.REPORTING])
def test_what_the_stage_says_is_not_said_twice(stage: Stage) -> None:
    """The report is what comes next, whatever the state machine waits for."""
    running = replace(RUNNING, stage=stage, step=Step("deliver_report"))
    assert running.stage_text.endswith("writing the report")
    assert running.coming() == ""


@pytest.mark.parametrize(
    ("status", "code", "commands"),
    [
        ("running", None, []),
        ("partial", None, ["failed 0123abcd"]),
        ("stopped", ReasonCode.STOPPED_BY_OPERATOR, ["failed 0123abcd"]),
        ("stopped", ReasonCode.UPLOAD_DELETED, ["drop --workspace n 'a b.csv'"]),
        ("refused", ReasonCode.UPLOAD_DELETED, ["drop --workspace n 'a b.csv'"]),
        ("refused", ReasonCode.FILE_REFUSED, ["check 'a b.csv'"]),
        (
            "refused",
            ReasonCode.WRONG_FOLDER,
            ["workspace list", "drop --workspace NAME 'a b.csv'"],
        ),
        ("broken", None, ["show 0123abcd"]),
    ],
)
def test_each_end_names_the_next_command(
    status: str, code: ReasonCode | None, commands: list[str]
) -> None:
    """They are those of the result, or about the file on this computer."""
    of_result = ("email-accounts failed 0123abcd",)
    identity = "0123abcd" * 4
    ended = Progress(identity, "a b.csv", "n", status, reason_code=code, commands=of_result)
    assert ended.next_commands() == [f"email-accounts {one}" for one in commands]
    assert ended.document()["nextCommands"] == ended.next_commands()


@pytest.mark.parametrize("is_limited", [True, False])
def test_the_rate_limit_is_told_from_other_waits(
    stack: Stack, capsys: Captured, *, is_limited: bool
) -> None:
    """Only an import that has a reservation in the budget waits for the rate limit."""
    book, identity = running(stack, 1, *(f"{name}@n.example" for name in "abc"))
    while is_limited and book.take_call("default", identity, 1, time.time(), 2) == 0:
        pass
    task = {"next": "submit_accounts", "waitSeconds": 60}
    event = {
        "timestamp": time.time(),
        "type": "WaitStateEntered",
        "id": 1,
        "stateEnteredEventDetails": {"name": "WaitForItsTurn", "input": json.dumps(task)},
    }
    with soon(answer, book, identity), served("SFN", 200, json.dumps({"events": [event]}).encode()):
        watch(reopened(stack), [identity], as_json=True)
    first, *_ = documents(capsys.readouterr().out)
    assert first["next"]["action"] == "submit_accounts"
    assert first["next"]["at"] > iso_time(time.time())
    assert first["next"]["reason"] == ("rate_limit" if is_limited else "")
    assert (first["stage"], first["submissionSecondsLeft"]) == ("submitting", 3)


def test_a_terminal_that_cannot_go_back_gets_lines(stack: Stack) -> None:
    """A terminal without cursor movement gets one line after the other."""
    identity = imported(stack, "a.csv", accounts_file("a@n.example"))
    shown = shown_on_terminal(lambda: watch(stack, [identity], as_json=False), 80, "dumb")
    assert shown.startswith("[default] a.csv, 1 row: 1 connected\n  full results:")
    assert "next:" not in shown


def test_what_ends_watching_says_how_to_watch_again(stack: Stack, capsys: Captured) -> None:
    """Where AWS refuses in the middle the imports continue."""
    identity = received(stack, "uploads/a.csv")
    closed = History(stack)
    boto3.client("dynamodb").delete_table(TableName=stack.output("LedgerTableName"))
    with pytest.raises(ClientError):
        follow(closed, [(identity, "a.csv", "default")], as_json=False)
    assert capsys.readouterr().err == (
        f"\nStopped watching; 1 import continues. To watch again: email-accounts watch {identity}\n"
    )


def test_ctrl_c_waits_for_no_answer(stack: Stack) -> None:
    """Where AWS no longer answers, watching ends at once anyway."""
    identity = "0" * 32
    asked_in_vain = threading.Event()

    def no_answer(handler: Handler) -> None:
        asked_in_vain.set()
        silent(handler)

    with serving() as server:
        nothing = {"Items": [], "Count": 0, "ScannedCount": 0}
        server.answers.extend([said(200, description(stack)), said(200, nothing), no_answer])
        environment = os.environ | {
            "AWS_ENDPOINT_URL": server.url,
            "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "false",
            "STACK_NAME": stack.name,
        }
        with subprocess.Popen(
            [COMMAND, "watch", identity],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        ) as child:
            try:
                assert asked_in_vain.wait(30)
                child.send_signal(signal.SIGINT)
                shown, told = child.communicate(timeout=10)
            finally:
                child.kill()
    assert child.returncode == 130
    assert shown == ""
    assert told.endswith(f"To watch again: email-accounts watch {identity}\n")
    assert "Traceback" not in told


def test_nothing_to_watch_is_no_error(stack: Stack, capsys: Captured) -> None:
    """Without a running import there is nothing to follow."""
    imported(stack, "a.csv", accounts_file("a@n.example"))
    assert watch(stack, [], as_json=False) == 0
    assert capsys.readouterr().out == "No import is running.\n"
