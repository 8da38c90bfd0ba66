"""The three functions as Lambda calls them: on AWS in this process and the fake API."""

import csv
import importlib.util
import io
import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Any

import pytest
import requests
from botocore.exceptions import (
    ClientError,
    EndpointConnectionError,
    ParamValidationError,
    ReadTimeoutError,
)
from jsonschema import Draft202012Validator

from email_accounts.aws.dynamodb import DynamoLedger
from email_accounts.errors import OutcomeUnknownError, ServiceUnavailableError
from email_accounts.intake.servers import RECORD_NAME
from email_accounts.lambda_runtime.settings import Settings
from email_accounts.models.upload import FILE_READY, Upload
from tests.support.aws import (
    ACCOUNT,
    REGION,
    aws,
    client,
    executions_of,
    new_bucket,
    new_bus,
    new_name,
    new_state_machine,
    new_table,
    new_topic,
    received,
    refuse,
)
from tests.support.fake_api import API_KEY, Server
from tests.support.fakes import Killed, crash, kill
from tests.support.files import MARK, accounts_file, row
from tests.support.ledger import downgrade, lose
from tests.support.name_servers import answering
from tests.support.policies import ENVIRONMENT, Grant, Rights, grants, hold
from tests.support.service import closed_port
from tests.support.template import ROOT, of_type, state_machine, statements_of, template

FIRST_LOOK = 0.05
FUNCTIONS = ("submit_accounts", "check_status", "deliver_report")
CONTENT = accounts_file(
    "robin@reach.example",
    row("kim@reach.example", smtpPassword="wrong-password", imapPassword="wrong-password"),
    row("lee@reach.example", smtpPort="0"),
)
# What the template gives every function; the names of what tests make are put in by `Stack`.
SETTINGS = {
    "API_BASE_URL": "http://127.0.0.1:9/v1",
    "BATCH_SIZE": "100",
    "CALLS_PER_MINUTE": "20",
    "DATA_KEY": "arn:aws:kms:us-east-1:123456789012:key/ours",
    "DEADLINE_HOURS": "6",
    "EVENT_BUS": "default",
    "FIND_SERVERS": "off",
    "INITIAL_POLL_DELAY_SECONDS": "10",
    "GRACE_SECONDS": "600",
    "LEDGER_TABLE": "ledger",
    "MAX_POLL_INTERVAL_SECONDS": "300",
    "MAX_FILE_MEGABYTES": "500",
    "NAME_SERVER": "",
    "NOTIFICATION_TOPIC": "topic",
    "PRESIGNED_REPORT_HOURS": "0",
    "REPORTS_BUCKET": "reports",
    "RETENTION_DAYS": "30",
    "SETTLE_SECONDS": "15",
    "SIGN_IN_CHECK": "off",
    "SKIP_CONNECTED": "true",
    "STATE_MACHINE": "state machine",
    "TRUSTED_MAIL_HOSTS": "",
    "TRUSTED_REPORT_HOSTS": "",
    "VERIFY_CONNECTED": "true",
    "WORKSPACES": "workspaces",
}
NUMBERS = [name for name, value in SETTINGS.items() if value.isdigit()]

# What is done in a function's name is held to other rules, in test_template.py.
NO_FILE = "no file: nothing to import"
BY_OTHERS = ("UseTheKeyThroughServices", "WriteItsLog", "SendTraces")

SCHEMA = json.loads((ROOT / "docs" / "message.schema.json").read_text(encoding="utf-8"))
ESTIMATE = json.loads((ROOT / "docs" / "estimate.schema.json").read_text(encoding="utf-8"))


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
    """What the functions work on, and what each may do to it."""

    inbox: str
    reports: str
    queue: str
    events: str
    machine: str
    workspaces: str
    rights: dict[str, Rights] = field(default_factory=dict)
    running: str = ""
    processes: dict[str, ModuleType] = field(default_factory=dict)

    @property
    def used(self) -> set[Grant]:
        """What all functions have used of their rights."""
        return {one for rights in self.rights.values() for one in rights.used}

    def upload(
        self,
        key: str = "uploads/accounts.csv",
        content: bytes = CONTENT,
        **stored: Any,  # noqa: ANN401  of S3
    ) -> Upload:
        """Drop a file into the inbox."""
        s3 = client("s3")
        put = s3.put_object(Bucket=self.inbox, Key=key, Body=content, **stored)
        return Upload(self.inbox, key, put["VersionId"], len(content))

    def call(self, function: str, event: object) -> Any:  # noqa: ANN401  JSON
        """Invoke a function; its process continues from call to call."""
        if function not in self.processes:
            self.processes[function] = loaded(function)
        self.running = function
        try:
            answer = self.processes[function].handler(event, Context(function))
        finally:
            self.running = ""
        return json.loads(json.dumps(answer))

    def submit(self, upload: Upload, sample: str = "put_object") -> Any:  # noqa: ANN401  JSON
        """Invoke submit_accounts with the event of an upload."""
        return self.call("submit_accounts", event(sample, upload))

    def drop(self) -> Upload:
        """Drop a file, and invoke submit_accounts with its event."""
        upload = self.upload()
        self.submit(upload)
        return upload

    def deliver(self, upload: Upload, **changed: str) -> Any:  # noqa: ANN401  JSON
        """Invoke deliver_report as the state machine does."""
        return self.call("deliver_report", task_input("deliver_report", upload, **changed))

    def message(self) -> dict[str, Any]:
        """Return the one message that was sent since."""
        (message,) = received(self.queue)
        document: dict[str, Any] = json.loads(str(message["Message"]))
        return document

    def poll(self, upload: Upload) -> Any:  # noqa: ANN401  JSON
        """Invoke check_status when the first poll is due."""
        time.sleep(FIRST_LOOK)
        return self.call("check_status", task_input("check_status", upload))

    def started(self) -> list[dict[str, Any]]:
        """Return what each execution was started with."""
        return list(executions_of(self.machine).values())

    def add_workspace(self, name: str, key: str) -> None:
        """Put the API key of a workspace where the functions look for it."""
        client("secretsmanager").create_secret(Name=f"{self.workspaces}/{name}", SecretString=key)

    def set_key(self, key: str) -> None:
        """Replace the API key of the default workspace."""
        client("secretsmanager").put_secret_value(
            SecretId=f"{self.workspaces}/default", SecretString=key
        )

    def report(self, import_id: str, name: str, folder: str = "imports") -> str:
        """Read a report."""
        key = f"{folder}/{import_id}/{name}"
        return str(client("s3").get_object(Bucket=self.reports, Key=key)["Body"].read().decode())


def loaded(function: str) -> ModuleType:
    """Load a function's module as a process that has just begun does."""
    for name in ("container", "observability"):
        sys.modules.pop(f"email_accounts.lambda_runtime.{name}", None)
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
def stack(
    server: Server, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Stack]:
    """Make all that the functions need, with nothing in it; their lines name their imports."""
    # A handler takes the domain's lines over; other tests find them where they were.
    domain = logging.getLogger("email_accounts")
    monkeypatch.setattr(domain, "handlers", [])
    monkeypatch.setattr(domain, "propagate", True)
    with aws():
        topic, queue = new_topic()
        table = new_table()
        name = new_name("stack")
        workspaces, machine = f"{name}/workspaces", new_state_machine(f"{name}-track_import")
        queues = queue, new_bus("default", {"source": ["email-accounts-importer"]})
        stack = Stack(new_bucket(), new_bucket(), *queues, machine, workspaces)
        stack.add_workspace("default", API_KEY)
        made = {
            "API_BASE_URL": f"{server.url}/v1",
            "INITIAL_POLL_DELAY_SECONDS": str(FIRST_LOOK),
            "INBOX_BUCKET": stack.inbox,
            "LEDGER_TABLE": table,
            "NOTIFICATION_TOPIC": topic,
            "REPORTS_BUCKET": stack.reports,
            "STATE_MACHINE": stack.machine,
            "TRUSTED_REPORT_HOSTS": "127.0.0.1",
            "WORKSPACES": workspaces,
            "POWERTOOLS_METRICS_NAMESPACE": "EmailAccountsImporter",
            "POWERTOOLS_SERVICE_NAME": "one of three",
            "VERIFY_CONNECTED": "false",
        }
        for variable, value in (SETTINGS | made).items():
            monkeypatch.setenv(variable, value)
        names = ENVIRONMENT | {
            "AWS::StackName": name,
            "EventBusName": "default",
            "InboxBucket.Arn": f"arn:aws:s3:::{stack.inbox}",
            "LedgerTable.Arn": f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{table}",
            "NotificationTopic": topic,
            "ReportsBucket.Arn": f"arn:aws:s3:::{stack.reports}",
        }

        def rights() -> Rights | None:
            if stack.running and stack.running not in stack.rights:
                stack.rights[stack.running] = rights_of(stack.running, names)
            return stack.rights.get(stack.running)

        hold(monkeypatch, rights)
        yield stack
        lines(capsys)


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    """Return what the functions have logged since; all lines name an import that can name one."""
    logged: list[dict[str, Any]] = [
        json.loads(line) for line in "".join(capsys.readouterr()).split("\n")[:-1]
    ]
    for line in logged:
        cannot = line.get("message") == NO_FILE or line.get("exception_name") == "WrongBucketError"
        assert cannot != bool(line.get("import_id")), line
    return logged


def rights_of(function: str, names: Mapping[str, str]) -> Rights:
    """Return what a function may call: all but what Lambda and the services do in its name."""
    (role,) = (
        one["Role"]["Fn::GetAtt"].removesuffix(".Arn")
        for one in of_type("AWS::Serverless::Function").values()
        if one["Handler"] == f"{function}.handler"
    )
    called = [
        one
        for one in statements_of(template()["Resources"][role])
        if not str(one["Sid"]).startswith(("ReceiveUploads", "ReceiveFailures", *BY_OTHERS))
    ]
    return Rights(grants(called, names))


def event(name: str, *uploads: Upload) -> dict[str, Any]:
    """Return a sample event, its records about these uploads."""
    sample: dict[str, Any] = json.loads((ROOT / "events" / f"{name}.json").read_text("utf-8"))
    records = zip(sample["Records"], uploads, strict=True)
    return {"Records": [told_of(record, upload) for record, upload in records]}


def told_of(record: dict[str, Any], upload: Upload) -> dict[str, Any]:
    """Have a record tell of this upload."""
    body = json.loads(record["body"])
    detail = body["detail"]
    if body["detail-type"] == FILE_READY:
        detail |= {"bucket": upload.bucket, "key": upload.key, "version": upload.version}
    else:
        detail["bucket"]["name"] = upload.bucket
        detail["object"] |= {"key": upload.key, "size": upload.size}
        if "version-id" in detail["object"]:
            detail["object"]["version-id"] = upload.version
    return record | {"body": json.dumps(body)}


def failed(
    upload: Upload, status: str = "FAILED", cause: str | None = None, *, run: str = ""
) -> dict[str, Any]:
    """Return what the queue of failures delivers of an execution: the first, or that of a `run`.

    Source: https://docs.aws.amazon.com/step-functions/latest/dg/eventbridge-integration.html
    """
    name = f"{upload.import_id}{run}"
    detail = {
        "executionArn": f"arn:aws:states:us-east-1:123456789012:execution:x:{name}",
        "stateMachineArn": "arn:aws:states:us-east-1:123456789012:stateMachine:x",
        "name": name,
        "status": status,
        "startDate": 1_795_339_800_000,
        "stopDate": 1_795_339_860_000,
        "input": json.dumps({"importId": upload.import_id}),
        "output": None,
        "error": None,
        "cause": cause,
    }
    body = {
        "version": "0",
        "detail-type": "Step Functions Execution Status Change",
        "source": "aws.states",
        "account": "123456789012",
        "region": "us-east-1",
        "detail": detail,
    }
    return {"Records": [{"body": json.dumps(body), "eventSource": "aws:sqs"}]}


def task_input(name: str, upload: Upload, **changed: str) -> dict[str, Any]:
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
    assert Settings.read(SETTINGS | {"PRESIGNED_REPORT_HOURS": "2"}).report_link == 7_200
    assert Settings.read(SETTINGS).trusted_report_hosts == set()


# Errors of AWS


def client_error(code: str, status: int) -> ClientError:
    """Make what a client raises for an answer."""
    answer: Any = {"Error": {"Code": code}, "ResponseMetadata": {"HTTPStatusCode": status}}
    return ClientError(answer, "GetObject")


@pytest.mark.parametrize(
    ("error", "is_outage"),
    [
        (EndpointConnectionError(endpoint_url="https://s3.example"), True),
        (ReadTimeoutError(endpoint_url="https://s3.example"), True),
        (client_error("SlowDown", 503), True),
        (client_error("InternalError", 500), True),
        (client_error("ProvisionedThroughputExceededException", 400), True),
        (client_error("AccessDenied", 403), False),
        (ParamValidationError(report="no key"), False),
        (ValueError("x"), False),
    ],
)
@pytest.mark.usefixtures("stack")
def test_an_outage_of_aws_is_known_by_its_name(error: Exception, is_outage: bool) -> None:  # noqa: FBT001  a case
    """The state machine retries it for more than ten minutes; anything else is an error of ours."""
    module = loaded("check_status")

    def handle(event: dict[str, Any], _: object) -> None:
        module.bind_import_id(event["importId"])
        raise error

    with pytest.raises(ServiceUnavailableError if is_outage else type(error)):
        module.instrumented(handle)({"importId": "x"}, Context("check_status"))
    for state in state_machine()["States"].values():
        for retrier in state.get("Retry", [])[:1]:
            assert ServiceUnavailableError.__name__ in retrier["ErrorEquals"]


# Events of uploads


@pytest.mark.parametrize(
    ("sample", "key"),
    [
        ("put_object", "uploads/accounts.csv"),
        ("multipart", "uploads/large.csv"),
        ("key_with_blanks_and_accents", "uploads/default/märz 2026/a+b %41 é.csv"),
        ("without_version", "uploads/accounts.csv"),
        ("file_ready", "uploads/accounts.csv"),
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
    (record,) = json.loads((ROOT / "events" / f"{sample}.json").read_text("utf-8"))["Records"]
    assert f'"{key}"' in json.dumps(json.loads(record["body"]), ensure_ascii=False)
    assert stack.submit(upload, sample) is None
    (execution,) = stack.started()
    name = key.rsplit("/", 1)[-1]
    assert execution == {
        "importId": upload.import_id,
        "file": name,
        "next": "check_status",
        "waitSeconds": 1,
    }
    step = stack.poll(upload)
    assert step == {"next": "deliver_report", "waitSeconds": 0}
    answer = stack.deliver(upload)
    assert answer == {"importId": upload.import_id, "status": "partial"}
    document = stack.message()
    assert list(Draft202012Validator(SCHEMA).iter_errors(document)) == []
    estimated, completed = (one["detail"] for one in received(stack.events))
    assert list(Draft202012Validator(ESTIMATE).iter_errors(estimated)) == []
    assert (estimated["file"], completed) == (document["file"], document)
    assert document["file"]["key"] == key
    assert document["file"]["bytes"] == len(CONTENT)
    assert document["counts"] == {
        "rows": 3,
        "connected": 1,
        "already_connected": 0,
        "failed": 1,
        "unconfirmed": 0,
        "not_sent": 0,
        "rejected": 1,
        "duplicate": 0,
    }
    assert stack.report(upload.import_id, "outcome.csv").count("\r\n") == 4
    assert [call["accounts"] for call in server.control("GET", "/calls")] == [None, 2, None, None]
    printed = json.dumps(lines(capsys))
    assert MARK not in printed
    assert API_KEY not in printed
    assert upload.import_id in printed


def test_logging_everything_logs_no_secret(stack: Stack, caplog: pytest.LogCaptureFixture) -> None:
    """Lambda's log level may be DEBUG: botocore would log what AWS answers, the API key too."""
    upload = stack.upload()
    caplog.set_level(logging.DEBUG)
    answered(stack, event("put_object", upload), upload)
    assert caplog.records
    assert API_KEY not in caplog.text
    assert MARK not in caplog.text


def test_a_link_opens_the_page(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where it is switched on, and without signing in."""
    monkeypatch.setenv("PRESIGNED_REPORT_HOURS", "2")
    upload = stack.upload()
    link = answered(stack, event("put_object", upload), upload)["link"]["url"]
    assert "X-Amz-Algorithm=AWS4-HMAC-SHA256" in link
    assert "<!doctype html>" in requests.get(link, timeout=10).text


@pytest.mark.parametrize(
    "key",
    [
        "uploads/",
        "uploads/sales/",
        "elsewhere/",
        *("uploads/.DS_Store", "uploads/sales/Thumbs.db", "uploads/desktop.ini"),
        *("uploads/~$accounts.xlsx", "elsewhere/.DS_Store"),
    ],
)
def test_what_is_no_file_does_nothing(stack: Stack, key: str) -> None:
    """A folder made in the console and what desktops leave behind cost no call at all."""
    upload = stack.upload(key, b"" if key.endswith("/") else CONTENT)
    assert stack.submit(upload) is None
    assert stack.used == set()
    assert stack.started() == []


def answered(stack: Stack, told_of: dict[str, Any], upload: Upload) -> dict[str, Any]:
    """Give the one message on an upload, from its event by all functions as they follow."""
    stack.call("submit_accounts", told_of)
    assert {one["importId"] for one in stack.started()} == {upload.import_id}
    assert stack.poll(upload)["next"] == "deliver_report"
    answer = stack.deliver(upload)
    document = stack.message()
    assert list(Draft202012Validator(SCHEMA).iter_errors(document)) == []
    assert (document["status"], document["importId"]) == (answer["status"], upload.import_id)
    assert [one["detail"] for one in received(stack.events)][-1] == document
    return document


ANY_FOLDER = "Upload the file to the folder of a workspace, or directly to uploads/."


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("accounts.csv", "Upload it again as uploads/accounts.csv."),
        ("uploads", "It is not in the folder uploads/."),
        ("Uploads/accounts.csv", "It is not in the folder uploads/."),
        ("elsewhere/accounts.csv", "It is not in the folder uploads/."),
        ("/uploads/accounts.csv", "It is not in the folder uploads/."),
        ("elsewhere/accounts.csv/", "Upload it again as uploads/accounts.csv."),
        ("uploads//accounts.csv", "its folder has no name. Upload it again as uploads/"),
        ("uploads///", "Its key ends with a slash"),
        ("uploads/accounts.csv/", "as a folder's does. Upload it again as uploads/accounts.csv."),
        ("uploads/sales/", "Its key ends with a slash"),
        ("uploads/Sales/accounts.csv", ANY_FOLDER),
        ("uploads/ /accounts.csv", ANY_FOLDER),
        ("uploads/sales /accounts.csv", ANY_FOLDER),
        ("uploads/../accounts.csv", ANY_FOLDER),
        ("uploads/a\nb\u202e\u009b/accounts.csv", ANY_FOLDER),
        (f"uploads/{'🙂' * 250}/a.csv", ANY_FOLDER),
        ("uploads/märz 2026/accounts.csv", "no workspace 'märz 2026'"),
        ("uploads/unknown/accounts.csv", "email-accounts workspace add unknown"),
    ],
)
def test_a_key_of_any_form_is_answered(stack: Stack, server: Server, key: str, said: str) -> None:
    """With what is wrong and where to drop it; nothing is submitted."""
    upload = stack.upload(key)
    document = answered(stack, event("put_object", upload), upload)
    assert document["status"] == "refused"
    assert said in document["failureReason"]
    assert server.control("GET", "/calls") == []


@pytest.mark.parametrize(
    "name",
    [
        *(" ", ".csv", "a+b %41%2F é.csv", "Größe 表 🙂", "accounts.csv.exe", "a?b#c&d=e.csv"),
        *(
            "a\nb\t.csv",
            "\u202egnp.csv",
            "'\"`$(x)\\.csv",
            f"{'é' * 500}.csv",
            "2026//a.csv",
            "...",
        ),
    ],
)
def test_a_name_of_any_form_is_imported(stack: Stack, name: str) -> None:
    """What a file is called says nothing of what it holds."""
    upload = stack.upload(f"uploads/default/{name}")
    document = answered(stack, event("put_object", upload), upload)
    assert document["status"] == "partial"
    assert document["file"]["key"] == upload.key


@pytest.mark.parametrize("version", ["told", ""])
@pytest.mark.parametrize("sample", ["put_object", "file_ready"])
def test_an_empty_file_is_answered(stack: Stack, sample: str, version: str) -> None:
    """It says that it is empty, no matter who is about it."""
    upload = stack.upload("uploads/accounts.csv", b"")
    told_of = event(sample, replace(upload, version=version and upload.version))
    document = answered(stack, told_of, upload)
    assert (document["status"], document["file"]["bytes"]) == ("refused", 0)
    assert document["failureReason"].startswith("It is empty.")


def test_a_folder_that_another_system_announces_is_answered(stack: Stack) -> None:
    """Its event has no size, so the key alone says that it is none of a file."""
    upload = stack.upload("uploads/2026/", b"")
    ready = event("file_ready", upload)
    assert "ends with a slash" in answered(stack, ready, upload)["failureReason"]


@pytest.mark.parametrize(
    "time",
    ["2026-11-22T13:40:00Z", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00+14:00", "yesterday"],
)
def test_an_event_of_any_time_is_imported(stack: Stack, server: Server, time: str) -> None:
    """The account list is read once, however far off the time."""
    upload = stack.upload()
    ready = event("file_ready", upload)
    body = json.loads(ready["Records"][0]["body"])
    body["time"] = time
    ready["Records"][0]["body"] = json.dumps(body)
    assert answered(stack, ready, upload)["status"] == "partial"
    calls = [call["accounts"] for call in server.control("GET", "/calls")]
    assert calls == [None, 2, None, None]


THEIRS = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "arn:aws:kms:x:1:key/theirs"}
OURS = {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": SETTINGS["DATA_KEY"]}
OF_THE_UPLOADER = "The object was stored using a form of Server Side Encryption."
OF_THE_KEY = "not authorized to perform: kms:Decrypt"


@pytest.mark.parametrize(
    ("stored", "refusal", "said"),
    [
        ({"StorageClass": "GLACIER"}, None, "in an archive"),
        ({"StorageClass": "DEEP_ARCHIVE"}, None, "in an archive"),
        ({}, ("InvalidRequest", OF_THE_UPLOADER), "its uploader's own key"),
        (THEIRS, ("AccessDenied", OF_THE_KEY), "a KMS key other than the inbox's"),
        (THEIRS, ("KMS.DisabledException", ""), "a KMS key other than the inbox's"),
        (THEIRS, ("KMS.NotFoundException", ""), "a KMS key other than the inbox's"),
    ],
)
def test_an_object_that_cannot_be_read_is_answered(
    stack: Stack,
    monkeypatch: pytest.MonkeyPatch,
    stored: dict[str, str],
    refusal: tuple[str, str] | None,
    said: str,
) -> None:
    """With how it was stored, and to upload it again without that."""
    upload = stack.upload("uploads/accounts.csv", CONTENT, **stored)
    if refusal:
        refuse(monkeypatch, "GetObject", *refusal)
    document = answered(stack, event("put_object", upload), upload)
    assert document["status"] == "refused"
    assert said in document["failureReason"]
    assert "Upload it again without choosing" in document["failureReason"]


@pytest.mark.parametrize("stored", [{}, OURS])
@pytest.mark.parametrize("code", ["AccessDenied", "KMS.DisabledException"])
def test_a_fault_of_the_stack_is_not_told_as_one_of_the_file(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, stored: dict[str, str], code: str
) -> None:
    """A right that lacks, or our key out of order, fails the function, and its alarm rings.

    When the machine has given up, the answer says that it is not read, and where to look.
    """
    upload = stack.upload("uploads/accounts.csv", CONTENT, **stored)
    refuse(monkeypatch, "GetObject", code, "not authorized")
    with pytest.raises(ClientError, match=code):
        stack.submit(upload)
    failure = "submit_accounts failed with ClientError"
    answer = stack.deliver(upload, failure=failure)
    assert answer["status"] == "refused"
    said = stack.message()["failureReason"]
    assert "The log of submit_accounts says why" in said
    assert "encrypt" not in said


def test_what_another_system_announces_again_is_imported_once(stack: Stack) -> None:
    """S3's event and that of the other system, with and without version, are of one import."""
    upload = stack.upload()
    unknown = Upload(upload.bucket, upload.key, "", 0)
    for told in (event("put_object", upload), *(event("file_ready", u) for u in (upload, unknown))):
        stack.call("submit_accounts", told)
    assert [one["importId"] for one in stack.started()] == [upload.import_id]


def test_the_limit_of_size_holds_for_what_another_system_announces(
    stack: Stack, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The event has no size, so S3 is asked for it; also where the version is told."""
    monkeypatch.setenv("MAX_FILE_MEGABYTES", "0.0001")
    upload = stack.upload("uploads/accounts.csv", CONTENT * 2)
    stack.submit(upload, "file_ready")
    answer = stack.deliver(upload)
    assert answer["status"] == "refused"
    assert "the limit is" in stack.message()["failureReason"]
    assert server.control("GET", "/calls") == []


def test_another_system_can_announce_what_is_not_there(stack: Stack) -> None:
    """A version that never was gets an answer like a file that was deleted."""
    unknown = Upload(stack.inbox, "uploads/accounts.csv", "never-was", 0)
    stack.submit(unknown, "file_ready")
    stack.deliver(unknown)
    assert "deleted or replaced" in stack.message()["failureReason"]


@pytest.mark.parametrize("sample", ["file_ready", "put_object"])
def test_an_object_of_another_bucket_is_not_read(stack: Stack, sample: str) -> None:
    """Such an event ends among the dead letters, with an alarm."""
    elsewhere = new_bucket()
    put = client("s3").put_object(Bucket=elsewhere, Key="uploads/accounts.csv", Body=CONTENT)
    upload = Upload(elsewhere, "uploads/accounts.csv", put["VersionId"], len(CONTENT))
    with pytest.raises(Exception, match=f"is about {elsewhere}, which is not the inbox"):
        stack.submit(upload, sample)
    assert stack.used == set()
    assert stack.started() == []


def test_two_uploads_in_one_delivery_are_two_imports(stack: Stack, server: Server) -> None:
    """Every record of a delivery is taken on."""
    rows: list[object] = [dict(row("kim@reach.example"), smtpPort=465)]
    uploads = (
        stack.upload("uploads/first.csv"),
        stack.upload("uploads/second.json", json.dumps(rows).encode()),
    )
    stack.call("submit_accounts", event("two_records", *uploads))
    assert {one["importId"] for one in stack.started()} == {one.import_id for one in uploads}
    calls = [call["accounts"] for call in server.control("GET", "/calls")]
    assert [accounts for accounts in calls if accounts] == [2, 1]


def test_a_fault_is_not_hidden_from_the_queue(stack: Stack) -> None:
    """What fails raises, so that the queue delivers the event again."""
    upload = stack.upload()
    client("dynamodb").delete_table(TableName=os.environ["LEDGER_TABLE"])
    with pytest.raises(Exception, match="ResourceNotFound"):
        stack.submit(upload)


# What the state machine tells


def test_an_import_is_resumed(
    stack: Stack, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the budget spent the machine has the rest submitted when its turn comes."""
    monkeypatch.setenv("BATCH_SIZE", "1")
    monkeypatch.setenv("SKIP_CONNECTED", "false")
    monkeypatch.setenv("INITIAL_POLL_DELAY_SECONDS", "100")
    monkeypatch.setenv("CALLS_PER_MINUTE", "1")
    upload = stack.drop()
    resume = task_input("submit_accounts_resume", upload)
    step = stack.call("submit_accounts", resume)
    assert step["next"] == "submit_accounts"
    assert 55 <= step["waitSeconds"] <= 67
    client("dynamodb").delete_item(
        TableName=os.environ["LEDGER_TABLE"],
        Key={"pk": {"S": "BUDGET#default"}, "sk": {"S": "BUDGET"}},
    )
    assert stack.call("submit_accounts", resume) == {"next": "check_status", "waitSeconds": 100}
    assert len(server.control("GET", "/calls")) == 2


def test_a_second_delivery_of_the_answer_is_none(stack: Stack) -> None:
    """The machine may repeat a task, or fail after its answer: the message is sent once."""
    upload = stack.drop()
    stack.poll(upload)
    stack.deliver(upload)
    assert stack.deliver(upload, failure="late") == {"importId": upload.import_id}
    stack.call("deliver_report", failed(upload))
    assert len(received(stack.queue)) == 1


def test_what_broke_off_is_in_the_answer(stack: Stack) -> None:
    """The machine's word on a failure reaches the person."""
    upload = stack.drop()
    failure = "check_status failed with States.Timeout"
    answer = stack.deliver(upload, failure=failure)
    assert answer["status"] == "unfinished"
    assert failure in stack.message()["failureReason"]


def test_a_wrong_key_is_one_call_and_one_message(stack: Stack, server: Server) -> None:
    """Five deliveries with a key that is refused: one call, one message that reports it."""
    stack.set_key("wrong-key")
    upload = stack.upload()
    for _ in range(5):
        stack.submit(upload)
    assert stack.poll(upload)["next"] == "deliver_report"
    answer = stack.deliver(upload)
    assert answer["status"] == "stopped"
    assert len(server.control("GET", "/calls")) == 1
    assert "refused the API key" in stack.message()["failureReason"]


# Workspaces


def test_a_file_goes_with_the_key_of_its_workspace(stack: Stack, server: Server) -> None:
    """The folder it is in names the workspace, and that names the secret of its key."""
    stack.set_key("wrong-key")
    stack.add_workspace("sales", API_KEY)
    upload = stack.upload("uploads/sales/accounts.csv")
    document = answered(stack, event("put_object", upload), upload)
    assert (document["workspace"], document["status"]) == ("sales", "partial")
    assert 2 in [call["accounts"] for call in server.control("GET", "/calls")]


# Imports that 0.1 began


def ledger_states(upload: Upload) -> set[str]:
    """Return the states of an import and of its batches."""
    ledger = DynamoLedger(client("dynamodb"), os.environ["LEDGER_TABLE"], 0)
    batches = ledger.batches(upload.import_id)
    return {ledger.get(upload.import_id).state, *(batch.state for batch in batches)}


def told_by_first_release(function: str, upload: Upload) -> dict[str, str]:
    """Return what an execution that 0.1 began tells a function."""
    more = {"failure": ""} if function == "deliver_report" else {}
    return {"importId": upload.import_id} | more


@pytest.mark.parametrize(
    ("state", "outcomes"),
    [
        ("received", "connected failed rejected"),
        ("submitted", "connected failed rejected"),
        ("unconfirmed", "connected failed rejected"),
        ("resumed", "connected failed rejected"),
        ("refused", ""),
    ],
)
def test_an_import_of_the_first_release_is_answered(
    stack: Stack, server: Server, monkeypatch: pytest.MonkeyPatch, state: str, outcomes: str
) -> None:
    """Whatever it had come to before the update, it ends as it would have; nothing is sent twice.

    Its items have the shape of 0.1, and its execution continues with the payloads of 0.1.
    """
    monkeypatch.setenv("GRACE_SECONDS", "0")
    upload = stack.upload("uploads/accounts.csv", b"nothing" if state == "refused" else CONTENT)
    begin = event("put_object", upload)
    if state == "unconfirmed":
        lost = {"operation": "connect", "fault": "error_500", "carried_out": True}
        server.control("POST", "/faults", [lost])
    with monkeypatch.context() as patched, suppress(ZeroDivisionError):
        if state == "received":
            patched.setattr("email_accounts.aws.step_functions.TrackImport.start", crash)
        stack.call("submit_accounts", begin)
    assert state in {*ledger_states(upload), "resumed"}
    if state == "resumed":
        stack.call("deliver_report", told_by_first_release("deliver_report", upload))
        assert stack.call(
            "submit_accounts", {"importId": upload.import_id, "action": "resume"}
        ) == {"resumed": True}
    downgrade(os.environ["LEDGER_TABLE"])
    stack.call("submit_accounts", begin)
    task = "check_status"
    for _ in range(5):
        time.sleep(FIRST_LOOK)
        answer = stack.call(task, told_by_first_release(task, upload))
        if task == "deliver_report":
            break
        task = answer["next"]
    text = stack.report(upload.import_id, "outcome.csv") if outcomes else ""
    assert [row["outcome"] for row in csv.DictReader(io.StringIO(text))] == outcomes.split()
    assert [call["operation"] for call in server.control("GET", "/calls")].count("connect") == (
        0 if state == "refused" else 1
    )
    assert len(received(stack.queue)) == (2 if state == "resumed" else 1)


# Ends that are not as planned


def test_a_file_that_kills_its_function_is_answered(
    stack: Stack, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The third attempt refuses it unread, under the payload that executions of 0.1 send."""
    upload = stack.upload()
    monkeypatch.setattr("email_accounts.submission.submitter.plan", kill)
    with pytest.raises(Killed):
        stack.submit(upload)
    for last in (False, True):
        assert stack.poll(upload)["next"] == "check_status"
        let_the_lease_end(upload)
        assert stack.poll(upload) == {"next": "submit_accounts", "waitSeconds": 0}
        if not last:
            with pytest.raises(Killed):
                stack.call("submit_accounts", {"importId": upload.import_id})
    step = stack.call("submit_accounts", {"importId": upload.import_id})
    assert step == {"next": "deliver_report", "waitSeconds": 0}
    answer = stack.call("deliver_report", {"importId": upload.import_id, "failure": ""})
    assert answer["status"] == "refused"
    (message,) = received(stack.queue)
    assert "Every attempt to read it failed" in str(message["Message"])
    assert server.control("GET", "/calls") == []


def let_the_lease_end(upload: Upload) -> None:
    """Let the time pass after which another attempt is made."""
    client("dynamodb").update_item(
        TableName=os.environ["LEDGER_TABLE"],
        Key={"pk": {"S": f"IMPORT#{upload.import_id}"}, "sk": {"S": "IMPORT"}},
        UpdateExpression="SET lease_until = :over",
        ExpressionAttributeValues={":over": {"N": "0"}},
    )


@pytest.mark.parametrize(
    ("status", "cause", "said"),
    [
        ("FAILED", "deliver_report failed with States.Timeout", "failed with States.Timeout"),
        ("ABORTED", None, "its execution was aborted"),
        ("TIMED_OUT", None, "its execution was timed_out"),
    ],
)
def test_an_execution_that_ended_without_success_is_answered(
    stack: Stack, status: str, cause: str | None, said: str
) -> None:
    """Whatever interrupted it, the import has one answer, which says so; told twice, still one."""
    upload = stack.drop()
    for _ in range(2):
        assert stack.call("deliver_report", failed(upload, status, cause)) is None
    document = stack.message()
    assert (document["status"], document["importId"]) == ("unfinished", upload.import_id)
    assert said in document["failureReason"]
    assert stack.report(upload.import_id, "outcome.csv").count("\r\n") == 4


def test_a_late_failure_of_the_execution_before_ends_no_resumed_import(stack: Stack) -> None:
    """Its event came twice, or late; that of the current execution counts."""
    upload = stack.drop()
    stack.call("deliver_report", failed(upload, "ABORTED"))
    resume = {"importId": upload.import_id, "action": "resume"}
    assert stack.call("submit_accounts", resume) == {"resumed": True}
    for run, answers in (("", 1), ("", 0), ("-2", 1)):
        stack.call("deliver_report", failed(upload, "ABORTED", run=run))
        assert len(received(stack.queue)) == answers


def test_the_message_comes_though_no_report_can_be_written(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the reports bucket the machine's delivery fails, and the last resort answers."""
    upload = stack.drop()
    monkeypatch.setenv("REPORTS_BUCKET", "no-such-bucket")
    with pytest.raises(Exception, match="AccessDenied"):
        stack.deliver(upload)
    assert received(stack.queue) == []
    stack.call("deliver_report", failed(upload, cause="deliver_report failed with AccessDenied"))
    document = stack.message()
    assert document["reports"] == {}
    assert document["counts"]["rows"] == 3


def test_an_operator_resumes_an_answered_import(stack: Stack, server: Server) -> None:
    """There is a second execution, and at its end a second message; before the answer neither."""
    stack.set_key("wrong-key")
    upload = stack.drop()
    resume = {"importId": upload.import_id, "action": "resume"}
    assert stack.call("submit_accounts", resume) == {"resumed": False}
    stack.deliver(upload)
    stack.set_key(API_KEY)
    stack.processes.clear()
    assert stack.call("submit_accounts", resume) == {"resumed": True}
    with pytest.raises(client("s3").exceptions.NoSuchKey):
        stack.report(upload.import_id, "outcome.csv")
    assert executions_of(stack.machine)[f"{upload.import_id}-2"]["importId"] == upload.import_id
    stack.call("submit_accounts", task_input("submit_accounts_resume", upload))
    assert stack.poll(upload)["next"] == "deliver_report"
    answer = stack.deliver(upload)
    assert answer["status"] == "partial"
    documents = [json.loads(str(one["Message"])) for one in received(stack.queue)]
    assert sorted((one["answer"], one["status"]) for one in documents) == [
        (1, "stopped"),
        (2, "partial"),
    ]
    assert 2 in [call["accounts"] for call in server.control("GET", "/calls")]


def test_an_operator_stops_a_running_import(stack: Stack) -> None:
    """The next poll leads to the report, which is told as stopped, with what was sent before."""
    upload = stack.drop()
    stop = {"importId": upload.import_id, "action": "stop"}
    assert stack.call("submit_accounts", stop) == {"stopped": True}
    assert stack.call("submit_accounts", stop) == {"stopped": False}
    assert stack.poll(upload)["next"] == "deliver_report"
    answer = stack.deliver(upload)
    assert answer["status"] == "stopped"
    document = stack.message()
    assert document["counts"]["unconfirmed"] == 2
    assert stack.call("submit_accounts", stop) == {"stopped": False}


# Lines of the log


def test_every_line_names_its_import(
    stack: Stack,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Those of the three functions, of the domain and of metrics, each once, and its trace."""
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1")
    upload = stack.drop()
    lose_the_answer(upload)
    monkeypatch.setattr("email_accounts.saleshandy.client.SaleshandyClient.listed", unanswered)
    assert stack.poll(upload)["next"] == "check_status"
    monkeypatch.setattr("email_accounts.aws.s3.ReportsBucket.writer", crash)
    with pytest.raises(ZeroDivisionError):
        stack.deliver(upload)
    stack.call("deliver_report", failed(upload))
    logged = lines(capsys)
    assert {line["import_id"] for line in logged} == {upload.import_id}
    told_of = [(line["service"], line.get("message")) for line in logged if "_aws" not in line]
    assert told_of == [
        ("submit_accounts", "import started"),
        ("check_status", "the poll was interrupted: Saleshandy did not answer"),
        ("check_status", "polled"),
        ("deliver_report", "failed"),
        ("deliver_report", "answered"),
    ]
    assert {line["service"] for line in logged if "_aws" in line} == set(FUNCTIONS)
    assert [line["OverdueSeconds"] for line in logged if "OverdueSeconds" in line] == [[0]]
    traced = {line.get("xray_trace_id") for line in logged if "_aws" not in line}
    assert traced == {"1-5759e988-bd862e3fe1be46a994272793"}
    # Lambda's own handler is the root's: it would log these once more, without the import.
    assert not [one for one in caplog.records if one.name.startswith("email_accounts")]


def unanswered(*_: object) -> None:
    """Get no answer of the service."""
    raise OutcomeUnknownError("Saleshandy did not answer")


# Permissions


def test_a_function_needs_all_it_may(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Over all ways through the functions each right is used; that none is missing, all tests show.

    The account list that was read for one import serves those dropped just after it, so it is
    taken away where connected accounts are to be found.
    """
    monkeypatch.setenv("VERIFY_CONNECTED", "true")
    monkeypatch.setenv("SETTLE_SECONDS", "0")
    monkeypatch.setenv("CALLS_PER_MINUTE", "600")
    use_servers_found(stack, monkeypatch)
    lost = stack.drop()
    lose_the_answer(lost)
    stack.poll(lost)
    client("dynamodb").delete_item(
        TableName=os.environ["LEDGER_TABLE"],
        Key={"pk": {"S": "INDEX#default"}, "sk": {"S": "INDEX"}},
    )
    upload = stack.upload()
    stack.submit(upload, "without_version")
    stack.poll(upload)
    stack.poll(upload)  # of what is complete by now the list and the report are read
    stack.submit(upload, "file_ready")
    stack.deliver(upload)
    stack.call("submit_accounts", {"importId": upload.import_id, "action": "resume"})
    partly = stack.drop()
    lose_the_answer(partly)
    stack.poll(partly)
    gone = stack.drop()
    client("s3").delete_object(Bucket=stack.inbox, Key=gone.key, VersionId=gone.version)
    stack.poll(gone)
    stack.deliver(gone)
    stack.submit(gone, "file_ready")
    try_sign_ins(stack, monkeypatch)
    broken = stack.drop()
    monkeypatch.setattr("email_accounts.aws.s3._WRITTEN_PART", 1)
    refuse(monkeypatch, "CompleteMultipartUpload", "InternalError", "no report can be completed")
    for call in (
        stack.poll,
        stack.deliver,
    ):
        with pytest.raises(ClientError, match="no report can be completed"):
            call(broken)
    for function, rights in stack.rights.items():
        assert set(rights.granted) == rights.used, function


def try_sign_ins(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have sign-ins tried at a mail server that does not answer, then submit and report."""
    monkeypatch.setenv("SIGN_IN_CHECK", "strict")
    monkeypatch.setenv("TRUSTED_MAIL_HOSTS", "mail.test")
    stack.processes.clear()
    port = str(closed_port())
    server = {"smtpHost": "mail.test", "smtpPort": port, "imapHost": "mail.test", "imapPort": port}
    without_servers = {"email": "b@unknown.example", "password": MARK}
    account = row("a@x.example", emailServiceProvider="other", **server)
    content = accounts_file(without_servers, account)
    with answering() as name_server:
        monkeypatch.setenv("NAME_SERVER", name_server.address)
        for switch in ("on", "off"):
            monkeypatch.setenv("FIND_SERVERS", switch)
            stack.processes.clear()
            upload = stack.upload("uploads/accounts.csv", content)
            stack.submit(upload)
            told_next = stack.call("submit_accounts", task_input("submit_accounts_resume", upload))
            assert told_next["next"] == "check_sign_in"
            told_next = stack.call("check_sign_in", task_input("check_sign_in", upload))
            assert told_next["next"] == "submit_accounts"
    stack.call("submit_accounts", task_input("submit_accounts_resume", upload))
    stack.deliver(upload)
    stack.call("check_sign_in", task_input("check_sign_in", upload))
    gone = stack.upload("uploads/accounts.csv", content)
    stack.submit(gone)
    client("s3").delete_object(Bucket=stack.inbox, Key=gone.key, VersionId=gone.version)
    stack.call("check_sign_in", task_input("check_sign_in", gone))
    monkeypatch.setenv("SIGN_IN_CHECK", "off")
    stack.processes.clear()


def use_servers_found(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    """Take files with a row that has no servers through all functions, with a record and without.

    The row is rejected in either case, so that the plan is the same.
    """
    without_servers = {"email": "b@unknown.example", "password": MARK}
    with answering() as name_server:
        monkeypatch.setenv("FIND_SERVERS", "on")
        monkeypatch.setenv("NAME_SERVER", name_server.address)
        for is_kept in (True, False):
            content = accounts_file(without_servers, f"{is_kept}@reach.example")
            upload = stack.upload("uploads/accounts.csv", content)
            stack.submit(upload)
            if not is_kept:
                key = f"imports/{upload.import_id}/{RECORD_NAME}"
                client("s3").delete_object(Bucket=stack.reports, Key=key)
            stack.poll(upload)
            stack.poll(upload)
            stack.deliver(upload)
        assert ("unknown.example", "MX") in name_server.questions


@pytest.mark.parametrize(("switch", "are_asked"), [("on", True), ("off", False)])
def test_name_servers_are_asked_where_that_is_on(
    stack: Stack, monkeypatch: pytest.MonkeyPatch, switch: str, *, are_asked: bool
) -> None:
    """Switched off, not one packet goes to a name server; rows with servers never cause one."""
    without = accounts_file({"email": "b@workspace.example", "password": MARK})
    with answering() as name_server:
        monkeypatch.setenv("FIND_SERVERS", switch)
        monkeypatch.setenv("NAME_SERVER", name_server.address)
        for content in (CONTENT, without):
            upload = stack.upload("uploads/accounts.csv", content)
            stack.submit(upload)
            stack.deliver(upload)
            asked = content is without and are_asked
            assert name_server.questions == [("workspace.example", "MX")] * asked
    outcome = stack.report(upload.import_id, "outcome.csv")
    assert ("workspace.example: Google Workspace (by MX)" in outcome) is are_asked


def lose_the_answer(upload: Upload) -> None:
    """Leave the outcome of the first batch unknown, so that it is looked for in the list."""
    now = time.time()
    ledger = DynamoLedger(client("dynamodb"), os.environ["LEDGER_TABLE"], 9999)
    lose(ledger, upload.import_id, 1, now, now)
