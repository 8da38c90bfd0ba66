"""Ways on which a secret could get away, and proof that one that does is found.

Whatever these and all other tests leave behind is searched when their cloud is stopped: see
`hunted` in `leaks.py`.
"""

import gzip
import io
import json
import secrets
import time
import zipfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from local.echoes import ECHOES
from local.faults import Rule
from tests.reliability.cases import rule
from tests.support.cloud import SMALL, LocalCloud, Subscriber
from tests.support.faults import crash_at
from tests.support.files import MARK, PASSWORD, accounts_file, api_key, row
from tests.support.leaks import Finder, Hunt

pytestmark = pytest.mark.e2e

BAIT = f"bait-{secrets.token_hex(8)}"
ECHO = {"echoes": "JSON", "carried_out": True}
EVERYWHERE = accounts_file(
    "a@accounts.example",
    row("b@accounts.example", imapPassword="wrong-password"),
    row("c@accounts.example", smtpPort=PASSWORD, fromFirstName=PASSWORD),
    row(PASSWORD),
    row("d@accounts.example", smtpPassword="", smtpHost=PASSWORD, smtpUserName=PASSWORD),
)
"""Passwords in columns where they do not belong, and in names."""


def plant(cloud: LocalCloud) -> set[str]:
    """Put bait wherever a secret could come to lie; return the places."""
    text = f'{{"password": "{BAIT}"}}'
    clients = {name: cloud.client(name) for name in ("s3", "sqs", "logs", "events", "lambda")}
    reports, table = cloud.environment["REPORTS_BUCKET"], cloud.environment["LEDGER_TABLE"]
    topic = cloud.environment["NOTIFICATION_TOPIC_ARN"]
    version = clients["s3"].put_object(
        Bucket=reports, Key="planted/packed.gz", Body=gzip.compress(text.encode())
    )["VersionId"]
    clients["s3"].delete_object(Bucket=reports, Key="planted/packed.gz")
    clients["s3"].put_object(Bucket=reports, Key="planted/head", Body=b"", Metadata={"a": BAIT})
    item = {"pk": {"S": "PLANTED"}, "sk": {"S": "PLANTED"}, "reason": {"B": text.encode()}}
    cloud.client("dynamodb").put_item(TableName=table, Item=item)
    clients["logs"].create_log_group(logGroupName="planted")
    clients["logs"].create_log_stream(logGroupName="planted", logStreamName="planted")
    line = {"timestamp": int(time.time() * 1000), "message": text}
    clients["logs"].put_log_events(
        logGroupName="planted", logStreamName="planted", logEvents=[line]
    )
    dimensions = [{"Name": "key", "Value": BAIT}]
    metric = {"MetricName": "Planted", "Value": 1, "Dimensions": dimensions}
    cloud.client("cloudwatch").put_metric_data(Namespace="planted", MetricData=[metric])
    queue = clients["sqs"].create_queue(QueueName="planted")["QueueUrl"]
    clients["sqs"].send_message(QueueUrl=queue, MessageBody=text)
    cloud.client("sns").publish(TopicArn=topic, Subject="planted", Message=text)
    event = {"Source": "planted", "DetailType": "planted", "Detail": text}
    clients["events"].put_events(Entries=[event])
    cloud.client("secretsmanager").create_secret(
        Name="planted", SecretString=BAIT, Description=BAIT
    )
    cloud.client("ssm").put_parameter(Name="/planted", Value=BAIT, Type="String")
    (cloud.state / "emulator/tmp/planted").write_bytes(BAIT.encode("utf-16"))
    cloud.heard(text)
    assert version
    return {
        "object reports/planted/packed.gz",
        "head of object reports/planted/head",
        f"item of {table}",
        "log planted",
        "metric planted/Planted",
        "queue planted",
        "queue kept",
        "secret planted",
        "description of secret planted",
        "parameters",
        f"file {cloud.state}/emulator/tmp/planted",
        f"file {cloud.state}/emulator.log",  # which shows every mail
        f"file {cloud.said}",
    }


@contextmanager
def executed_and_deployed(cloud: LocalCloud) -> Iterator[set[str]]:
    """Have bait in an execution and in the settings of a function for a time."""
    states, functions = cloud.client("stepfunctions"), cloud.client("lambda")
    role = functions.list_functions()["Functions"][0]["Role"]
    code = io.BytesIO()
    with zipfile.ZipFile(code, "w") as packed:
        packed.writestr("planted.py", "handler = print")
    definition = {"StartAt": "Pass", "States": {"Pass": {"Type": "Pass", "End": True}}}
    machine = states.create_state_machine(
        name="planted", definition=json.dumps(definition), roleArn=role
    )["stateMachineArn"]
    states.start_execution(stateMachineArn=machine, name="planted", input=json.dumps([BAIT]))
    functions.create_function(
        FunctionName="planted",
        Runtime="python3.13",
        Handler="planted.handler",
        Role=role,
        Code={"ZipFile": code.getvalue()},
        Environment={"Variables": {"PLANTED": BAIT}},
    )
    try:
        yield {"execution planted", "history of execution planted", "function planted"}
    finally:
        functions.delete_function(FunctionName="planted")
        states.delete_state_machine(stateMachineArn=machine)


def test_what_is_planted_is_found(cloud: LocalCloud) -> None:
    """Bait in every kind of place is found in each, and in the mail that a message became."""
    places = plant(cloud)
    with executed_and_deployed(cloud) as more:
        found = {leak.place for leak in Hunt(cloud, Finder({"bait-": "bait"})).leaks()}
    mails = {place for place in found if place.startswith(f"file {cloud.state}/emulator/mail/")}
    assert len(mails) == 1
    assert found - mails == places | more


@pytest.mark.parametrize(
    ("rules", "subject", "failure_reason"),
    [
        (
            [rule("connect", "error_500", **ECHO), rule("list", "error_502", echoes="as it is")],
            "2 connected, 1 failed",
            "",
        ),
        ([rule("connect", "not_found", echoes="as it is")], "3 failed", ""),
        # An answer like this without JSON comes from a proxy, not from the service.
        ([rule("connect", "error_403", echoes="as it is")], "2 connected, 1 failed", ""),
        (
            [
                rule("status", "not_found", echoes="as it is"),
                rule("status", "error_500", echoes="as it is"),
                rule("status", "error_410", echoes="as it is"),
                rule("report", "error_403", echoes="as it is"),
            ],
            "2 connected, 1 failed",
            "",
        ),
    ],
    ids=["connect and list", "connect refused", "firewall", "status and report"],
)
def test_a_service_that_repeats_what_it_was_sent(
    cloud: LocalCloud,
    subscriber: Subscriber,
    rules: list[dict[str, object]],
    subject: str,
    failure_reason: str,
) -> None:
    """What it repeats in errors and reports, quoted in whatever way, is nowhere afterwards."""
    cloud.behave(report="all", report_echoes_input=True, reasons_echo_input=True)
    cloud.control("POST", "faults", rules)
    answer = subscriber.answer(cloud.upload("uploads/repeated.csv", SMALL))
    assert cloud.control("GET", "faults").json() == []
    assert answer.subject == f"[default] repeated.csv, 3 rows: {subject}"
    assert failure_reason in answer.document["failureReason"]
    assert not set(Finder().forms((answer.text + answer.mail).encode()))


REPEATED = accounts_file(
    *(
        row(f"{number}@accounts.example", imapPassword="wrong-password")
        for number in range(len(ECHOES))
    )
)
"""A row for each way in which a service may write its password."""


@pytest.mark.parametrize("place", ["reasons and list", "refusals"])
def test_each_way_of_writing_a_password(
    cloud: LocalCloud, subscriber: Subscriber, place: str
) -> None:
    """Each row's password comes back in another way, and is nowhere afterwards."""
    cloud.behave(report="all", reasons_echo_input=True, list_echoes_input=True)
    with ExitStack() as stack:
        if place == "refusals":
            stack.enter_context(cloud.environment_of("submit_accounts", BATCH_SIZE="1"))
            cloud.control(
                "POST", "faults", [rule("connect", "not_found", echoes=way) for way in ECHOES]
            )
        else:
            stack.enter_context(cloud.environment_of("check_status", VERIFY_CONNECTED="true"))
        identity = cloud.upload("uploads/ways.csv", REPEATED)
        answer = subscriber.answer(identity)
    assert cloud.control("GET", "faults").json() == []
    assert answer.subject == f"[default] ways.csv, {len(ECHOES)} rows: {len(ECHOES)} failed"
    assert all("***" in one["reason"] for one in cloud.outcomes(identity))
    assert not set(Finder().forms((answer.text + answer.mail).encode()))


def test_a_function_that_raises_with_passwords_at_hand(
    cloud: LocalCloud, subscriber: Subscriber
) -> None:
    """Its log and its failed task tell what was raised, and nothing of what it had in hand."""
    cloud.behave()
    fault = Rule("check_status", "reports.writer", "before", "raise")
    with crash_at(cloud, fault):
        identity = cloud.upload("uploads/raising.csv", SMALL)
        answer = subscriber.answer(identity)
    assert cloud.history(identity).count("TaskFailed") == 1
    assert answer.subject == "[default] raising.csv, 3 rows: 2 connected, 1 failed"


@pytest.mark.parametrize("form", [(), ("--json",)], ids=["for people", "for programs"])
def test_what_commands_print(
    cloud: LocalCloud, subscriber: Subscriber, tmp_path: Path, form: tuple[str, ...]
) -> None:
    """No command shows a password or a key; only `failed` writes passwords, where it is told to."""
    cloud.behave()
    file, left, key = (tmp_path / name for name in ("strewn.csv", "left.csv", "key.txt"))
    file.write_bytes(EVERYWHERE)
    key.write_text(api_key("strewn"))
    name = f"strewn-{len(form)}"
    shown = [
        cloud.output("check", file, *form, code=1),
        cloud.output("workspace", "add", name, "--key-file", key, *form, code=1),
        cloud.output("workspace", "test", name, *form, code=1),
        cloud.output("drop", "--anyway", "--follow", file, *form, code=1),
    ]
    subscriber.receive()
    [identity] = {json.loads(one["Message"])["importId"] for one in subscriber.envelopes}
    shown += [
        cloud.output("watch", identity, *form, code=1),
        cloud.output("show", identity, *form),
        cloud.output("list", *form),
        cloud.output("report", identity, "--output", tmp_path / "reports", *form),
        cloud.output("failed", identity, "--output", left, *form),
        cloud.output("workspace", "remove", name, "--yes", *form),
    ]
    assert all(shown)
    assert MARK in left.read_text("utf-8-sig")
    assert left.stat().st_mode & 0o077 == 0
    texts = [path.read_text("utf-8") for path in (tmp_path / "reports").rglob("*.*")]
    assert texts
    assert MARK not in "".join([*shown, *texts])
    assert api_key("strewn")[:20] not in "".join(shown)
