"""AWS in this process, by moto: no request leaves it."""

import itertools
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any
from unittest.mock import patch

import boto3
import pytest
from botocore.client import BaseClient
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from moto import mock_aws
from moto.sns.models import Subscription

from tests.support.template import template

REGION = "us-east-1"
ACCOUNT = "123456789012"
_names = itertools.count(1)
_ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
    "AWS_DEFAULT_REGION": REGION,
    # A profile or an endpoint of the user who runs the tests has no place in them.
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
}


@contextmanager
def aws() -> Iterator[None]:
    """Answer every boto3 client made inside by moto."""
    one_key = patch.object(Subscription, "private_key", lambda _: _signing_key())
    with patch.dict(os.environ, _ENVIRONMENT), one_key, mock_aws():
        yield


@cache
def _signing_key() -> RSAPrivateKey:
    """Make the key that signs messages: to make one for each subscription takes long."""
    return generate_private_key(public_exponent=65537, key_size=2048)


@cache
def client(service: Any) -> Any:  # noqa: ANN401  one of boto3's many clients
    """Make a client once."""
    return boto3.client(service)


def new_name(what: str) -> str:
    """Return a name that nothing has yet."""
    return f"{what}-{next(_names)}"


def new_table() -> str:
    """Make a table with the keys that template.yaml gives the ledger; return its name."""
    properties = template()["Resources"]["LedgerTable"]["Properties"]
    name = new_name("ledger")
    client("dynamodb").create_table(
        TableName=name,
        BillingMode=properties["BillingMode"],
        AttributeDefinitions=properties["AttributeDefinitions"],
        KeySchema=properties["KeySchema"],
        GlobalSecondaryIndexes=properties["GlobalSecondaryIndexes"],
    )
    return name


def new_bucket() -> str:
    """Make a versioned bucket; return its name."""
    name = new_name("bucket")
    s3 = client("s3")
    s3.create_bucket(Bucket=name)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


def new_state_machine(name: str = "") -> str:
    """Make a state machine whose executions never end, of any name or this; return its ARN."""
    wait = {"Type": "Wait", "Seconds": 1, "End": True}
    made = client("stepfunctions").create_state_machine(
        name=name or new_name("track_import"),
        definition=json.dumps({"StartAt": "Wait", "States": {"Wait": wait}}),
        roleArn=f"arn:aws:iam::{ACCOUNT}:role/track_import",
    )
    return str(made["stateMachineArn"])


def new_topic() -> tuple[str, str]:
    """Make a topic and a queue that is subscribed to it; return the ARN and the queue's URL."""
    sns, sqs = client("sns"), client("sqs")
    topic = sns.create_topic(Name=new_name("topic"))["TopicArn"]
    queue = sqs.create_queue(QueueName=new_name("queue"))["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=attributes["Attributes"]["QueueArn"])
    return topic, queue


def new_bus(name: str, pattern: dict[str, object]) -> str:
    """Have a queue get the events of a bus that fit a pattern; return the queue's URL."""
    events, sqs = client("events"), client("sqs")
    if name != "default":
        events.create_event_bus(Name=name)
    queue = sqs.create_queue(QueueName=new_name("queue"))["QueueUrl"]
    attributes = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
    rule = new_name("rule")
    events.put_rule(Name=rule, EventBusName=name, EventPattern=json.dumps(pattern))
    arn = attributes["Attributes"]["QueueArn"]
    events.put_targets(Rule=rule, EventBusName=name, Targets=[{"Id": "queue", "Arn": arn}])
    return str(queue)


def received(queue: str) -> list[dict[str, Any]]:
    """Take what a topic or a bus has sent to a queue."""
    answer = client("sqs").receive_message(QueueUrl=queue, MaxNumberOfMessages=10)
    return [json.loads(message["Body"]) for message in answer.get("Messages", [])]


def new_secret(value: str) -> str:
    """Make a secret; return its name."""
    name = new_name("secret")
    client("secretsmanager").create_secret(Name=name, SecretString=value)
    return name


def executions_of(machine: str) -> dict[str, dict[str, Any]]:
    """Return what each execution of a state machine was started with, by its name."""
    states = boto3.client("stepfunctions")
    listed = states.list_executions(stateMachineArn=machine)["executions"]
    shown = [states.describe_execution(executionArn=one["executionArn"]) for one in listed]
    return {one["name"]: json.loads(one["input"]) for one in shown}


def refuse(
    monkeypatch: pytest.MonkeyPatch, refused: str, code: str = "AccessDenied", message: str = ""
) -> None:
    """Have AWS refuse one operation."""
    call = BaseClient._make_api_call  # type: ignore[attr-defined]  # noqa: SLF001

    def refusing(client: BaseClient, operation: str, arguments: object) -> object:
        if operation == refused:
            raise ClientError({"Error": {"Code": code, "Message": message}}, operation)
        return call(client, operation, arguments)

    monkeypatch.setattr(BaseClient, "_make_api_call", refusing)
