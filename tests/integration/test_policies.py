"""Every policy of the template: nothing that nobody needs, and nothing that reaches beside."""

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest

from email_accounts_cli.doctor import doctor
from email_accounts_cli.drop import drop
from email_accounts_cli.failed import failed
from email_accounts_cli.history import History
from email_accounts_cli.recovery import redrive, resume, stop
from email_accounts_cli.report import report
from email_accounts_cli.show import Wanted, list_imports, show
from email_accounts_cli.stack import Stack, find_stack
from email_accounts_cli.terminal import CommandError
from email_accounts_cli.watch import watch
from email_accounts_cli.workspaces import add, listed, notify, remove, try_workspace
from tests.support.aws import (
    ACCOUNT,
    REGION,
    aws,
)
from tests.support.deployment import (
    complete,
    description,
    imported,
    ledger,
    new_stack,
    received,
    served,
)
from tests.support.fake_api import API_KEY, Server, account
from tests.support.files import accounts_file, row
from tests.support.policies import (
    ENVIRONMENT,
    LOG_DELIVERY,
    TRACING,
    Rights,
    grants,
    hold,
    matches,
)
from tests.support.template import listed as as_list
from tests.support.template import of_type, statements_of, template

RESOURCES: dict[str, Any] = template()["Resources"]
ROLES = list(of_type("AWS::IAM::Role"))
PEOPLE = list(of_type("AWS::IAM::ManagedPolicy"))
STATEMENTS: dict[str, list[dict[str, Any]]] = {
    name: statements_of(RESOURCES[name]) for name in ROLES
} | {
    name: one["PolicyDocument"]["Statement"]
    for name, one in of_type("AWS::IAM::ManagedPolicy").items()
}
"""What roles and people may do, by role or policy."""
OF_RESOURCES: dict[str, list[dict[str, Any]]] = {
    name: one["PolicyDocument"]["Statement"]
    for kind in ("AWS::S3::BucketPolicy", "AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy")
    for name, one in of_type(kind).items()
}
"""What resources let others do, by policy."""


class Symbols(dict[str, str]):
    """Names each resource by its logical id."""

    def __missing__(self, name: str) -> str:
        """Return what represents a reference."""
        return f"<{name.removesuffix('.Arn')}>"


# Who is who


def test_a_role_is_for_the_service_that_uses_it() -> None:
    """Lambda takes on the roles of functions, Step Functions that of the machine, nobody else."""
    users = {
        one["Role"]["Fn::GetAtt"].removesuffix(".Arn"): service
        for kind, service in (
            ("AWS::Serverless::Function", "lambda.amazonaws.com"),
            ("AWS::Serverless::StateMachine", "states.amazonaws.com"),
        )
        for one in of_type(kind).values()
    }
    trusted = {
        name: one["AssumeRolePolicyDocument"]["Statement"]
        for name, one in of_type("AWS::IAM::Role").items()
    }
    assert trusted == {
        name: [{"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}]
        for name, service in users.items()
    }


@pytest.mark.parametrize("name", STATEMENTS)
def test_a_statement_allows_named_actions_for_a_purpose(name: str) -> None:
    """Each says by its own name what it is for, and each action is spelled out and given once."""
    statements = STATEMENTS[name]
    purposes = [one["Sid"] for one in statements]
    assert len(set(purposes)) == len(purposes)
    for statement in statements:
        assert statement.keys() <= {"Sid", "Effect", "Action", "Resource", "Condition"}
        assert re.fullmatch("[A-Z][A-Za-z]+", statement["Sid"])
        assert statement["Effect"] == "Allow"
        actions = as_list(statement["Action"])
        assert len(set(actions)) == len(actions)
        for action in actions:
            assert re.fullmatch("[a-z0-9]+:[A-Z][A-Za-z]+", action)


UNBOUNDED = (
    LOG_DELIVERY
    | TRACING
    | {
        "secretsmanager:ListSecrets",
        "cloudwatch:DescribeAlarms",
        "sns:GetSubscriptionAttributes",
    }
)
"""Actions that AWS wants allowed for all resources: see the service authorization reference."""
BESIDE = (
    "<InboxBucket>/elsewhere/a",
    "<ReportsBucket>/elsewhere/a",
    "arn:aws:s3:::other",
    "arn:aws:s3:::other/uploads/a",
    "arn:aws:s3:::other/imports/a",
    "<LedgerTable>/index/other",
    f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/other",
    f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:other/workspaces/default-abcdef",
    f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:<AWS::StackName>/other-abcdef",
    f"arn:aws:states:{REGION}:{ACCOUNT}:stateMachine:other-track_import",
    f"arn:aws:states:{REGION}:{ACCOUNT}:execution:other-track_import:a",
    f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:other",
    f"arn:aws:sqs:{REGION}:{ACCOUNT}:other",
    f"arn:aws:sns:{REGION}:{ACCOUNT}:other",
    f"arn:aws:events:{REGION}:{ACCOUNT}:event-bus/other",
    f"arn:aws:kms:{REGION}:{ACCOUNT}:key/other",
    f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:other",
    f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/other/id",
)


@pytest.mark.parametrize("name", STATEMENTS)
def test_nothing_reaches_beside_the_stack(name: str) -> None:
    """No resource is a pattern of what is another stack's, or of another folder of a bucket."""
    names = Symbols(ENVIRONMENT)
    for one in grants(STATEMENTS[name], names):
        if one.resource == "*":
            assert one.action in UNBOUNDED
        else:
            assert one.action not in UNBOUNDED
            assert not [other for other in BESIDE if matches(one.resource, other)], one


@pytest.mark.parametrize("name", STATEMENTS | OF_RESOURCES)
def test_nothing_is_said_twice(name: str) -> None:
    """No two statements of a policy differ in their names alone."""
    statements = (STATEMENTS | OF_RESOURCES)[name]
    said = [json.dumps({key: one[key] for key in one if key != "Sid"}) for one in statements]
    assert len(set(said)) == len(said)


# What is done in somebody's name

POLLING = {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}
"""What Lambda needs to take from a queue for a function.

Source: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html
"""


@pytest.mark.parametrize("name", ROLES)
def test_lambda_takes_from_the_queue_of_a_function(name: str) -> None:
    """A function whose source is a queue has what Lambda does in its name, and no other has."""
    queues = {
        (event["Properties"]["Queue"]["Fn::GetAtt"])
        for one in of_type("AWS::Serverless::Function").values()
        if one["Role"] == {"Fn::GetAtt": f"{name}.Arn"}
        for event in one.get("Events", {}).values()
    }
    allowed = {
        (one.action, one.resource)
        for one in grants(STATEMENTS[name], Symbols(ENVIRONMENT))
        if one.action.startswith("sqs:")
    }
    assert allowed == {
        (action, f"<{queue.removesuffix('.Arn')}>") for queue in queues for action in POLLING
    }


SERVICES: dict[str, dict[str, set[str]]] = {
    "UploaderPolicy": {"kms:GenerateDataKey": {"s3"}, "kms:Decrypt": {"s3"}},
    "OperatorPolicy": {
        "kms:DescribeKey": set(),
        "kms:GenerateDataKey": {"dynamodb", "sqs"},
        "kms:Decrypt": {"dynamodb", "sqs", "s3"},
    },
    "SecretsPolicy": {
        "kms:GenerateDataKey": {"s3", "secretsmanager"},
        "kms:Decrypt": {"s3", "secretsmanager"},
    },
}
"""The services through which people use the key; none for what they ask of the key itself."""


@pytest.mark.parametrize("name", PEOPLE)
def test_people_use_the_key_through_the_services_they_use(name: str) -> None:
    """Nobody decrypts anything that was taken from somewhere else."""
    used: dict[str, set[str]] = {}
    for statement in STATEMENTS[name]:
        for action in as_list(statement["Action"]):
            if action.startswith("kms:"):
                assert statement["Resource"] == {"Fn::GetAtt": "DataKey.Arn"}
                condition = statement.get("Condition", {}).get("StringEquals", {})
                through = as_list(condition.get("kms:ViaService", []))
                used.setdefault(action, set()).update(
                    one["Fn::Sub"].removesuffix(".${AWS::Region}.amazonaws.com") for one in through
                )
    assert used == SERVICES[name]


def test_an_operator_decrypts_reports_alone() -> None:
    """Who may read all objects of the account does not come to read uploads by being operator."""
    (through_s3,) = [
        one
        for one in STATEMENTS["OperatorPolicy"]
        if ".s3." in json.dumps(one) or "s3.$" in json.dumps(one)
    ]
    assert through_s3["Action"] == "kms:Decrypt"
    assert through_s3["Condition"]["ArnLike"] == {
        "kms:EncryptionContext:aws:s3:arn": [
            {"Fn::GetAtt": "ReportsBucket.Arn"},
            {"Fn::Sub": "${ReportsBucket.Arn}/*"},
        ]
    }


# What resources let others do


@pytest.mark.parametrize("name", OF_RESOURCES)
def test_a_resource_lets_rules_and_alarms_send(name: str) -> None:
    """But for the refusal of what is not encrypted each statement is for senders of this stack."""
    kinds = {"events": "AWS::Events::Rule", "cloudwatch": "AWS::CloudWatch::Alarm"}
    actions = {"events": "sqs:SendMessage", "cloudwatch": "sns:Publish"}
    policy = RESOURCES[name]["Properties"]
    of = [one["Ref"] for kind in ("Queues", "Topics") for one in policy.get(kind, [])]
    for statement in OF_RESOURCES[name]:
        if statement["Effect"] == "Deny":
            continue
        service = statement["Principal"]["Service"].removesuffix(".amazonaws.com")
        assert statement.keys() == {"Sid", "Effect", "Principal", "Action", "Resource", "Condition"}
        assert (statement["Effect"], statement["Action"]) == ("Allow", actions[service])
        for resource in as_list(statement["Resource"]):
            assert resource in [{"Ref": one} for one in of] + [
                {"Fn::GetAtt": f"{one}.Arn"} for one in of
            ]
        assert statement["Principal"].keys() == {"Service"}
        assert statement["Condition"].keys() == {"ArnEquals"}
        assert statement["Condition"]["ArnEquals"].keys() == {"aws:SourceArn"}
        for sender in as_list(statement["Condition"]["ArnEquals"]["aws:SourceArn"]):
            assert sender["Fn::GetAtt"].removesuffix(".Arn") in of_type(kinds[service])


def test_the_key_lets_the_account_decide_and_services_use_it() -> None:
    """Each statement of its policy has the actions that AWS names for its purpose.

    Sources: https://docs.aws.amazon.com/kms/latest/developerguide/key-policy-default.html and
    https://docs.aws.amazon.com/AmazonCloudWatch/latest/logs/encrypt-log-data-kms.html
    """
    policy = RESOURCES["DataKey"]["Properties"]["KeyPolicy"]["Statement"]
    allowed = {one["Sid"]: set(as_list(one["Action"])) for one in policy}
    assert allowed == {
        "PoliciesOfTheAccountDecide": {"kms:*"},
        "RulesAndAlarmsSend": {"kms:Decrypt", "kms:GenerateDataKey"},
        "LogsAreWritten": {
            *("kms:Encrypt", "kms:Decrypt", "kms:ReEncryptFrom", "kms:ReEncryptTo"),
            *("kms:GenerateDataKey", "kms:DescribeKey"),
        },
    }
    assert {one["Effect"] for one in policy} == {"Allow"}
    assert {one["Resource"] for one in policy} == {"*"}
    assert [one.get("Condition", {}).keys() for one in policy] == [set(), set(), {"ArnLike"}]


# What people may do


@dataclass(slots=True)
class Person:
    """Somebody who runs commands under some of the policies for people."""

    stack: Stack
    names: dict[str, str]
    policies: tuple[str, ...] = ()
    acting: Rights | None = None

    @contextmanager
    def under(self, *policies: str) -> Iterator[Rights]:
        """Act under these policies for a time."""
        statements = [one for name in policies for one in STATEMENTS[name]]
        called = [one for one in statements if one["Sid"] not in BY_SERVICES]
        self.acting = Rights(grants(called, self.names))
        try:
            yield self.acting
        finally:
            self.acting = None


BY_SERVICES = {"EncryptFiles", "DecryptReports", "UseTheKeyThroughServices"}


@pytest.fixture
def person(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Person]:
    """Give somebody a deployment without functions, with all that `doctor` looks for."""
    with aws():
        stack = new_stack(server.url)
        complete(stack)
        arn = f"{REGION}:{ACCOUNT}"
        names = ENVIRONMENT | {
            "AWS::StackName": stack.name,
            "DataKey.Arn": f"arn:aws:kms:{arn}:alias/{stack.name}",
            "InboxBucket.Arn": f"arn:aws:s3:::{stack.output('InboxBucketName')}",
            "LedgerTable.Arn": f"arn:aws:dynamodb:{arn}:table/{stack.output('LedgerTableName')}",
            "NotificationTopic": stack.output("NotificationTopicArn"),
            "ReportsBucket.Arn": f"arn:aws:s3:::{stack.output('ReportsBucketName')}",
            "SubmitAccounts.Arn": f"arn:aws:lambda:{arn}:function:{stack.name}-submit_accounts",
            **{
                f"{queue}.Arn": f"arn:aws:sqs:{arn}:{Path(stack.output(f'{queue}Url')).name}"
                for queue in ("UploadQueue", "FailureQueue", "DeadLetterQueue")
            },
        }
        person = Person(stack, names)
        hold(monkeypatch, lambda: person.acting)
        yield person


def test_an_operator_needs_all_they_may(person: Person, tmp_path: Path, server: Server) -> None:
    """Every command runs under the policies for people, and each of their rights is used."""
    stack = person.stack
    for number in range(2):  # accounts for more than one page, which shows what the list honours
        server.connect(*(account(f"a{number}.{at}@n.example") for at in range(60)))
    content = accounts_file("a@n.example", row("b@n.example"))
    answered = imported(stack, "a.csv", content, refused="b@n.example")
    running = received(stack, "uploads/b.csv")
    machine = stack.output("TrackImportStateMachineArn")
    boto3.client("stepfunctions").start_execution(stateMachineArn=machine, name=running)
    for source in ("aws.s3", "aws.states"):
        boto3.client("sqs").send_message(
            QueueUrl=stack.output("DeadLetterQueueUrl"),
            MessageBody=json.dumps({"source": source, "detail": {}}),
        )
    large, key = tmp_path / "large.csv", tmp_path / "key"
    large.write_bytes(bytes(9 << 20))
    key.write_text(API_KEY, encoding="utf-8")
    again = imported(stack, "c.csv", content, refused="b@n.example")
    unknown = imported(stack, "d.csv", content, unconfirmed=True)
    versions = boto3.client("s3").list_object_versions(
        Bucket=stack.output("InboxBucketName"), Prefix="uploads/c.csv"
    )["Versions"]
    for one in versions:
        boto3.client("s3").delete_object(
            Bucket=stack.output("InboxBucketName"), Key=one["Key"], VersionId=one["VersionId"]
        )
    with person.under("UploaderPolicy", "OperatorPolicy", "SecretsPolicy") as rights:
        with served("CLOUDFORMATION", 200, description(stack)):
            assert find_stack(stack.name, "", "").name == stack.name
        add(stack, "north", key, replace=False, as_json=False)
        assert drop(stack, [large], "north", anyway=True, follow=False, as_json=True) == 0
        assert watch(stack, [answered], as_json=True) == 1
        assert History(stack).running()[0].id == running
        assert (
            list_imports(stack, Wanted(time.time() - 86_400, None, None, None), 9, as_json=True)
            == 0
        )
        assert show(stack, running, as_json=True) == 0
        assert report(stack, answered, tmp_path / "r", opened=False, as_json=True) == 0
        assert failed(stack, answered, tmp_path / "failed.csv", as_json=True) == 0
        with pytest.raises(CommandError, match="has been deleted"):
            failed(stack, again, tmp_path / "again.csv", as_json=True)
        with served("LAMBDA", 200, b'{"resumed": true, "stopped": true}'):
            fresh = Stack(
                stack.name, stack.status, stack.outputs, stack.parameters, boto3.Session()
            )
            assert resume(fresh, unknown, as_json=True) == 0
            assert stop(fresh, running, as_json=True) == 0
        assert redrive(stack, as_json=True) == 0
        assert notify(stack, "north", "a@n.example", as_json=True) == 0
        assert listed(stack, as_json=True) == 0
        assert try_workspace(stack, "north", as_json=True) == 0
        assert remove(stack, "north", sure=True, as_json=True) == 0
        add(stack, "north", key, replace=False, as_json=False)
        assert doctor(stack, as_json=True) in {0, 1}
    assert set(rights.granted) == rights.used


def test_an_operator_sees_no_secret(
    person: Person, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without the policy for secrets uploads and keys stay closed; `doctor` says so of the keys."""
    stack = person.stack
    answered = imported(stack, "a.csv", accounts_file("b@n.example"), refused="b@n.example")
    key = tmp_path / "key"
    key.write_text(API_KEY, encoding="utf-8")
    refused: list[Callable[[], int]] = [
        lambda: failed(stack, answered, tmp_path / "failed.csv", as_json=True),
        lambda: add(stack, "north", key, replace=False, as_json=True),
        lambda: add(stack, "default", key, replace=True, as_json=True),
        lambda: try_workspace(stack, "default", as_json=True),
        lambda: notify(stack, "default", "a@n.example", as_json=True),
    ]
    with person.under("OperatorPolicy"):
        for command in refused:
            with pytest.raises(Exception, match="AccessDenied"):
                command()
        capsys.readouterr()
        doctor(stack, as_json=True)
    found = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {one["check"] for one in found if one["state"] != "ok"} == {"keys"}
    assert ledger(stack).get(answered).id == answered
