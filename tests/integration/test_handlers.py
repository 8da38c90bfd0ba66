"""The three functions as Lambda calls them: on AWS in this process and the stand-in."""

import importlib.util
import json
import logging
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

import boto3
import botocore.client
import pytest

from email_accounts.runtime import Settings
from email_accounts.upload import Upload
from tests.aws import aws, new_bucket, new_secret, new_state_machine, new_table, new_topic, received
from tests.files import PASSWORD, accounts_file, row
from tests.standin import API_KEY, Server
from tests.template import ROOT, actions_of, template

FUNCTIONS = ("submit_accounts", "check_status", "deliver_report")
CONTENT = accounts_file(
    "robin@reach.example",
    row("kim@reach.example", smtpPassword="wrong-password", imapPassword="wrong-password"),
    row("lee@reach.example", smtpPort="0"),
)
# What the template gives every function; the names of what tests make are put in by `Stack`.
SETTINGS = {
    "API_BASE_URL": "http://127.0.0.1:9/v1",
    "API_KEY_SECRET": "secret",
    "BATCH_SIZE": "100",
    "CALLS_PER_MINUTE": "20",
    "DEADLINE_HOURS": "6",
    "FIRST_LOOK_SECONDS": "10",
    "LEDGER_TABLE": "ledger",
    "LONGEST_WAIT_SECONDS": "300",
    "MAX_FILE_MEGABYTES": "500",
    "NOTIFICATION_TOPIC": "topic",
    "REPORTS_BUCKET": "reports",
    "RETENTION_DAYS": "30",
    "STATE_MACHINE": "state machine",
    "TRUSTED_REPORT_HOSTS": "",
}
NUMBERS = (
    "BATCH_SIZE",
    "CALLS_PER_MINUTE",
    "DEADLINE_HOURS",
    "FIRST_LOOK_SECONDS",
    "LONGEST_WAIT_SECONDS",
    "MAX_FILE_MEGABYTES",
    "RETENTION_DAYS",
)


@dataclass(frozen=True, slots=True)
class Context:
    """What Lambda tells a function of its invocation."""

    function_name: str
    memory_limit_in_mb: int = 1769
    invoked_function_arn: str = "arn:aws:lambda:us-east-1:123456789012:function:x"
    aws_request_id: str = "00000000-0000-0000-0000-000000000000"

    def get_remaining_time_in_millis(self) -> int:
        """Return what is left of the time-out."""
        return 300_000


@dataclass(slots=True)
class Stack:
    """What the functions work on, and every call they make to AWS, as IAM names it."""

    inbox: str
    reports: str
    queue: str
    machine: str
    used: dict[str, set[str]] = field(default_factory=dict)
    running: str = ""
    processes: dict[str, ModuleType] = field(default_factory=dict)

    def upload(self, key: str, content: bytes = CONTENT) -> Upload:
        """Drop a file into the inbox."""
        put = boto3.client("s3").put_object(Bucket=self.inbox, Key=key, Body=content)
        return Upload(self.inbox, key, put["VersionId"], len(content))

    def call(self, function: str, event: object) -> Any:  # noqa: ANN401  JSON
        """Invoke a function; its process goes on from call to call."""
        if function not in self.processes:
            self.processes[function] = loaded(function)
        self.running = function
        try:
            answer = self.processes[function].handler(event, Context(function))
        finally:
            self.running = ""
        return json.loads(json.dumps(answer))

    def started(self) -> list[dict[str, Any]]:
        """Return what each execution was started with."""
        client = boto3.client("stepfunctions")
        listed = client.list_executions(stateMachineArn=self.machine)["executions"]
        shown = [client.describe_execution(executionArn=one["executionArn"]) for one in listed]
        return [json.loads(one["input"]) for one in shown]

    def report(self, import_id: str, name: str) -> str:
        """Read a report."""
        key = f"imports/{import_id}/{name}"
        return boto3.client("s3").get_object(Bucket=self.reports, Key=key)["Body"].read().decode()


def loaded(function: str) -> ModuleType:
    """Load a function's module as a process that has just begun does."""
    sys.modules.pop("email_accounts.runtime", None)
    os.environ["POWERTOOLS_SERVICE_NAME"] = function
    logging.Logger.manager.loggerDict.pop(function, None)
    spec = importlib.util.spec_from_file_location(
        function, ROOT / "functions" / function / f"{function}.py"
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def stack(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    """Make all that the functions need, with nothing in it."""
    with aws():
        topic, queue = new_topic()
        stack = Stack(new_bucket(), new_bucket(), queue, new_state_machine())
        made = {
            "API_BASE_URL": f"{server.url}/v1",
            "API_KEY_SECRET": new_secret(API_KEY),
            "LEDGER_TABLE": new_table(),
            "NOTIFICATION_TOPIC": topic,
            "REPORTS_BUCKET": stack.reports,
            "STATE_MACHINE": stack.machine,
            "TRUSTED_REPORT_HOSTS": "127.0.0.1",
            "POWERTOOLS_METRICS_NAMESPACE": "EmailAccountsImporter",
            "POWERTOOLS_SERVICE_NAME": "one of three",
        }
        for name, value in (SETTINGS | made).items():
            monkeypatch.setenv(name, value)
        watch(stack, monkeypatch)
        yield stack


def watch(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Note every call to AWS under the function that makes it."""
    call = botocore.client.BaseClient._make_api_call  # type: ignore[attr-defined]  # noqa: SLF001

    def noted(client: Any, name: str, arguments: dict[str, Any]) -> object:  # noqa: ANN401  any client
        if stack.running:
            action = f"{client.meta.service_model.signing_name}:{name}"
            versioned = action == "s3:GetObject" and "VersionId" in arguments
            stack.used.setdefault(stack.running, set()).add(
                "s3:GetObjectVersion" if versioned else action
            )
        return call(client, name, arguments)

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", noted)


def event(name: str, *uploads: Upload) -> dict[str, Any]:
    """Return a sample event, its records telling of these uploads."""
    sample: dict[str, Any] = json.loads((ROOT / "events" / f"{name}.json").read_text("utf-8"))
    for record, upload in zip(sample["Records"], uploads, strict=True):
        body = json.loads(record["body"])
        body["detail"]["bucket"]["name"] = upload.bucket
        item = body["detail"]["object"]
        assert item["key"] == upload.key
        item["size"] = upload.size
        if "version-id" in item:
            item["version-id"] = upload.version
        record["body"] = json.dumps(body)
    return sample


def told(name: str, upload: Upload, **changed: str) -> dict[str, Any]:
    """Return a sample of what the state machine tells a function, of this upload's import."""
    sample: dict[str, Any] = json.loads((ROOT / "events" / f"{name}.json").read_text("utf-8"))
    return sample | {"importId": upload.import_id} | changed


# Beginning


@pytest.mark.parametrize("function", FUNCTIONS)
def test_importing_a_function_needs_nothing(function: str) -> None:
    """A function's module loads without an environment, a network and credentials."""
    code = (
        f"import sys; sys.path[:0] = ['functions/{function}', 'layers/email_accounts'];"
        f"import socket; socket.socket.connect = None; import {function}"
    )
    ended = subprocess.run(
        [sys.executable, "-I", "-W", "error", "-c", code],
        cwd=ROOT,
        env={},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


@pytest.mark.parametrize("name", SETTINGS)
def test_a_missing_setting_is_named(name: str) -> None:
    """Who deploys without a variable reads which one."""
    settings = {key: value for key, value in SETTINGS.items() if key != name}
    with pytest.raises(KeyError, match=name):
        Settings.read(settings)


@pytest.mark.parametrize("name", NUMBERS)
def test_a_setting_that_is_no_number_is_named(name: str) -> None:
    """Who sets a variable to a word reads which one."""
    with pytest.raises(ValueError, match=name):
        Settings.read(SETTINGS | {name: "many"})


def test_settings_have_the_units_of_the_domain() -> None:
    """Hours and days become seconds, megabytes bytes; hosts are a set without blanks."""
    hosts = {"TRUSTED_REPORT_HOSTS": "127.0.0.1, Reports.example,"}
    settings = Settings.read(SETTINGS | hosts | {"DEADLINE_HOURS": "0.5"})
    assert settings.policy.deadline == 1800
    assert settings.retention == 30 * 86_400
    assert settings.policy.largest_file == 500_000_000
    assert settings.trusted_report_hosts == {"127.0.0.1", "reports.example"}
    assert Settings.read(SETTINGS).trusted_report_hosts == set()


# Events of uploads


@pytest.mark.parametrize(
    ("sample", "key"),
    [
        ("put_object", "uploads/accounts.csv"),
        ("multipart", "uploads/large.csv"),
        ("key_with_blanks_and_accents", "uploads/märz 2026/a+b %41 é.csv"),
        ("without_version", "uploads/accounts.csv"),
    ],
)
def test_an_upload_goes_the_whole_way(
    stack: Stack,
    server: Server,
    capsys: pytest.CaptureFixture[str],
    sample: str,
    key: str,
) -> None:
    """Submitted, checked, delivered: one message with the counts, one outcome per row."""
    upload = stack.upload(key)
    assert stack.call("submit_accounts", event(sample, upload)) is None
    (execution,) = stack.started()
    name = key.rsplit("/", 1)[-1]
    assert execution == {
        "importId": upload.import_id,
        "file": name,
        "next": "check_status",
        "waitSeconds": 10,
    }
    step = stack.call("check_status", told("check_status", upload))
    assert step == {"next": "deliver_report", "waitSeconds": 0}
    answer = stack.call("deliver_report", told("deliver_report", upload))
    assert answer == {"importId": upload.import_id, "status": "partial"}
    (message,) = received(stack.queue)
    document = json.loads(str(message["Message"]))
    assert document["file"]["key"] == key
    assert document["counts"] == {
        "rows": 3,
        "connected": 1,
        "already_connected": 0,
        "failed": 1,
        "unconfirmed": 0,
        "rejected": 1,
        "duplicate": 0,
    }
    assert stack.report(upload.import_id, "outcome.csv").count("\r\n") == 4
    assert [call["accounts"] for call in server.control("GET", "/calls")] == [2, None, None]
    printed = "".join(capsys.readouterr())
    assert PASSWORD not in printed
    assert API_KEY not in printed
    assert upload.import_id in printed


@pytest.mark.parametrize("sample", ["console_folder", "zero_bytes"])
def test_what_is_no_file_does_nothing(stack: Stack, sample: str) -> None:
    """A folder made in the console and an empty object cost no call at all."""
    event = json.loads((ROOT / "events" / f"{sample}.json").read_text("utf-8"))
    assert stack.call("submit_accounts", event) is None
    assert stack.used == {}
    assert stack.started() == []


def test_a_file_outside_uploads_is_answered(stack: Stack, server: Server) -> None:
    """It is refused with a message; nothing is submitted."""
    sample = json.loads((ROOT / "events" / "outside_uploads.json").read_text("utf-8"))
    key = json.loads(sample["Records"][0]["body"])["detail"]["object"]["key"]
    upload = stack.upload(key)
    stack.call("submit_accounts", event("outside_uploads", upload))
    (execution,) = stack.started()
    assert execution["next"] == "deliver_report"
    answer = stack.call("deliver_report", told("deliver_report", upload))
    assert answer["status"] == "refused"
    assert len(received(stack.queue)) == 1
    assert server.control("GET", "/calls") == []


def test_two_uploads_in_one_delivery_are_two_imports(stack: Stack, server: Server) -> None:
    """Every record of a delivery is taken on."""
    rows: list[object] = [dict(row("kim@reach.example"), smtpPort=465)]
    uploads = (
        stack.upload("uploads/first.csv"),
        stack.upload("uploads/second.json", json.dumps(rows).encode()),
    )
    stack.call("submit_accounts", event("two_records", *uploads))
    assert {one["importId"] for one in stack.started()} == {one.import_id for one in uploads}
    assert [call["accounts"] for call in server.control("GET", "/calls")] == [2, 1]


def test_one_event_delivered_five_times_is_one_import(stack: Stack, server: Server) -> None:
    """There is one execution and one request."""
    upload = stack.upload("uploads/accounts.csv")
    for _ in range(5):
        stack.call("submit_accounts", event("put_object", upload))
    assert len(stack.started()) == 1
    assert len(server.control("GET", "/calls")) == 1


def test_a_fault_is_not_hidden_from_the_queue(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What fails raises, so that the queue delivers the event again."""
    upload = stack.upload("uploads/accounts.csv")
    monkeypatch.setenv("LEDGER_TABLE", "no-such-table")
    with pytest.raises(Exception, match="ResourceNotFound"):
        stack.call("submit_accounts", event("put_object", upload))


# What the state machine tells


def test_an_import_is_resumed(
    stack: Stack, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the budget spent the machine has the rest submitted when its turn comes."""
    monkeypatch.setenv("BATCH_SIZE", "1")
    monkeypatch.setenv("CALLS_PER_MINUTE", "1")
    upload = stack.upload("uploads/accounts.csv")
    stack.call("submit_accounts", event("put_object", upload))
    resume = told("submit_accounts_resume", upload)
    step = stack.call("submit_accounts", resume)
    assert step["next"] == "submit_accounts"
    assert 55 <= step["waitSeconds"] <= 60
    monkeypatch.setenv("CALLS_PER_MINUTE", "2")
    stack.processes.clear()
    assert stack.call("submit_accounts", resume) == {"next": "check_status", "waitSeconds": 10}
    assert len(server.control("GET", "/calls")) == 2


def test_a_second_delivery_of_the_answer_is_none(stack: Stack) -> None:
    """The machine may repeat a task: the message is sent once."""
    upload = stack.upload("uploads/accounts.csv")
    stack.call("submit_accounts", event("put_object", upload))
    stack.call("check_status", told("check_status", upload))
    stack.call("deliver_report", told("deliver_report", upload))
    answer = stack.call("deliver_report", told("deliver_report", upload, failure="late"))
    assert answer == {"importId": upload.import_id}
    assert len(received(stack.queue)) == 1


def test_what_broke_off_is_in_the_answer(stack: Stack) -> None:
    """The machine's word on a failure reaches the person."""
    upload = stack.upload("uploads/accounts.csv")
    stack.call("submit_accounts", event("put_object", upload))
    failure = "check_status failed with States.Timeout"
    answer = stack.call("deliver_report", told("deliver_report", upload, failure=failure))
    assert answer["status"] == "unfinished"
    (message,) = received(stack.queue)
    assert failure in json.loads(str(message["Message"]))["trouble"]


def test_a_wrong_key_is_one_call_and_one_message(
    stack: Stack, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five deliveries with a key that is refused: one call, one message that says so."""
    monkeypatch.setenv("API_KEY_SECRET", new_secret("wrong-key"))
    upload = stack.upload("uploads/accounts.csv")
    for _ in range(5):
        stack.call("submit_accounts", event("put_object", upload))
    assert stack.call("check_status", told("check_status", upload))["next"] == "deliver_report"
    answer = stack.call("deliver_report", told("deliver_report", upload))
    assert answer["status"] == "stopped"
    assert len(server.control("GET", "/calls")) == 1
    (message,) = received(stack.queue)
    assert "refused the API key" in json.loads(str(message["Message"]))["trouble"]


# Permissions


def test_a_role_allows_what_its_function_calls_and_no_more(stack: Stack) -> None:
    """Over all ways through a function it makes every call its role allows, and no other."""
    stack.call("submit_accounts", event("put_object", stack.upload("uploads/accounts.csv")))
    upload = stack.upload("uploads/accounts.csv")
    stack.call("submit_accounts", event("without_version", upload))
    gone = Upload(stack.inbox, "uploads/accounts.csv", "", 1)
    boto3.client("s3").delete_object(Bucket=stack.inbox, Key=gone.key)
    stack.call("submit_accounts", event("without_version", gone))
    stack.call("check_status", told("check_status", upload))
    stack.call("deliver_report", told("deliver_report", upload))
    roles = template()["Resources"]
    # What the platform does in a function's name, and what S3 asks for to answer 'not there'.
    not_called = {"s3:ListBucket"}
    for function, logical_id in (
        ("submit_accounts", "SubmitAccountsRole"),
        ("check_status", "CheckStatusRole"),
        ("deliver_report", "DeliverReportRole"),
    ):
        allowed = {
            action
            for action in actions_of(roles[logical_id])
            if action.partition(":")[0] not in ("kms", "logs", "xray", "sqs")
        }
        assert renamed(stack.used[function]) == allowed - not_called, function


def renamed(calls: set[str]) -> set[str]:
    """Name calls as IAM does: a HEAD is a GET."""
    return {"s3:GetObject" if call == "s3:HeadObject" else call for call in calls}
