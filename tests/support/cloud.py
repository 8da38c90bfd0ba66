"""The whole system on local clouds of the tests' own."""

import csv
import email
import email.policy
import io
import json
import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import boto3
import requests

from email_accounts.models.upload import import_id
from tests.support.files import accounts_file, row

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "tests/samples/accounts.csv"
# Two accounts that get connected around one whose password the fake API refuses.
SMALL = accounts_file(
    "a@accounts.example",
    row("b@accounts.example", smtpPassword="wrong-password"),
    "c@accounts.example",
)
SUBJECT = re.compile(r"[!-~][ -~]{0,98}")  # all that SNS takes: ASCII, at most 99 characters
LONGEST_WAIT = 180
Keys = dict[str, str] | None
"""The environment that makes a command a user's; None for the owner's."""
WORKERS = 2
"""Processes of a function at most: starting them takes most of a test's time."""
QUICK = (
    *("--auth", "--wait-scale", "0.05", "--workers", str(WORKERS)),
    *("--parameter", "CallsPerMinute=600"),
    *("--parameter", "InitialPollDelaySeconds=1"),
    *("--parameter", "GraceSeconds=10"),
    # The fake API is made to forget between tests, which an account list that was read would not.
    *("--parameter", "SkipConnected=false"),
    # Lists are asked where a test is about them.
    *("--parameter", "VerifyConnected=false"),
)
"""A cloud that holds functions to their permissions and waits 20 times shorter."""


def wait_until(holds: Callable[[], bool]) -> None:
    """Look again and again until something holds."""
    end = time.monotonic() + LONGEST_WAIT
    while not holds():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.2)


@cache
def _client(service: Any, **access: Any) -> Any:  # noqa: ANN401 - one of boto3's many clients
    """Make a client once: tests ask again and again whether something holds."""
    return boto3.client(service, **access)


@dataclass(frozen=True, slots=True)
class LocalCloud:
    """A local cloud and the ways to reach it."""

    state: Path

    def command(
        self, *arguments: str, given: str = "", **environment: str
    ) -> subprocess.CompletedProcess[str]:
        """Run `python -m local.cloud` on it, with this on stdin."""
        done = subprocess.run(
            [sys.executable, "-m", "local.cloud", "--state", str(self.state), *arguments],
            cwd=ROOT,
            env=os.environ | environment,
            input=given,
            capture_output=True,
            text=True,
            check=False,
        )
        self.heard(done.stdout + done.stderr)
        return done

    @property
    def said(self) -> Path:
        """What terminals showed, kept to be searched for secrets."""
        return self.state.with_suffix(".said")

    def heard(self, text: str) -> None:
        """Keep what a terminal showed."""
        with self.said.open("a") as file:
            file.write(text)

    def up(self, *arguments: str, given: str = "", **environment: str) -> None:
        """Start it, or bring it up to date, with this on stdin."""
        done = self.command("up", *arguments, given=given, **environment)
        assert done.returncode == 0, done.stdout + done.stderr

    def take(self, file: Path) -> str:
        """Take a file end to end; return what the terminal showed."""
        done = self.command("run", str(file))
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def operate(
        self, *arguments: str | Path, given: str = "", code: int = 0, by: Keys = None
    ) -> list[dict[str, Any]]:
        """Run a command of `email-accounts` with this on stdin; return what it tells programs.

        It is run by the owner, or by the user whose keys these are.
        """
        text = self.output(*arguments, "--json", given=given, code=code, by=by)
        return [json.loads(line) for line in text.splitlines()]

    def output(
        self, *arguments: str | Path, given: str = "", code: int = 0, by: Keys = None
    ) -> str:
        """Run a command of `email-accounts` as `operate` does; return what it tells people."""
        command = Path(sys.executable).with_name("email-accounts")
        done = subprocess.run(
            [command, *arguments],
            env=os.environ | self.environment | (by or {}),
            input=given,
            capture_output=True,
            text=True,
            timeout=LONGEST_WAIT,
            check=False,
        )
        self.heard(done.stdout + done.stderr)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout

    @property
    def environment(self) -> dict[str, str]:
        """What `.local/env` exports."""
        exports = (self.state / "env").read_text()
        return dict(re.findall(r"^export (\w+)='(.*)'$", exports, re.MULTILINE))

    def client(self, service: Any, by: Keys = None) -> Any:  # noqa: ANN401 - one of boto3's many clients
        """Speak to one of its services as its owner, or as the user whose keys these are."""
        known = self.environment | (by or {})
        access: dict[str, Any] = {
            "endpoint_url": known["AWS_ENDPOINT_URL"],
            "region_name": known["AWS_REGION"],
            "aws_access_key_id": known["AWS_ACCESS_KEY_ID"],
            "aws_secret_access_key": known["AWS_SECRET_ACCESS_KEY"],
            "aws_session_token": known.get("AWS_SESSION_TOKEN"),
        }
        return _client(service, **access)

    def user(self, name: str, *policies: str) -> Keys:
        """Make a user who has policies, named as the outputs are; return the keys."""
        people = self.client("iam")
        people.create_user(UserName=name)
        for policy in policies:
            arn = self.environment[f"{policy}_POLICY_ARN"]
            people.attach_user_policy(UserName=name, PolicyArn=arn)
        key = people.create_access_key(UserName=name)["AccessKey"]
        return {
            "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
        }

    def upload(self, key: str, content: bytes) -> str:
        """Put an object into the inbox; return the id of its import."""
        inbox = self.environment["INBOX_BUCKET"]
        stored = self.client("s3").put_object(Bucket=inbox, Key=key, Body=content)
        return import_id(inbox, key, stored["VersionId"])

    def announce(self, key: str, version: str, size: int, **named: str) -> str:
        """Put the event of an object version into the queue; return the id of its import."""
        inbox = self.environment["INBOX_BUCKET"]
        item = {"key": key, "size": size, "version-id": version}
        detail = {"bucket": {"name": inbox}, "object": item}
        event = {"source": "aws.s3", "detail-type": "Object Created", "detail": detail} | named
        self.client("sqs").send_message(
            QueueUrl=self.environment["UPLOAD_QUEUE_URL"], MessageBody=json.dumps(event)
        )
        return import_id(inbox, key, version)

    def waiting_events(self) -> int:
        """Count the events in all queues, those included that are being or will be handled."""
        queues = self.client("sqs")
        names = ("UPLOAD", "FAILURE", "DEAD_LETTER")
        urls = (self.environment[f"{name}_QUEUE_URL"] for name in names)
        return sum(
            int(value)
            for url in urls
            for name, value in queues.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])[
                "Attributes"
            ].items()
            if name.startswith("ApproximateNumber")
        )

    def is_at_rest(self) -> bool:
        """Say whether nothing happens any more: no event waits and no execution runs."""
        running = self.client("stepfunctions").list_executions(
            stateMachineArn=self.environment["TRACK_IMPORT_STATE_MACHINE_ARN"],
            statusFilter="RUNNING",
        )
        return not self.waiting_events() and not running["executions"]

    def history(self, identity: str) -> list[str]:
        """Name the events of an import's execution so far, such as `TaskFailed`."""
        machine = self.client("stepfunctions")
        pages = machine.get_paginator("get_execution_history")
        try:
            return [
                event["type"]
                for page in pages.paginate(executionArn=self._execution(identity))
                for event in page["events"]
            ]
        except machine.exceptions.ExecutionDoesNotExist:
            return []

    def wait_for_end(self, identity: str) -> None:
        """Wait until the execution of an import has ended, well or not."""
        wait_until(lambda: self._status(identity) in {"SUCCEEDED", "FAILED"})

    def _status(self, identity: str) -> str:
        machine = self.client("stepfunctions")
        try:
            found = machine.describe_execution(executionArn=self._execution(identity))
        except machine.exceptions.ExecutionDoesNotExist:
            return ""
        return str(found["status"])

    def _execution(self, identity: str) -> str:
        machine = self.environment["TRACK_IMPORT_STATE_MACHINE_ARN"]
        return f"{machine.replace(':stateMachine:', ':execution:')}:{identity}"

    def outcomes(self, identity: str) -> list[dict[str, str]]:
        """Read an import's outcome.csv."""
        text = self.report(identity, "outcome.csv").removeprefix("\ufeff")
        return list(csv.DictReader(io.StringIO(text)))

    def report(self, identity: str, name: str) -> str:
        """Read one of an import's reports."""
        stored = self.client("s3").get_object(
            Bucket=self.environment["REPORTS_BUCKET"], Key=f"imports/{identity}/{name}"
        )
        return str(stored["Body"].read().decode())

    @contextmanager
    def without(self, function: str, action: str) -> Iterator[None]:
        """Take one action from what a function may do, for a time."""
        policies = self.client("iam")
        role = self._configuration(function)["Role"].rpartition("/")[2]
        policy = {"RoleName": role, "PolicyName": function}
        allowed = policies.get_role_policy(**policy)["PolicyDocument"]
        # In its place comes one that no function uses: a statement must name an action.
        less = json.dumps(allowed).replace(f'"{action}"', '"s3:ListAllMyBuckets"')
        assert json.loads(less) != allowed, f"{function} may not do {action}"
        try:
            policies.put_role_policy(**policy, PolicyDocument=less)
            yield
        finally:
            policies.put_role_policy(**policy, PolicyDocument=json.dumps(allowed))

    @contextmanager
    def environment_of(self, function: str, **changed: str) -> Iterator[None]:
        """Run a function in new processes with a changed environment, for a time."""
        variables = self._configuration(function)["Environment"]["Variables"]
        try:
            self._configure(function, variables | changed)
            yield
        finally:
            self._configure(function, variables)

    def renew(self, function: str) -> None:
        """Run a function in new processes, which have nothing in memory yet."""
        self._configure(function, self._configuration(function)["Environment"]["Variables"])

    def _configure(self, function: str, variables: dict[str, str]) -> None:
        self.client("lambda").update_function_configuration(
            FunctionName=self._name_of(function), Environment={"Variables": variables}
        )
        wait_until(lambda: self._configuration(function)["LastUpdateStatus"] == "Successful")

    def _configuration(self, function: str) -> dict[str, Any]:
        name = self._name_of(function)
        return dict(self.client("lambda").get_function_configuration(FunctionName=name))

    def _name_of(self, function: str) -> str:
        return f"{self.environment['STACK_NAME']}-{function}"

    def behave(self, **switches: object) -> None:
        """Have the fake API forget all it knows and behave like this."""
        self.control("POST", "reset")
        self.forget_accounts()
        self.control("PUT", "behaviour", {"completion_seconds": 0} | switches)

    def forget_accounts(self) -> None:
        """Have the ledger forget what is known of the account list."""
        for name in ("INDEX", "HONOURED"):
            self.client("dynamodb").delete_item(
                TableName=self.environment["LEDGER_TABLE"],
                Key={"pk": {"S": f"{name}#default"}, "sk": {"S": name}},
            )

    def calls(self, path: str) -> int:
        """Count the calls that the fake API received at a path."""
        received = self.control("GET", "calls").json()
        return sum(call["path"] == path for call in received)

    def control(self, method: str, path: str, body: object = None) -> requests.Response:
        """Call the control endpoint of the fake API."""
        known = self.environment
        answer = requests.request(
            *(method, f"{known['CONTROL_URL']}/{path}"),
            json=body,
            headers={"x-control-key": known["CONTROL_KEY"]},
            timeout=10,
        )
        answer.raise_for_status()
        return answer


@dataclass(frozen=True, slots=True)
class Answer:
    """A message as its subscribers get it: a machine the text, a person the mail."""

    subject: str
    attributes: dict[str, str]
    text: str
    mail: str

    @property
    def document(self) -> dict[str, Any]:
        """The text as data."""
        return dict(json.loads(self.text))


@dataclass(frozen=True, slots=True)
class Subscriber:
    """A queue that is subscribed to the topic, and what it has received."""

    cloud: LocalCloud
    url: str
    envelopes: list[dict[str, Any]]

    def answer(self, identity: str) -> Answer:
        """Wait for the end of an import; return the one message about it."""
        self.cloud.wait_for_end(identity)
        [envelope] = self.about(identity)
        attributes = envelope["MessageAttributes"]
        assert SUBJECT.fullmatch(envelope["Subject"])
        return Answer(
            envelope["Subject"],
            {name: attribute["Value"] for name, attribute in attributes.items()},
            envelope["Message"],
            self._mail(envelope["MessageId"]),
        )

    def about(self, identity: str) -> list[dict[str, Any]]:
        """Return the envelopes of all messages about an import that have come."""
        self.receive()
        return [one for one in self.envelopes if identity in one["Message"]]

    def receive(self) -> None:
        """Add to the envelopes what has come since."""
        queue = self.cloud.client("sqs")
        wanted = {"QueueUrl": self.url, "MaxNumberOfMessages": 10}
        while messages := queue.receive_message(**wanted).get("Messages"):
            self.envelopes.extend(json.loads(message["Body"]) for message in messages)

    def _mail(self, message_id: str) -> str:
        file = self.cloud.state / f"emulator/mail/{message_id}-1.eml"
        letter = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
        body = letter.get_body()
        assert body is not None
        return str(body.get_content())


@contextmanager
def subscribed(cloud: LocalCloud) -> Iterator[Subscriber]:
    """Subscribe a queue to the topic for a time."""
    queues, topics = cloud.client("sqs"), cloud.client("sns")
    topic = cloud.environment["NOTIFICATION_TOPIC_ARN"]
    queue = queues.create_queue(QueueName=f"subscriber-{secrets.token_hex(8)}")["QueueUrl"]
    known = queues.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    arn = known["Attributes"]["QueueArn"]
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "sns.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": topic}},
    }
    attributes = {
        "Policy": json.dumps({"Version": "2012-10-17", "Statement": [statement]}),
        # A message is received once: no test lasts as long as it stays hidden afterwards.
        "VisibilityTimeout": "3600",
    }
    queues.set_queue_attributes(QueueUrl=queue, Attributes=attributes)
    subscription = topics.subscribe(
        TopicArn=topic, Protocol="sqs", Endpoint=arn, ReturnSubscriptionArn=True
    )["SubscriptionArn"]
    try:
        yield Subscriber(cloud, queue, [])
    finally:
        topics.unsubscribe(SubscriptionArn=subscription)
        queues.delete_queue(QueueUrl=queue)


@contextmanager
def listening(
    cloud: LocalCloud, pattern: dict[str, Any]
) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """Have a queue get the events that fit a pattern for a time; give what it has received."""
    events, queues = cloud.client("events"), cloud.client("sqs")
    name = f"listener-{secrets.token_hex(8)}"
    queue = queues.create_queue(QueueName=name)["QueueUrl"]
    known = queues.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    arn = known["Attributes"]["QueueArn"]
    rule = events.put_rule(Name=name, EventPattern=json.dumps(pattern))["RuleArn"]
    statement = {
        "Effect": "Allow",
        "Principal": {"Service": "events.amazonaws.com"},
        "Action": "sqs:SendMessage",
        "Resource": arn,
        "Condition": {"ArnEquals": {"aws:SourceArn": rule}},
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    queues.set_queue_attributes(QueueUrl=queue, Attributes={"Policy": policy})
    events.put_targets(Rule=name, Targets=[{"Id": "queue", "Arn": arn}])
    received: list[dict[str, Any]] = []

    def told() -> list[dict[str, Any]]:
        answer = queues.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)
        received.extend(json.loads(one["Body"]) for one in answer.get("Messages", ()))
        return received

    try:
        yield told
    finally:
        events.remove_targets(Rule=name, Ids=["queue"])
        events.delete_rule(Name=name)
        queues.delete_queue(QueueUrl=queue)
