"""A deployment for the command line, on AWS in this process and without functions."""

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import boto3
import pytest

from email_accounts.aws.dynamodb import DynamoLedger
from email_accounts.aws.messaging import EventBus, NotificationTopic
from email_accounts.aws.s3 import InboxBucket, ReportsBucket
from email_accounts.delivery.deliverer import Deliverer
from email_accounts.intake.accounts_file import open_accounts_file
from email_accounts.intake.batches import plan
from email_accounts.models.imports import BatchState, ReasonCode
from email_accounts.models.upload import Upload
from email_accounts.saleshandy.reconciliation import reconciliation_name, write_reconciliation
from email_accounts.saleshandy.report import report_name
from email_accounts_cli.stack import Stack
from tests.support.aws import (
    client,
    new_bucket,
    new_name,
    new_state_machine,
    new_table,
    new_topic,
)
from tests.support.fake_api import API_KEY
from tests.support.ledger import planned, send, settle, submit
from tests.support.service import Call, said, serving
from tests.support.template import of_type

NOW = time.time()
RETENTION = 30 * 86_400.0
_MOST_CALLS = 99
REPORT = "Email,Status,Reason\r\n{},failed,=wrong password\r\n"


def new_stack(api_url: str) -> Stack:
    """Make a deployment without functions, with a key that works at the fake API."""
    queues = client("sqs")
    name = new_name("stack")
    client("secretsmanager").create_secret(Name=f"{name}/workspaces/default", SecretString=API_KEY)
    return Stack(
        name=name,
        status="UPDATE_COMPLETE",
        outputs={
            "InboxBucketName": new_bucket(),
            "ReportsBucketName": new_bucket(),
            "NotificationTopicArn": new_topic()[0],
            "TrackImportStateMachineArn": new_state_machine(f"{name}-track_import"),
            "LedgerTableName": new_table(),
            "UploadQueueUrl": queues.create_queue(QueueName=new_name("queue"))["QueueUrl"],
            "FailureQueueUrl": queues.create_queue(QueueName=new_name("failure"))["QueueUrl"],
            "DeadLetterQueueUrl": queues.create_queue(QueueName=new_name("dead"))["QueueUrl"],
        },
        parameters={
            "ApiBaseUrl": f"{api_url}/v1",
            "CallsPerMinute": "60",
            "InitialPollDelaySeconds": "20",
            "MaxFileMegabytes": "500",
            "ReportRetentionDays": "90",
            "SettleSeconds": "5",
            "UploadRetentionDays": "7",
            "Runtime": "python3.13",
        },
        session=boto3.Session(),
    )


def ledger(stack: Stack) -> DynamoLedger:
    """Open the ledger of a stack."""
    return DynamoLedger(client("dynamodb"), stack.output("LedgerTableName"), RETENTION)


def received(stack: Stack, key: str, at: float = NOW) -> str:
    """Have the ledger know an import; return its id."""
    upload = Upload(stack.output("InboxBucketName"), key, "v1", 1)
    assert ledger(stack).claim(upload, at, at + 3600)
    return upload.import_id


def imported(  # noqa: PLR0913  one per way to end
    stack: Stack,
    name: str,
    content: bytes,
    *,
    refused: str = "",
    unconfirmed: bool = False,
    stopped: str = "",
) -> str:
    """Import a file, as if Saleshandy had refused one address; return the id.

    `stopped` says why it was stopped before its first request.
    """
    bucket = stack.output("InboxBucketName")
    s3 = client("s3")
    key = f"uploads/{name}"
    version = s3.put_object(Bucket=bucket, Key=key, Body=content)["VersionId"]
    upload = Upload(bucket, key, version, len(content))
    uploads = InboxBucket(s3)
    reports = ReportsBucket(s3, stack.output("ReportsBucketName"))
    book = ledger(stack)
    assert book.claim(upload, NOW, NOW + 3600)
    with uploads.open(upload) as stream:
        batches = plan(open_accounts_file(stream), 100)
    planned(book, upload.import_id, batches, NOW)
    if stopped:
        book.stop(book.get(upload.import_id), ReasonCode.API_KEY_REFUSED, stopped)
    for batch in () if stopped else batches.batches:
        send(book, upload.import_id, batch.number, NOW + 1)
        if unconfirmed:
            state, is_report = BatchState.RECONCILED, False
            name_of_list = reconciliation_name(batch.number)
            with reports.writer(upload.import_id, name_of_list, "text/csv") as text:
                write_reconciliation(text, {})
        else:
            state, is_report = BatchState.COMPLETED, bool(refused)
            submit(book, upload.import_id, batch.number, NOW + 1)
        if is_report:
            name_of_report = report_name(batch.number)
            with reports.writer(upload.import_id, name_of_report, "text/csv") as copy:
                copy.write(REPORT.format(refused))
        settle(book, upload.import_id, batch.number, state, NOW + 2, report=is_report)
    deliverer(stack).deliver(upload.import_id)
    return upload.import_id


def stored(stack: Stack) -> list[tuple[str, str, int]]:
    """List the versions in the inbox: key, version, size."""
    found = client("s3").list_object_versions(Bucket=stack.output("InboxBucketName"))
    return [(one["Key"], one["VersionId"], one["Size"]) for one in found.get("Versions", [])]


def deliverer(stack: Stack) -> Deliverer:
    """Make what answers imports."""
    s3 = client("s3")
    return Deliverer(
        ledger(stack),
        InboxBucket(s3),
        ReportsBucket(s3, stack.output("ReportsBucketName")),
        EventBus(boto3.client, "default"),
        NotificationTopic(boto3.client, stack.output("NotificationTopicArn")),
        lambda: NOW + 999,
    )


def documents(printed: str) -> list[dict[str, Any]]:
    """Read what a command printed for programs."""
    return [json.loads(line) for line in printed.splitlines()]


Captured = pytest.CaptureFixture[str]


@contextmanager
def served(service: str, status: int, body: bytes, **headers: str) -> Iterator[list[Call]]:
    """Serve one answer in the place of an AWS service; give what it was called with."""
    with serving() as server:
        server.answers.extend([said(status, body, **headers)] * _MOST_CALLS)
        variables = {
            f"AWS_ENDPOINT_URL_{service}": server.url,
            "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "false",
        }
        with patch.dict(os.environ, variables):
            yield server.calls


def reopened(stack: Stack) -> Stack:
    """Give a stack a session that reads the environment as it is now."""
    return replace(stack, session=boto3.Session())


UNCONFIRMED = b"""<ListSubscriptionsByTopicResponse><ListSubscriptionsByTopicResult>
<Subscriptions><member><SubscriptionArn>PendingConfirmation</SubscriptionArn>
<Protocol>email</Protocol><Endpoint>new@n.example</Endpoint></member></Subscriptions>
</ListSubscriptionsByTopicResult></ListSubscriptionsByTopicResponse>"""
NO_STACK = b"""<ErrorResponse><Error><Type>Sender</Type><Code>ValidationError</Code>
<Message>Stack with id mine does not exist</Message></Error></ErrorResponse>"""
STACK = b"""<DescribeStacksResponse><DescribeStacksResult><Stacks><member>
<StackName>mine</StackName><StackStatus>CREATE_COMPLETE</StackStatus>
<Outputs><member><OutputKey>A</OutputKey><OutputValue>a</OutputValue></member></Outputs>
<Parameters><member><ParameterKey>B</ParameterKey><ParameterValue>b</ParameterValue></member>
</Parameters></member></Stacks></DescribeStacksResult></DescribeStacksResponse>"""


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


def complete(stack: Stack) -> str:
    """Give the stack its alarms and its key; return the name of one alarm."""
    keys = client("kms")
    key = keys.create_key()["KeyMetadata"]["KeyId"]
    keys.create_alias(AliasName=f"alias/{stack.name}", TargetKeyId=key)
    names = [f"{stack.name}-{alarm}" for alarm in of_type("AWS::CloudWatch::Alarm")]
    names.append(f"{stack.name}-dev-ApiKeyAlarm")  # another stack's
    for name in names:
        new_alarm(name)
    return names[0]


def new_alarm(name: str) -> None:
    """Make an alarm."""
    client("cloudwatch").put_metric_alarm(
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
