"""The commands that look after a deployment, on AWS in this process."""

import csv
import io
import json
import os
import pty
import re
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any
from unittest.mock import patch

import boto3
import click
import openpyxl
import pytest
from botocore.exceptions import ClientError
from click.testing import CliRunner
from rich.console import Console

from email_accounts.aws.dynamodb import DynamoLedger
from email_accounts.aws.messaging import EventBus, NotificationTopic
from email_accounts.aws.s3 import InboxBucket, ReportsBucket
from email_accounts.delivery.deliverer import Deliverer
from email_accounts.errors import ImporterError
from email_accounts.intake.accounts_file import open_accounts_file
from email_accounts.intake.batches import plan
from email_accounts.intake.rows import Accepted, Rejected
from email_accounts.models.imports import BatchState
from email_accounts.models.upload import Upload, import_id
from email_accounts.saleshandy.reconciliation import (
    AccountStatus,
    reconciliation_name,
    write_reconciliation,
)
from email_accounts.saleshandy.report import report_name
from email_accounts_cli.doctor import doctor
from email_accounts_cli.drop import drop
from email_accounts_cli.failed import failed
from email_accounts_cli.history import History
from email_accounts_cli.main import Moment, commands
from email_accounts_cli.recovery import redrive, resume
from email_accounts_cli.report import report
from email_accounts_cli.show import Wanted, list_imports, show
from email_accounts_cli.stack import Stack, Where, find_stack
from email_accounts_cli.terminal import CommandError
from email_accounts_cli.watch import Progress, drawn, follow, watch
from email_accounts_cli.workspaces import add, listed, remove, try_workspace
from tests.support.aws import (
    REGION,
    aws,
    new_bucket,
    new_name,
    new_state_machine,
    new_table,
    new_topic,
)
from tests.support.files import MARK, accounts_file, row
from tests.support.standin import API_KEY, Server
from tests.support.template import of_type

NOW = time.time()
RETENTION = 30 * 86_400.0
REPORT = "Email,Status,Reason\r\n{},failed,=wrong password\r\n"


@pytest.fixture(autouse=True)
def _aws() -> Iterator[None]:
    with aws():
        yield


@pytest.fixture
def stack(server: Server) -> Stack:
    """Give a deployment without functions, with a key that works at the stand-in."""
    queues = boto3.client("sqs")
    name = new_name("stack")
    boto3.client("secretsmanager").create_secret(
        Name=f"{name}/workspaces/default", SecretString=API_KEY
    )
    return Stack(
        name=name,
        status="UPDATE_COMPLETE",
        outputs={
            "InboxBucketName": new_bucket(),
            "ReportsBucketName": new_bucket(),
            "NotificationTopicArn": new_topic()[0],
            "TrackImportStateMachineArn": new_state_machine(),
            "LedgerTableName": new_table(),
            "UploadQueueUrl": queues.create_queue(QueueName=new_name("queue"))["QueueUrl"],
            "FailureQueueUrl": queues.create_queue(QueueName=new_name("failure"))["QueueUrl"],
            "DeadLetterQueueUrl": queues.create_queue(QueueName=new_name("dead"))["QueueUrl"],
        },
        parameters={
            "ApiBaseUrl": f"{server.url}/v1",
            "MaxFileMegabytes": "500",
            "ReportRetentionDays": "90",
            "UploadRetentionDays": "7",
            "Runtime": "python3.13",
        },
        session=boto3.Session(),
    )


def ledger(stack: Stack) -> DynamoLedger:
    """Open the ledger of a stack."""
    return DynamoLedger(boto3.client("dynamodb"), stack.output("LedgerTableName"), RETENTION)


def received(stack: Stack, key: str, at: float = NOW) -> str:
    """Have the ledger know an import; return its id."""
    upload = Upload(stack.output("InboxBucketName"), key, "v1", 1)
    assert ledger(stack).claim(upload, at, at + 3600, at + 300)
    return upload.import_id


def imported(
    stack: Stack, name: str, content: bytes, *, refused: str = "", unconfirmed: bool = False
) -> str:
    """Take a file the whole way, as if the remote had refused one address; return the id."""
    bucket = stack.output("InboxBucketName")
    s3 = boto3.client("s3")
    key = f"uploads/{name}"
    version = s3.put_object(Bucket=bucket, Key=key, Body=content)["VersionId"]
    upload = Upload(bucket, key, version, len(content))
    uploads = InboxBucket(s3)
    reports = ReportsBucket(s3, stack.output("ReportsBucketName"))
    book = ledger(stack)
    assert book.claim(upload, NOW, NOW + 3600, NOW + 300)
    with uploads.open(upload) as stream:
        planned = plan(open_accounts_file(stream), 100)
    book.plan(upload.import_id, planned, ())
    for batch in planned.batches:
        assert book.intend(upload.import_id, batch.number, NOW + 1, reconciliation=False)
        if unconfirmed:
            state, is_report = BatchState.RECONCILED, False
        else:
            state, is_report = BatchState.COMPLETED, bool(refused)
            book.submitted(
                upload.import_id, batch.number, f"request-{batch.number}", NOW + 1, NOW + 11
            )
        if is_report:
            name_of_report = report_name(batch.number)
            with reports.writer(upload.import_id, name_of_report, "text/csv") as copy:
                copy.write(REPORT.format(refused))
        book.settle(upload.import_id, batch.number, state, NOW + 2, report=is_report)
    deliverer(stack).deliver(upload.import_id)
    return upload.import_id


def deliverer(stack: Stack) -> Deliverer:
    """Make what answers imports."""
    s3 = boto3.client("s3")
    return Deliverer(
        ledger(stack),
        InboxBucket(s3),
        ReportsBucket(s3, stack.output("ReportsBucketName")),
        EventBus(boto3.client("events"), "default"),
        NotificationTopic(boto3.client("sns"), stack.output("NotificationTopicArn")),
        lambda: NOW + 999,
    )


def documents(printed: str) -> list[dict[str, Any]]:
    """Read what a command printed for programs."""
    return [json.loads(line) for line in printed.splitlines()]


Captured = pytest.CaptureFixture[str]


# Where the stack is


@contextmanager
def served(
    service: str, status: int, body: bytes, headers: dict[str, str] | None = None
) -> Iterator[list[tuple[str, bytes]]]:
    """Serve one answer in the place of an AWS service; give what it was called with."""
    calls: list[tuple[str, bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            calls.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(status)
            for name, value in (headers or {}).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        variables = {
            f"AWS_ENDPOINT_URL_{service}": f"http://127.0.0.1:{http.server_port}",
            "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "false",
        }
        with patch.dict(os.environ, variables):
            yield calls
        http.shutdown()


NO_STACK = b"""<ErrorResponse><Error><Type>Sender</Type><Code>ValidationError</Code>
<Message>Stack with id mine does not exist</Message></Error></ErrorResponse>"""
STACK = b"""<DescribeStacksResponse><DescribeStacksResult><Stacks><member>
<StackName>mine</StackName><StackStatus>CREATE_COMPLETE</StackStatus>
<Outputs><member><OutputKey>A</OutputKey><OutputValue>a</OutputValue></member></Outputs>
<Parameters><member><ParameterKey>B</ParameterKey><ParameterValue>b</ParameterValue></member>
</Parameters></member></Stacks></DescribeStacksResult></DescribeStacksResponse>"""


def member(name: str, *outputs: str) -> str:
    """Return what CloudFormation says of a stack."""
    told = "".join(f"<member><OutputKey>{one}</OutputKey></member>" for one in outputs)
    return f"<member><StackName>{name}</StackName><Outputs>{told}</Outputs></member>"


def test_no_stack_is_taken_without_its_name() -> None:
    """Not even the only one: it might be production's. Those there are stand in the question."""
    others = member("others", "InboxBucketName")
    ours = member("ours", "InboxBucketName", "TrackImportStateMachineArn")
    listing = (
        "<DescribeStacksResponse><DescribeStacksResult><Stacks>{}</Stacks>"
        "</DescribeStacksResult></DescribeStacksResponse>"
    )
    for status, body, said in (
        (200, listing.format(others + ours), " In us-east-1 there are: ours."),
        (200, listing.format(others), " In us-east-1 there are: none."),
        (403, "<ErrorResponse><Error><Code>AccessDenied</Code></Error></ErrorResponse>", ""),
    ):
        with (
            served("CLOUDFORMATION", status, body.encode()),
            pytest.raises(CommandError) as caught,
        ):
            find_stack(Where("", "", ""))
        question = "Which stack? Name it with --stack or in STACK_NAME."
        assert caught.value.message == question + said


def test_a_stack_or_a_region_that_is_not_there_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is given counts; what nothing says is asked for."""
    with (
        served("CLOUDFORMATION", 400, NO_STACK),
        pytest.raises(CommandError, match="no stack other in us-west-1"),
    ):
        find_stack(Where("other", "", "us-west-1"))
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.delenv("AWS_REGION", raising=False)
    with pytest.raises(CommandError, match=r"--region or in AWS_REGION"):
        find_stack(Where("mine", "", ""))


def test_a_stack_is_its_outputs_and_parameters(monkeypatch: pytest.MonkeyPatch) -> None:
    """What CloudFormation says of a stack is what there is, in the region of the environment."""
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-west-2")
    with served("CLOUDFORMATION", 200, STACK):
        found = find_stack(Where("mine", "", ""))
    assert (found.name, found.status) == ("mine", "CREATE_COMPLETE")
    assert (found.output("A"), found.parameter("B")) == ("a", "b")
    assert found.session.region_name == "us-west-2"


def test_a_profile_that_is_not_there_is_named() -> None:
    """A profile that nothing configures is an error, with the way to the others."""
    with pytest.raises(CommandError, match=r"\(nobody\).*list-profiles"):
        find_stack(Where("mine", "nobody", ""))


@contextmanager
def deployed(stack: Stack) -> Iterator[None]:
    """Have CloudFormation describe a stack to commands that are run as from a shell."""
    with served("CLOUDFORMATION", 200, description(stack)):
        yield


def description(stack: Stack) -> bytes:
    """Describe a stack as CloudFormation does."""
    outputs, parameters = (
        "".join(
            f"<member><{kind}Key>{name}</{kind}Key><{kind}Value>{value}</{kind}Value></member>"
            for name, value in values.items()
        )
        for kind, values in (("Output", stack.outputs), ("Parameter", stack.parameters))
    )
    described = STACK.decode().partition("<Outputs>")[0].replace("mine", stack.name)
    described += f"<Outputs>{outputs}</Outputs><Parameters>{parameters}</Parameters>"
    described += "</member></Stacks></DescribeStacksResult></DescribeStacksResponse>"
    return described.encode()


def test_an_older_deployment_is_named(stack: Stack) -> None:
    """An output that is not there is an error that tells to deploy again."""
    with pytest.raises(CommandError, match=r"has no output Nothing.*make deploy"):
        stack.output("Nothing")


# drop


def stored(stack: Stack) -> list[tuple[str, str, int]]:
    """List the versions in the inbox: key, version, size."""
    found = boto3.client("s3").list_object_versions(Bucket=stack.output("InboxBucketName"))
    return [(one["Key"], one["VersionId"], one["Size"]) for one in found.get("Versions", [])]


@pytest.mark.parametrize(
    ("workspace", "key"),
    [("default", "uploads/a+b é.csv"), ("north", "uploads/north/a+b é.csv")],
)
def test_a_file_goes_into_the_share_of_its_workspace(
    stack: Stack, tmp_path: Path, capsys: Captured, workspace: str, key: str
) -> None:
    """The upload is under the workspace's prefix, and the id is that of the import it becomes."""
    if workspace != "default":
        boto3.client("secretsmanager").create_secret(Name=f"{stack.name}/workspaces/{workspace}")
    file = tmp_path / "a+b é.csv"
    file.write_bytes(accounts_file("a@n.example"))
    assert drop(stack, [file], workspace, anyway=False, follow=False, as_json=True) == 0
    [document] = documents(capsys.readouterr().out)
    [(found, version, size)] = stored(stack)
    assert (found, size) == (key, len(file.read_bytes()))
    assert document["importId"] == import_id(stack.output("InboxBucketName"), key, version)
    assert document["workspace"] == workspace


def test_a_large_file_goes_up_in_parts(stack: Stack, tmp_path: Path, capsys: Captured) -> None:
    """The import of an upload in parts is known by the version that its last answer names."""
    file = tmp_path / "large.csv"
    file.write_bytes(os.urandom(9 << 20))
    drop(stack, [file], "default", anyway=True, follow=False, as_json=True)
    [(key, version, size)] = stored(stack)
    head = boto3.client("s3").head_object(Bucket=stack.output("InboxBucketName"), Key=key)
    assert head["ETag"].endswith('-2"')
    assert size == 9 << 20
    [document] = documents(capsys.readouterr().out)
    assert document["version"] == version


def test_one_file_that_is_refused_stops_all(stack: Stack, tmp_path: Path, capsys: Captured) -> None:
    """Nothing is uploaded where a file is refused as a whole, but what is wanted anyway."""
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_bytes(accounts_file("a@n.example"))
    bad.write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(CommandError, match="Nothing is uploaded"):
        drop(stack, [good, bad], "default", anyway=False, follow=False, as_json=False)
    assert "bad.csv: None of its columns" in capsys.readouterr().err
    assert stored(stack) == []
    drop(stack, [good, bad], "default", anyway=True, follow=False, as_json=False)
    assert len(stored(stack)) == 2


def test_a_file_over_the_limit_of_the_stack_is_refused(
    stack: Stack, tmp_path: Path, capsys: Captured
) -> None:
    """What the deployment would refuse for its size is not uploaded."""
    file = tmp_path / "large.csv"
    file.write_bytes(accounts_file("a@n.example"))
    small = Stack(
        stack.name,
        stack.status,
        stack.outputs,
        {**stack.parameters, "MaxFileMegabytes": "0.0001"},
        stack.session,
    )
    with pytest.raises(CommandError):
        drop(small, [file], "default", anyway=False, follow=False, as_json=False)
    assert "the limit of the stack is" in capsys.readouterr().err


def test_a_file_without_content_is_never_uploaded(stack: Stack, tmp_path: Path) -> None:
    """It would start no import, so that its dropper would wait for ever."""
    file = tmp_path / "empty.csv"
    file.touch()
    with pytest.raises(CommandError, match=r"there is nothing in .*empty\.csv: no import"):
        drop(stack, [file], "default", anyway=True, follow=True, as_json=False)
    assert stored(stack) == []


def test_an_unknown_workspace_is_refused(stack: Stack, tmp_path: Path) -> None:
    """A file for a workspace that has no secret is not uploaded."""
    file = tmp_path / "a.csv"
    file.write_bytes(accounts_file("a@n.example"))
    with pytest.raises(CommandError, match="email-accounts workspace add south"):
        drop(stack, [file], "south", anyway=False, follow=False, as_json=False)
    assert stored(stack) == []


def test_what_a_terminal_cannot_show_stops_nothing(stack: Stack, tmp_path: Path) -> None:
    """Where the output has no such characters, others stand in their place."""
    file = tmp_path / "größe.csv"
    file.write_bytes(accounts_file("a@n.example"))
    with deployed(stack):
        done = CliRunner(charset="latin-1").invoke(
            commands, ["drop", str(file), "--stack", stack.name]
        )
    assert done.exit_code == 0
    assert "größe.csv ? s3://" in done.stdout


# watch


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
    ledger(stack).refuse(identity, "It is a PDF. Save it as CSV.")
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
    assert book.claim(upload, NOW, NOW + 3600, NOW + 300)
    book.plan(identity, plan(open_accounts_file(io.BytesIO(content)), 1), ())
    for number in (1, 2):
        book.intend(identity, number, NOW, reconciliation=False)
        book.submitted(identity, number, "request", NOW, NOW + 10)
    with reports.writer(identity, report_name(1), "text/csv") as copy:
        copy.write(REPORT.format("a@n.example"))
    book.settle(identity, 1, BatchState.COMPLETED, NOW, report=True)

    def end() -> None:
        book.settle(identity, 2, BatchState.REFUSED, NOW, reason="no")
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
    book.plan(identity, plan(open_accounts_file(io.BytesIO(accounts_file(*accounts))), 4), ())
    before, works = AccountStatus.CONNECTED_BEFORE, AccountStatus.CONNECTED
    broken = AccountStatus.NOT_WORKING
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
        book.intend(identity, number, NOW, reconciliation=True)
        with reports.writer(identity, reconciliation_name(number), "text/csv") as evidence:
            write_reconciliation(evidence, statuses)
        book.settle(identity, number, state, NOW, report=number == 1)
    with reports.writer(identity, report_name(1), "text/csv") as copy:
        copy.write(REPORT.format("b@n.example"))
    later = threading.Timer(3, book.notified, [identity])
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


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90m", time.time() - 5_400),
        ("7d", time.time() - 7 * 86_400),
        ("1795354735.7164035", 1795354735.7164035),
        ("2026-11-22T13:38:55Z", 1795354735),
        ("2026-11-22T14:38:55+01:00", 1795354735),
    ],
)
def test_times_are_read_as_people_write_them(text: str, seconds: float) -> None:
    """How long ago, a date with its zone, or the exact number of a next page."""
    assert Moment().convert(text, None, None) == pytest.approx(seconds, abs=600)


@pytest.mark.parametrize("text", ["yesterday", "7", "7w", "2026-13-01"])
def test_what_is_no_time_is_refused(text: str) -> None:
    """The error shows how to write one."""
    with pytest.raises(click.BadParameter, match="write 7d, 12h"):
        Moment().convert(text, None, None)


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
    shown = os.read(screen, 1 << 16).decode()
    os.close(screen)
    assert shown.startswith("a.csv: 1 connected\r\n  each row: ")


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


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"AWS_EC2_METADATA_DISABLED": "true"}, "AWS does not know you: sign in"),
        (
            {"AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"},
            "AWS cannot be reached: Could not connect",
        ),
    ],
)
def test_trouble_with_aws_is_one_line(environment: dict[str, str], said: str) -> None:
    """Without credentials or without an answer a command ends with 2 and one line."""
    plain = {"PATH": os.environ["PATH"], "AWS_DEFAULT_REGION": REGION}
    plain |= {"AWS_CONFIG_FILE": os.devnull, "AWS_SHARED_CREDENTIALS_FILE": os.devnull}
    plain |= {"AWS_ENDPOINT_URL": "http://127.0.0.1:1", "AWS_MAX_ATTEMPTS": "1"}
    command = Path(sys.executable).with_name("email-accounts")
    done = subprocess.run(
        [command, "list", "--stack", "mine"],
        env=plain | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert line.startswith(f"Error: {said}")


def test_what_aws_refuses_is_one_line() -> None:
    """A missing permission is told with the operation it is missing for."""
    refused = b"""<ErrorResponse><Error><Code>AccessDenied</Code>
<Message>you may not</Message></Error></ErrorResponse>"""
    with served("CLOUDFORMATION", 403, refused):
        ended = CliRunner().invoke(commands, ["list", "--stack", "mine"])
    assert ended.exit_code == 2
    assert ended.stderr == "Error: AWS refuses DescribeStacks: you may not\n"


# list and show


def test_the_list_is_newest_first_and_paged(stack: Stack, capsys: Captured) -> None:
    """A page ends with the option that gets the next one, which begins right behind it."""
    since = NOW - 3 * 86_400
    times = [NOW, NOW - 0.000001, NOW - 86_400, since, since - 0.5]
    ids = [received(stack, f"uploads/{at}.csv", time) for at, time in enumerate(times)]
    shown: list[str] = []
    before: float | None = None
    wanted = Wanted(since, before, None, None)
    for _ in range(2):
        list_imports(stack, wanted, 2, as_json=True)
        page = documents(capsys.readouterr().out)
        shown += [one["importId"] for one in page]
        list_imports(stack, wanted, 2, as_json=False)
        more = [line for line in capsys.readouterr().out.splitlines() if "--before" in line]
        assert bool(more) == (len(shown) == 2)
        if more:
            before = Moment().convert(more[0].split()[-1], None, None)
            wanted = Wanted(wanted.since, before, None, None)
    assert shown == ids[:4]


def test_the_list_is_filtered(stack: Stack, capsys: Captured) -> None:
    """Status and workspace choose; the default workspace has what lies directly in uploads."""
    north = received(stack, "uploads/north/a.csv")
    done = imported(stack, "b.csv", accounts_file("a@n.example"))
    partial = imported(stack, "c.csv", accounts_file("a@n.example"), refused="a@n.example")

    def found(status: str | None, workspace: str | None) -> set[str]:
        list_imports(stack, Wanted(NOW - 60, None, status, workspace), 20, as_json=True)
        return {one["importId"] for one in documents(capsys.readouterr().out)}

    assert found(None, None) == {north, done, partial}
    assert found("running", None) == {north}
    assert found("partial", None) == {partial}
    assert found(None, "north") == {north}
    assert found("complete", "default") == {done}


def test_an_import_is_found_by_the_beginning_of_its_id(stack: Stack) -> None:
    """Where two ids begin alike, both are named; what is no id is told so."""
    seen: dict[str, str] = {}
    bucket = stack.output("InboxBucketName")
    for number in count():
        key = f"uploads/{number}.csv"
        other = seen.setdefault(import_id(bucket, key, "v1")[:4], key)
        if other != key:
            break
    one, two = received(stack, key), received(stack, other)
    history = History(stack)
    assert history.find(one[:31]).id == one
    assert history.find(two).id == two
    with pytest.raises(CommandError, match=f"More than one import begins with {one[:4]}") as error:
        history.find(one[:4])
    assert one in error.value.message
    assert two in error.value.message
    for given in ("zz", "abc", "0" * 32):
        with pytest.raises(CommandError, match="email-accounts list"):
            history.find(given)


def test_show_tells_everything(stack: Stack, capsys: Captured) -> None:
    """File, counts, batches with request ids, reports and what happened are in one document."""
    identity = imported(
        stack,
        "north/a.csv",
        accounts_file("a@n.example", "b@n.example", row("c@n.example", smtpPort="x")),
        refused="b@n.example",
    )
    show(stack, identity, as_json=True)
    [document] = documents(capsys.readouterr().out)
    assert document["workspace"] == "north"
    assert document["counts"] == {"rows": 3, "connected": 1, "failed": 1, "rejected": 1}
    assert (
        document["upload"]["address"]
        == f"s3://{stack.output('InboxBucketName')}/uploads/north/a.csv"
    )
    [batch] = document["batches"]
    assert (batch["requestId"], batch["state"], batch["accounts"]) == ("request-1", "completed", 2)
    assert {"outcome", "summary"} <= document["reports"].keys()
    assert document["messageSent"]
    assert document["execution"]["status"] == "not started"
    assert [one["what"] for one in document["timeLine"]] == ["received", "first batch sent"]
    show(stack, identity, as_json=False)
    printed = capsys.readouterr().out
    assert "request-1" in printed
    assert MARK not in printed


def test_a_failed_execution_is_a_broken_import(stack: Stack, capsys: Captured) -> None:
    """An import whose execution was ended is not said to run."""
    identity = received(stack, "uploads/a.csv")
    machines = boto3.client("stepfunctions")
    machine = stack.output("TrackImportStateMachineArn")
    arn = machines.start_execution(stateMachineArn=machine, name=identity)["executionArn"]
    list_imports(stack, Wanted(NOW - 60, None, "running", None), 20, as_json=True)
    assert len(documents(capsys.readouterr().out)) == 1
    machines.stop_execution(executionArn=arn)
    list_imports(stack, Wanted(NOW - 60, None, "broken", None), 20, as_json=True)
    assert len(documents(capsys.readouterr().out)) == 1


def test_reports_are_copied(stack: Stack, tmp_path: Path, capsys: Captured) -> None:
    """All that lies in the import's folder arrives, folders included."""
    identity = imported(stack, "a.csv", accounts_file("a@n.example"), refused="a@n.example")
    report(stack, identity, tmp_path / "to", opened=False, as_json=True)
    [document] = documents(capsys.readouterr().out)
    files = sorted(
        str(path.relative_to(tmp_path / "to")) for path in (tmp_path / "to").rglob("*.*")
    )
    assert files == sorted(document["files"])
    assert "remote/batch-000001.csv" in files
    with pytest.raises(CommandError, match=r"null: File exists\. Name another folder"):
        report(stack, identity, Path(os.devnull), opened=False, as_json=True)
    with pytest.raises(CommandError, match=r"no report on b\.csv yet"):
        report(stack, received(stack, "uploads/b.csv"), None, opened=False, as_json=False)


# failed


def again(stack: Stack, identity: str, file: Path) -> dict[str, str]:
    """Write the failed rows of an import; return what the file's rows are, by their address."""
    failed(stack, identity, file, as_json=False)
    with file.open("rb") as stream:
        read = open_accounts_file(stream)
        assert not read.unknown_columns
        rows = list(read.rows)
    kinds = {Accepted: "accepted", Rejected: "rejected"}
    return {one.address: kinds[type(one)] for one in rows}


def test_failed_rows_keep_their_columns_and_delimiter(stack: Stack, tmp_path: Path) -> None:
    """The file has the failed and the rejected row as they came, and what was wrong."""
    content = (
        "Notes;Email;App Password;Notes;SMTP;IMAP\r\n"
        f"=1+1;a@n.example;{MARK};x;smtp.gmail.com;imap.gmail.com\r\n"
        f'"=a;b";b@n.example;=secret{MARK};y;smtp.gmail.com;imap.gmail.com\r\n'
        f"c;c@n.example;;z\r\n"
        f"d;b@n.example;{MARK};d\r\n"
    ).encode("cp1252")
    content = content.replace(b"=a;b", "=ä;b".encode("cp1252"))
    identity = imported(stack, "a.csv", content, refused="b@n.example")
    file = tmp_path / "again.csv"
    failed(stack, identity, file, as_json=False)
    rows = list(csv.reader(io.StringIO(file.read_text("utf-8-sig")), delimiter=";"))
    assert rows[0] == ["Notes", "Email", "App Password", "Notes", "SMTP", "IMAP", "problem"]
    found = {cells[1]: cells for cells in rows[1:]}
    assert [*found] == ["b@n.example", "c@n.example"]
    assert found["b@n.example"][:4] == ["=ä;b", "b@n.example", f"=secret{MARK}", "y"]
    assert found["b@n.example"][-1] == "'=wrong password"
    assert found["c@n.example"][-1].startswith("smtpPassword: ")
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("start", "delimiter", "kept"),
    [("", "\t", "\t"), ("\n", ";", ";"), ("sep=;\r\n", ";", ";"), ("sep=|\r\n", "|", ",")],
)
def test_a_delimiter_is_kept_where_it_is_recognised_again(
    stack: Stack, tmp_path: Path, start: str, delimiter: str, kept: str
) -> None:
    """One that only a line above the header makes known becomes a comma."""
    lines = (("email", "password"), ("a@gmail.com", "abcdabcdabcdabcd"))
    content = start + "".join(delimiter.join(line) + "\r\n" for line in lines)
    identity = imported(stack, "a.csv", content.encode(), refused="a@gmail.com")
    assert again(stack, identity, tmp_path / "again.csv") == {"a@gmail.com": "accepted"}
    header = (tmp_path / "again.csv").read_text("utf-8-sig").splitlines()[0]
    assert header == kept.join(("email", "password", "problem"))


def workbook(rows: list[dict[str, str]]) -> bytes:
    """Return a workbook of rows."""
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    sheet.append([*rows[0]])
    for one in rows:
        sheet.append([*one.values()])
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


FAILED_FORMATS = {
    "csv": lambda rows: accounts_file(*rows),
    "json": lambda rows: json.dumps(rows).encode(),
    "jsonl": lambda rows: "\n".join(map(json.dumps, rows)).encode(),
    "xlsx": workbook,
}


@pytest.mark.parametrize("kind", FAILED_FORMATS)
def test_dropped_again_only_the_failed_rows_are_imported(
    stack: Stack, tmp_path: Path, kind: str
) -> None:
    """Whatever the format, the file holds the failed and rejected rows and no others."""
    rows = [
        row("a@n.example"),
        row("b@n.example"),
        row("c@n.example", smtpPort="x"),
        row("a@n.example"),
    ]
    if kind.startswith("json"):
        rows[1] = dict(reversed(rows[1].items())) | {"bcc": "x"}
    identity = imported(stack, f"a.{kind}", FAILED_FORMATS[kind](rows), refused="b@n.example")
    assert again(stack, identity, tmp_path / "1.csv") == {
        "b@n.example": "accepted",
        "c@n.example": "rejected",
    }
    # Its column of problems is not carried on, and is ignored.
    second = (tmp_path / "1.csv").read_bytes()
    identity = imported(stack, "again.csv", second, refused="b@n.example")
    again(stack, identity, tmp_path / "2.csv")
    header = (tmp_path / "2.csv").read_text("utf-8-sig").splitlines()[0]
    assert header.split(",").count("problem") == 1


def test_unconfirmed_and_unreadable_rows_are_left_out(
    stack: Stack, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are told; where nothing is left there is no file."""
    monkeypatch.chdir(tmp_path)
    content = accounts_file("a@n.example") + b'"x"y,\r\n'
    identity = imported(stack, "a.csv", content, unconfirmed=True)
    failed(stack, identity, None, as_json=True)
    [document] = documents(capsys.readouterr().out)
    assert (document["file"], document["rows"]) == ("", 0)
    assert (document["unconfirmed"], document["unreadable"]) == (1, [3])
    assert list(tmp_path.iterdir()) == []


def test_failed_rows_overwrite_nothing(stack: Stack, tmp_path: Path) -> None:
    """A file that is there may be mended already."""
    identity = imported(stack, "a.csv", accounts_file("a@n.example"), refused="a@n.example")
    file = tmp_path / "mended.csv"
    file.write_text("mended", encoding="utf-8")
    with pytest.raises(CommandError, match="exists"):
        failed(stack, identity, file, as_json=False)
    assert file.read_text("utf-8") == "mended"


def test_an_upload_that_is_gone_is_told(stack: Stack, tmp_path: Path) -> None:
    """Where the version is deleted the rows are the owner's own; before the answer, wait."""
    identity = imported(stack, "a.csv", accounts_file("a@n.example"), refused="a@n.example")
    [(key, version, _)] = stored(stack)
    boto3.client("s3").delete_object(
        Bucket=stack.output("InboxBucketName"), Key=key, VersionId=version
    )
    with pytest.raises(CommandError, match="Take them from your own copy"):
        failed(stack, identity, tmp_path / "x.csv", as_json=False)
    with pytest.raises(CommandError, match="no answer yet"):
        failed(stack, received(stack, "uploads/b.csv"), tmp_path / "x.csv", as_json=False)
    assert list(tmp_path.iterdir()) == []


def test_rows_of_a_resumed_import_are_not_written_before_its_answer(
    stack: Stack, tmp_path: Path
) -> None:
    """What failed in the answer before may be on its way again, and nothing is sent twice."""
    identity = imported(stack, "a.csv", accounts_file("a@n.example"), refused="a@n.example")
    assert ledger(stack).restart(identity, NOW, NOW + 3600)
    with pytest.raises(CommandError, match="no answer yet"):
        failed(stack, identity, tmp_path / "x.csv", as_json=False)
    assert list(tmp_path.iterdir()) == []


def test_an_upload_that_reads_differently_is_an_error(stack: Stack, tmp_path: Path) -> None:
    """Rows are never taken for others: the numbers of both files have to agree."""
    identity = imported(stack, "a.csv", accounts_file("a@n.example"), refused="a@n.example")
    reports = ReportsBucket(boto3.client("s3"), stack.output("ReportsBucketName"))
    with reports.writer(identity, "outcome.csv", "text/csv") as file:
        file.write("row,address,outcome,reason\r\n3,a@n.example,failed,x\r\n")
    with pytest.raises(ImporterError, match=r"row 2 of the upload is not in outcome\.csv"):
        failed(stack, identity, tmp_path / "x.csv", as_json=False)


# resume and redrive


def with_a_new_session(stack: Stack) -> Stack:
    """Give the stack a session that has not read the environment yet."""
    return Stack(stack.name, stack.status, stack.outputs, stack.parameters, boto3.Session())


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        ({"resumed": True}, 0, "a.csv goes on. Follow: email-accounts watch "),
        ({"resumed": False}, 1, "a.csv is not resumed: it has no answer yet. Follow: "),
    ],
)
def test_resume_asks_the_function(
    stack: Stack, capsys: Captured, answer: object, code: int, said: str
) -> None:
    """The function gets the whole id, and its answer is told with what to do next."""
    identity = received(stack, "uploads/a.csv")
    with served("LAMBDA", 200, json.dumps(answer).encode()) as calls:
        assert resume(with_a_new_session(stack), identity[:8], as_json=False) == code
    assert calls == [
        (
            f"/2015-03-31/functions/{stack.name}-submit_accounts/invocations",
            json.dumps({"resume": identity}).encode(),
        )
    ]
    assert said in capsys.readouterr().out


def test_a_refused_file_is_not_resumed(stack: Stack, capsys: Captured) -> None:
    """Where nothing was taken in there is nothing to go on with, and the reason says so."""
    identity = received(stack, "uploads/a.csv")
    ledger(stack).refuse(identity, "It is a PDF.")
    with served("LAMBDA", 200, b'{"resumed": false}'):
        assert resume(with_a_new_session(stack), identity, as_json=True) == 1
    [document] = documents(capsys.readouterr().out)
    assert not document["resumed"]
    assert document["reason"].startswith("the file was refused")


@pytest.mark.parametrize(
    ("refused", "reason"),
    [
        ("", "all of it was sent and found out."),
        ("a@n.example", "all of it was sent and found out. What failed is for email-accounts "),
    ],
)
def test_what_is_all_known_is_not_resumed(
    stack: Stack, capsys: Captured, refused: str, reason: str
) -> None:
    """Nobody gets a second message that says the same, and the function is not asked."""
    identity = imported(stack, "a.csv", accounts_file("a@n.example"), refused=refused)
    with served("LAMBDA", 200, b'{"resumed": true}') as calls:
        assert resume(with_a_new_session(stack), identity, as_json=False) == 1
    assert calls == []
    assert f"a.csv is not resumed: {reason}" in capsys.readouterr().out


def test_what_is_unconfirmed_is_resumed(stack: Stack, capsys: Captured) -> None:
    """It may be found out yet."""
    identity = imported(stack, "a.csv", accounts_file("a@n.example"), unconfirmed=True)
    with served("LAMBDA", 200, b'{"resumed": true}') as calls:
        assert resume(with_a_new_session(stack), identity, as_json=False) == 0
    assert len(calls) == 1
    assert "a.csv goes on" in capsys.readouterr().out


def test_a_resumed_import_is_followed_by_its_new_execution(stack: Stack, capsys: Captured) -> None:
    """It runs, whatever became of its first execution, and however long ago it was received."""
    book, machines = ledger(stack), boto3.client("stepfunctions")
    machine = stack.output("TrackImportStateMachineArn")
    identity = received(stack, "uploads/a.csv", NOW - 8 * 86_400)
    first = machines.start_execution(stateMachineArn=machine, name=identity)["executionArn"]
    machines.stop_execution(executionArn=first)
    book.notified(identity)
    history = History(stack)
    assert history.running() == []
    assert book.restart(identity, NOW, NOW + 3600)
    second = f"{identity}-2"
    machines.start_execution(stateMachineArn=machine, name=second)

    [running] = history.running()
    assert (running.id, running.executions) == (identity, [identity, second])
    show(stack, identity, as_json=True)
    [document] = documents(capsys.readouterr().out)
    assert (document["status"], document["messageSent"]) == ("running", False)
    assert document["execution"]["arn"].endswith(f":{second}")
    assert document["execution"]["status"] == "running"
    happened = [one["what"] for one in document["timeLine"]]
    assert happened.count("tracking began") == happened.count("resumed") == 1


@pytest.mark.parametrize("error", [True, False])
def test_a_function_that_fails_is_told(stack: Stack, *, error: bool) -> None:
    """A fault of the function, or an answer that is none, ends with where to look."""
    identity = received(stack, "uploads/a.csv")
    body = json.dumps({"resumed": True} if error else None).encode()
    headers = {"X-Amz-Function-Error": "Unhandled"} if error else {}
    with (
        served("LAMBDA", 200, body, headers),
        pytest.raises(CommandError, match="aws logs tail"),
    ):
        resume(with_a_new_session(stack), identity, as_json=False)


def test_redrive_puts_a_failure_back_where_failures_go(stack: Stack, capsys: Captured) -> None:
    """An event of a broken execution is for deliver_report, not for submit_accounts."""
    queues = boto3.client("sqs")
    body = json.dumps({"source": "aws.states", "detail": {"name": "x", "status": "FAILED"}})
    queues.send_message(QueueUrl=stack.output("DeadLetterQueueUrl"), MessageBody=body)
    assert redrive(stack, as_json=False) == 0
    assert "the failure of an import: back in the queue" in capsys.readouterr().out
    moved = queues.receive_message(QueueUrl=stack.output("FailureQueueUrl"))["Messages"]
    assert [letter["Body"] for letter in moved] == [body]
    assert "Messages" not in queues.receive_message(QueueUrl=stack.output("UploadQueueUrl"))


def test_redrive_moves_every_dead_letter(stack: Stack, capsys: Captured) -> None:
    """All letters are in the queue as they were, whatever they hold, and none is left behind."""
    queues = boto3.client("sqs")
    event = {"detail": {"bucket": {"name": "b"}, "object": {"key": "uploads/a.csv", "size": 1}}}
    bodies = [json.dumps(event), *map(str, range(11)), "[]"]
    for body in bodies:
        queues.send_message(QueueUrl=stack.output("DeadLetterQueueUrl"), MessageBody=body)
    assert redrive(stack, as_json=False) == 0
    printed = capsys.readouterr().out
    assert "uploads/a.csv: back in the queue" in printed
    assert "13 dead letters moved." in printed
    moved = []
    while letters := queues.receive_message(
        QueueUrl=stack.output("UploadQueueUrl"), MaxNumberOfMessages=10
    ).get("Messages"):
        moved += [letter["Body"] for letter in letters]
    assert sorted(moved) == sorted(bodies)
    left = queues.get_queue_attributes(
        QueueUrl=stack.output("DeadLetterQueueUrl"), AttributeNames=["All"]
    )["Attributes"]
    assert left["ApproximateNumberOfMessagesNotVisible"] == "0"
    redrive(stack, as_json=True)
    assert documents(capsys.readouterr().out) == [{"moved": 0}]


# Workspaces


def key_of(stack: Stack, workspace: str) -> str:
    """Read the secret of a workspace."""
    store = boto3.client("secretsmanager")
    return store.get_secret_value(SecretId=f"{stack.name}/workspaces/{workspace}")["SecretString"]


def key_file(tmp_path: Path, key: str) -> Path:
    """Write a key into a file."""
    file = tmp_path / "key"
    file.write_text(f" {key}\n", encoding="utf-8")
    return file


def test_a_workspace_gets_and_changes_its_key(
    stack: Stack, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key comes from a file or from stdin, is replaced only if that is meant, never shown."""
    add(stack, "north", key_file(tmp_path, "first-key"), replace=False, as_json=False)
    assert key_of(stack, "north") == "first-key"
    made = boto3.client("secretsmanager").describe_secret(SecretId=f"{stack.name}/workspaces/north")
    assert made["KmsKeyId"] == f"alias/{stack.name}"
    monkeypatch.setattr("sys.stdin", io.StringIO("second-key\n"))
    with pytest.raises(CommandError, match="--replace"):
        add(stack, "north", None, replace=False, as_json=False)
    add(stack, "north", None, replace=True, as_json=False)
    assert key_of(stack, "north") == "second-key"
    listed(stack, as_json=True)
    printed = capsys.readouterr()
    assert "-key" not in printed.out + printed.err
    assert documents("\n".join(printed.out.splitlines()[-2:])) == [
        {"workspace": "default", "hasKey": True},
        {"workspace": "north", "hasKey": True},
    ]


@pytest.mark.parametrize("key", ["", "two lines\nof text", "schlüssel"])
def test_what_is_no_key_is_refused(stack: Stack, tmp_path: Path, key: str) -> None:
    """A text that no header can hold is not put into the secret, and not quoted."""
    with pytest.raises(CommandError, match="That is no API key") as error:
        add(stack, "north", key_file(tmp_path, key), replace=False, as_json=False)
    assert not key or key not in error.value.message


@pytest.mark.parametrize("name", ["North", "a/b", "", "-a", "a" * 64, "../x"])
def test_what_is_no_name_is_refused(stack: Stack, tmp_path: Path, name: str) -> None:
    """A workspace is part of paths."""
    with pytest.raises(CommandError, match="no name for a workspace"):
        add(stack, name, key_file(tmp_path, "key"), replace=False, as_json=False)


def test_a_workspace_is_removed_and_comes_back(
    stack: Stack, tmp_path: Path, capsys: Captured
) -> None:
    """A removed workspace takes no files; added anew, it has the new key; default stays."""
    add(stack, "north", key_file(tmp_path, "first"), replace=False, as_json=False)
    remove(stack, "north", sure=True, as_json=False)
    assert "restore-secret" in capsys.readouterr().out
    with pytest.raises(CommandError, match="There is no workspace north"):
        try_workspace(stack, "north", as_json=False)
    add(stack, "north", key_file(tmp_path, "second"), replace=False, as_json=False)
    assert key_of(stack, "north") == "second"
    with pytest.raises(CommandError, match="stays"):
        remove(stack, "default", sure=True, as_json=False)


@pytest.mark.parametrize(
    ("typed", "code", "said"), [("n\n", 2, "Nothing is removed."), ("", 130, ""), ("y\n", 0, "")]
)
def test_a_workspace_is_removed_only_if_that_is_meant(
    stack: Stack, tmp_path: Path, typed: str, code: int, said: str
) -> None:
    """Who says no, or breaks off, keeps it; of one that is not there nothing is asked."""
    add(stack, "north", key_file(tmp_path, "first"), replace=False, as_json=False)
    with deployed(stack):
        asked, unasked = (
            CliRunner().invoke(commands, [*words, "--stack", stack.name], input=typed)
            for words in (("workspace", "remove", "north"), ("workspace", "remove", "south"))
        )
    assert asked.exit_code == code
    assert "Remove the workspace north and its key?" in asked.stderr
    assert said in asked.stderr
    known = boto3.client("secretsmanager").describe_secret(
        SecretId=f"{stack.name}/workspaces/north"
    )
    assert ("DeletedDate" in known) == (code == 0)
    assert unasked.exit_code == 2
    assert "Remove" not in unasked.stderr


def test_a_key_is_tried(stack: Stack, tmp_path: Path, capsys: Captured, server: Server) -> None:
    """One call to the list says whether a key works; neither key is shown."""
    add(stack, "north", key_file(tmp_path, "refused-key"), replace=False, as_json=False)
    server.control("DELETE", "/calls")
    assert try_workspace(stack, "default", as_json=False) == 0
    assert try_workspace(stack, "north", as_json=False) == 1
    calls = server.control("GET", "/calls")
    assert [(one["method"], one["path"]) for one in calls] == [("POST", "/v1/email-accounts")] * 2
    printed = capsys.readouterr().out
    assert "The key of the workspace default works." in printed
    assert "north does not work: the service refused the API key" in printed
    assert API_KEY not in printed
    assert "refused-key" not in printed


# doctor


def findings(stack: Stack, capsys: Captured) -> dict[str, list[dict[str, Any]]]:
    """Return what the doctor finds, by check."""
    doctor(stack, as_json=True)
    found: dict[str, list[dict[str, Any]]] = {}
    for one in documents(capsys.readouterr().out):
        found.setdefault(one["check"], []).append(one)
    return found


def complete(stack: Stack) -> str:
    """Give the stack its alarms and its key; return the name of one alarm."""
    keys = boto3.client("kms")
    key = keys.create_key()["KeyMetadata"]["KeyId"]
    keys.create_alias(AliasName=f"alias/{stack.name}", TargetKeyId=key)
    names = [f"{stack.name}-{alarm}" for alarm in of_type("AWS::CloudWatch::Alarm")]
    names.append(f"{stack.name}-dev-ApiKeyAlarm")  # another stack's
    for name in names:
        boto3.client("cloudwatch").put_metric_alarm(
            AlarmName=name,
            AlarmDescription="See the runbook.",
            Namespace="AWS/SQS",
            MetricName="ApproximateNumberOfMessagesVisible",
            Statistic="Maximum",
            Period=60,
            EvaluationPeriods=1,
            Threshold=0,
            ComparisonOperator="GreaterThanThreshold",
        )
    return names[0]


def test_a_sound_deployment_has_no_findings(stack: Stack, capsys: Captured) -> None:
    """Every check is made and finds nothing to be done."""
    complete(stack)
    found = findings(stack, capsys)
    assert [*found] == [
        *("stack", "subscriptions", "encryption", "keys"),
        *("queues", "alarms", "clock", "versions"),
    ]
    assert {one["state"] for some in found.values() for one in some} == {"ok"}
    assert "9 alarms" in found["alarms"][0]["finding"]
    assert doctor(stack, as_json=False) == 0


def test_every_trouble_is_found_with_its_cure(stack: Stack, capsys: Captured) -> None:
    """A half deployment with nobody to tell, a bad key, dead letters and an alarm."""
    watch, rings = boto3.client("cloudwatch"), complete(stack)
    watch.set_alarm_state(AlarmName=rings, StateValue="ALARM", StateReason="x")
    watch.disable_alarm_actions(AlarmNames=[rings])
    watch.delete_alarms(AlarmNames=[f"{stack.name}-StuckImportAlarm"])
    watch.set_alarm_state(
        AlarmName=f"{stack.name}-dev-ApiKeyAlarm", StateValue="ALARM", StateReason="x"
    )
    boto3.client("kms").disable_key(
        KeyId=boto3.client("kms").describe_key(KeyId=f"alias/{stack.name}")["KeyMetadata"]["KeyId"]
    )
    new_secret_name = f"{stack.name}/workspaces/north"
    boto3.client("secretsmanager").create_secret(Name=new_secret_name, SecretString="bad-key")
    queues = boto3.client("sqs")
    for queue in ("DeadLetterQueueUrl", "FailureQueueUrl"):
        queues.send_message(QueueUrl=stack.output(queue), MessageBody="x")
    topic = boto3.client("sns").create_topic(Name=new_name("topic"))["TopicArn"]
    outputs = {**stack.outputs, "NotificationTopicArn": topic}
    del outputs["ReportsBucketName"]
    parameters = dict(stack.parameters)
    del parameters["MaxFileMegabytes"]
    sick = Stack(stack.name, "UPDATE_ROLLBACK_FAILED", outputs, parameters, stack.session)
    found = findings(sick, capsys)
    troubles = {
        check: [one["finding"] for one in some if one["state"] != "ok"]
        for check, some in found.items()
    }
    assert "ReportsBucketName" in troubles["stack"][1]
    assert "UPDATE_ROLLBACK_FAILED" in troubles["stack"][0]
    assert "nobody" in troubles["subscriptions"][0]
    assert "north does not work" in troubles["keys"][0]
    assert "parameters are missing: MaxFileMegabytes" in troubles["stack"][2]
    assert "is Disabled" in troubles["encryption"][0]
    assert "1 broken import waiting for an answer" in troubles["queues"][0]
    assert "1 dead letter:" in troubles["queues"][1]
    assert troubles["alarms"] == [
        "alarms are missing: StuckImportAlarm",
        f"{rings} tells nobody",
        troubles["alarms"][2],
    ]
    assert f"{rings} since" in troubles["alarms"][2]
    cured = [one for some in found.values() for one in some if one["state"] != "ok"]
    assert all(one["fix"] for one in cured)
    assert doctor(sick, as_json=False) == 1


def test_what_may_not_be_read_is_unknown(stack: Stack, capsys: Captured) -> None:
    """A check that AWS refuses is a finding of its own and stops no other."""
    outputs = {**stack.outputs, "DeadLetterQueueUrl": "https://sqs.us-east-1.amazonaws.com/1/no"}
    half = Stack(stack.name, stack.status, outputs, stack.parameters, stack.session)
    found = findings(half, capsys)
    assert [one["state"] for one in found["queues"]] == ["ok", "ok", "unknown"]
    assert found["queues"][2]["fix"]
    assert found["versions"][0]["state"] == "ok"
