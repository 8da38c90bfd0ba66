"""What the policies of the template allow, and calls to AWS that are held to it.

It is as much of IAM as these policies use: actions and resources of statements that allow. Of
conditions only that on the source of events is looked at; the others are of the platform.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import botocore.client
import pytest
from botocore.exceptions import ClientError

from tests.support.aws import ACCOUNT, REGION
from tests.support.template import listed

Names = Mapping[str, str]
"""What the template's references represent, such as `InboxBucket.Arn` and `AWS::Region`."""

ENVIRONMENT = {"AWS::Partition": "aws", "AWS::Region": REGION, "AWS::AccountId": ACCOUNT}
_MISSING = {"404", "NoSuchKey", "NoSuchVersion", "MethodNotAllowed", "405"}


LOG_DELIVERY = {
    f"logs:{action}"
    for action in (
        *("CreateLogDelivery", "GetLogDelivery", "UpdateLogDelivery", "DeleteLogDelivery"),
        *("ListLogDeliveries", "PutResourcePolicy", "DescribeResourcePolicies"),
        "DescribeLogGroups",
    )
}
"""What Step Functions needs to write a log.

Source: https://docs.aws.amazon.com/step-functions/latest/dg/cw-logs.html
"""
TRACING = {
    f"xray:{action}"
    for action in (
        *("PutTraceSegments", "PutTelemetryRecords"),
        *("GetSamplingRules", "GetSamplingTargets"),
    )
}
"""Source: https://docs.aws.amazon.com/step-functions/latest/dg/xray-iam.html"""


@dataclass(frozen=True, slots=True)
class Grant:
    """One action that a statement allows on one resource, which may be a pattern.

    `source` is the one source of events for which it holds; empty where it holds for all.
    """

    sid: str
    action: str
    resource: str
    source: str

    def allows(self, action: str, resource: str, source: str = "") -> bool:
        """Say whether it allows an action on a resource."""
        return (
            action == self.action
            and matches(self.resource, resource)
            and self.source in ("", source)
        )


def matches(pattern: str, resource: str) -> bool:
    """Say whether a resource is one of a pattern's."""
    return bool(re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), resource, re.DOTALL))


def grants(statements: list[dict[str, Any]], names: Names) -> list[Grant]:
    """Return all that statements allow."""
    return [
        Grant(statement["Sid"], action, resolved(resource, names), source_of(statement))
        for statement in statements
        for action in listed(statement["Action"])
        for resource in listed(statement["Resource"])
    ]


def source_of(statement: Mapping[str, Any]) -> str:
    """Return the one source of events for which a statement holds; "" for all."""
    condition = statement.get("Condition", {}).get("StringEqualsIfExists", {})
    return str(condition.get("events:source", ""))


def resolved(value: Any, names: Names) -> str:  # noqa: ANN401  as YAML has it
    """Return the text that a value of the template represents."""
    match value:
        case str():
            return value
        case {"Ref": name} | {"Fn::GetAtt": name}:
            return names[name]
        case {"Fn::Sub": text}:
            return re.sub(r"\$\{([\w:.]+)\}", lambda found: names[found[1]], text)
    raise TypeError(f"{value} is not recognized")


@dataclass(slots=True)
class Rights:
    """What somebody may do, and what of it has been used."""

    granted: list[Grant]
    used: set[Grant] = field(default_factory=set)

    def ask(self, action: str, resource: str, source: str = "") -> bool:
        """Say whether an action is allowed; by which grants is noted."""
        allowing = {one for one in self.granted if one.allows(action, resource, source)}
        self.used |= allowing
        return bool(allowing)


def hold(monkeypatch: pytest.MonkeyPatch, rights: Callable[[], Rights | None]) -> None:
    """Have AWS refuse every call that is made without the right to it, as IAM does.

    `rights` gives those of the user who is calling; None where nobody is held to any.
    """
    call = botocore.client.BaseClient._make_api_call  # type: ignore[attr-defined]  # noqa: SLF001

    def held(client: Any, operation: str, arguments: dict[str, Any]) -> object:  # noqa: ANN401  any client
        known = rights()
        if known is None:
            return call(client, operation, arguments)
        service = client.meta.service_model.service_name
        for asked in _ASKED[service](operation, arguments):
            if not known.ask(*asked):
                raise _denied(service, operation, asked)
        try:
            return call(client, operation, arguments)
        except ClientError as error:
            # Of what is not there S3 tells only those who may list.
            bucket = f"arn:aws:s3:::{arguments.get('Bucket')}"
            missing = service == "s3" and error.response["Error"]["Code"] in _MISSING
            if missing and not known.ask("s3:ListBucket", bucket):
                raise _denied(service, operation, ("s3:ListBucket", bucket)) from None
            raise

    monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", held)


def _denied(service: str, operation: str, asked: tuple[str, ...]) -> ClientError:
    code = "AccessDenied" if service == "s3" else "AccessDeniedException"
    message = f"not authorized to perform {' on '.join(asked)}"
    return ClientError({"Error": {"Code": code, "Message": message}}, operation)


def _arn(service: str, rest: str) -> str:
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{rest}"


Asked = Iterator[tuple[str, ...]]
"""Action and resource of each right that a call needs, and the source of an event."""
_PARTS = {"CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"}


def _s3(operation: str, arguments: Mapping[str, Any]) -> Asked:
    bucket = f"arn:aws:s3:::{arguments['Bucket']}"
    if operation == "ListObjectsV2":
        yield "s3:ListBucket", bucket
        return
    names = {"HeadObject": "GetObject"} | dict.fromkeys(_PARTS, "PutObject")
    action = names.get(operation, operation)
    if action == "GetObject" and "VersionId" in arguments:
        action = "GetObjectVersion"
    yield f"s3:{action}", f"{bucket}/{arguments['Key']}"


def _dynamodb(operation: str, arguments: Mapping[str, Any]) -> Asked:
    for name in arguments.get("RequestItems", [arguments.get("TableName")]):
        index = f"/index/{arguments['IndexName']}" if "IndexName" in arguments else ""
        yield f"dynamodb:{operation}", _arn("dynamodb", f"table/{name}{index}")


def _secretsmanager(operation: str, arguments: Mapping[str, Any]) -> Asked:
    if operation == "ListSecrets":
        yield "secretsmanager:ListSecrets", "*"
        return
    name = arguments.get("SecretId") or arguments["Name"]
    yield f"secretsmanager:{operation}", _arn("secretsmanager", f"secret:{name}-a1b2c3")


def _events(operation: str, arguments: Mapping[str, Any]) -> Asked:
    for entry in arguments["Entries"]:
        bus = _arn("events", f"event-bus/{entry['EventBusName']}")
        yield f"events:{operation}", bus, entry["Source"]


def _sqs(operation: str, arguments: Mapping[str, Any]) -> Asked:
    yield f"sqs:{operation}", _arn("sqs", arguments["QueueUrl"].rpartition("/")[2])


def _states(operation: str, arguments: Mapping[str, Any]) -> Asked:
    yield f"states:{operation}", arguments.get("stateMachineArn") or arguments["executionArn"]


_ASKED: dict[str, Callable[[str, Mapping[str, Any]], Asked]] = {
    "cloudformation": lambda operation, given: iter(
        [(f"cloudformation:{operation}", _arn("cloudformation", f"stack/{given['StackName']}/id"))]
    ),
    "cloudwatch": lambda operation, _: iter([(f"cloudwatch:{operation}", "*")]),
    "dynamodb": _dynamodb,
    "events": _events,
    "kms": lambda operation, given: iter([(f"kms:{operation}", _arn("kms", given["KeyId"]))]),
    "lambda": lambda operation, given: iter(
        [(f"lambda:{operation}Function", _arn("lambda", f"function:{given['FunctionName']}"))]
    ),
    "s3": _s3,
    "secretsmanager": _secretsmanager,
    "sns": lambda operation, given: iter([(f"sns:{operation}", given.get("TopicArn", "*"))]),
    "sqs": _sqs,
    "stepfunctions": _states,
}
