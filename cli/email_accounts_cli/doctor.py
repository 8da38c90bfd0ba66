"""Looking a deployment over: each finding with its cure."""

import platform
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from email.utils import parsedate_to_datetime
from importlib.metadata import version

from botocore.exceptions import BotoCoreError, ClientError

from email_accounts_cli.stack import CONFIG, Stack
from email_accounts_cli.terminal import (
    ALL_WELL,
    NOT_ALL_WELL,
    CommandError,
    console,
    counted,
    local_time,
    table,
    tell_program,
)
from email_accounts_cli.workspaces import try_key, workspaces

OK, WARNING, PROBLEM, UNKNOWN = "ok", "warning", "problem", "unknown"

_OUTPUTS = (
    "InboxBucketName",
    "ReportsBucketName",
    "NotificationTopicArn",
    "TrackImportStateMachineArn",
    "LedgerTableName",
    "UploadQueueUrl",
    "FailureQueueUrl",
    "DeadLetterQueueUrl",
)
_PARAMETERS = (
    "ApiBaseUrl",
    "MaxFileMegabytes",
    "ReportRetentionDays",
    "Runtime",
    "UploadRetentionDays",
)
_ALARMS = (
    "ApiKeyAlarm",
    "ApiThrottlesAlarm",
    "BrokenImportAlarm",
    "DeadLetterAlarm",
    "FunctionErrorsAlarm",
    "FunctionThrottlesAlarm",
    "StuckImportAlarm",
    "UploadRuleAlarm",
    "WaitingUploadAlarm",
)
_INDEX = "imports-by-day"
_LARGEST_SKEW = 60
_LONGEST_QUEUE = 100
_DEPLOY = "Deploy again: make deploy."


@dataclass(frozen=True, slots=True)
class Finding:
    """What a check found; the cure is empty where nothing is to be done."""

    check: str
    state: str
    finding: str
    fix: str = ""


def doctor(stack: Stack, *, as_json: bool) -> int:
    """Make every check and print its findings; 1 where something is to be done."""
    findings: list[Finding] = []
    for name, check in _CHECKS.items():
        findings += _made(name, check, stack)
    if as_json:
        for one in findings:
            tell_program(asdict(one))
    else:
        rows = ((one.check, one.state, one.finding, one.fix) for one in findings)
        console().print(table(("Check", "State", "Finding", "Cure"), rows))
    return NOT_ALL_WELL if any(one.state != OK for one in findings) else ALL_WELL


def _made(
    name: str, check: Callable[[Stack], Iterable[tuple[str, ...]]], stack: Stack
) -> Iterator[Finding]:
    try:
        for found in check(stack):
            yield Finding(name, *found)
    except CommandError as error:
        yield Finding(name, PROBLEM, error.message)
    except ClientError as error:
        said = error.response["Error"].get("Message", "")
        yield Finding(
            name,
            UNKNOWN,
            f"AWS refuses {error.operation_name}: {said}",
            "Ask with an identity that may read this.",
        )
    except BotoCoreError as error:
        yield Finding(name, UNKNOWN, str(error), "Look at network, profile and region.")


def _stack(stack: Stack) -> Iterator[tuple[str, ...]]:
    if stack.status.endswith("_IN_PROGRESS"):
        yield WARNING, f"{stack.name} is {stack.status}", "Wait until it is deployed."
    elif not stack.status.endswith("_COMPLETE") or stack.status.startswith("DELETE"):
        yield PROBLEM, f"{stack.name} is {stack.status}", _DEPLOY
    else:
        yield OK, f"{stack.name} is {stack.status}"
    for kind, wanted, known in (
        ("outputs", _OUTPUTS, stack.outputs),
        ("parameters", _PARAMETERS, stack.parameters),
    ):
        missing = [name for name in wanted if name not in known]
        if missing:
            yield PROBLEM, f"{kind} are missing: {', '.join(missing)}", _DEPLOY


def _subscriptions(stack: Stack) -> Iterator[tuple[str, ...]]:
    topics = stack.session.client("sns", config=CONFIG)
    pages = topics.get_paginator("list_subscriptions_by_topic").paginate(
        TopicArn=stack.output("NotificationTopicArn")
    )
    subscriptions = [one for page in pages for one in page["Subscriptions"]]
    if not subscriptions:
        yield (
            WARNING,
            "nobody subscribed to the topic, so nobody gets the answers",
            "Deploy with NotificationEmail, or subscribe to the topic.",
        )
    for one in subscriptions:
        whom = f"{one['Protocol']} {one['Endpoint']}"
        if one["SubscriptionArn"].startswith("arn:"):
            yield OK, f"{whom} gets the answers"
        else:
            yield (
                PROBLEM,
                f"{whom} is not confirmed and gets nothing",
                "Follow the link in the mail `AWS Notification - Subscription Confirmation`.",
            )


def _encryption(stack: Stack) -> Iterator[tuple[str, ...]]:
    keys = stack.session.client("kms", config=CONFIG)
    known = keys.describe_key(KeyId=f"alias/{stack.name}")["KeyMetadata"]
    if known["KeyState"] == "Enabled":
        yield OK, "the key that all data is encrypted with is enabled"
    else:
        yield (
            PROBLEM,
            f"the key that all data is encrypted with is {known['KeyState']}",
            f"Nothing can be read without it: enable it, or cancel its deletion: {known['Arn']}",
        )


def _keys(stack: Stack) -> Iterator[tuple[str, ...]]:
    for one in workspaces(stack):
        result = try_key(stack, one.name)
        if result.works:
            yield OK, f"the key of {one.name} works"
        else:
            replace = " --replace" if one.has_key else ""
            yield (
                PROBLEM,
                f"the key of {one.name} {result.said}",
                f"email-accounts workspace add {one.name}{replace}",
            )


def _queues(stack: Stack) -> Iterator[tuple[str, ...]]:
    waiting = _messages(stack, "UploadQueueUrl")
    if waiting > _LONGEST_QUEUE:
        yield (
            WARNING,
            f"{counted(waiting, 'upload')} waiting to be taken in",
            f"Look at the log: aws logs tail /aws/lambda/{stack.name}-submit_accounts",
        )
    else:
        yield OK, f"{counted(waiting, 'upload')} waiting to be taken in"
    broken = _messages(stack, "FailureQueueUrl")
    if broken:
        yield (
            WARNING,
            f"{counted(broken, 'broken import')} waiting for an answer",
            f"Look at the log: aws logs tail /aws/lambda/{stack.name}-deliver_report",
        )
    else:
        yield OK, "no broken import waits for its answer"
    dead = _messages(stack, "DeadLetterQueueUrl")
    if dead:
        yield (
            PROBLEM,
            f"{counted(dead, 'dead letter')}: uploads not taken in, or broken imports not answered",
            "See the logs of submit_accounts and deliver_report, then: email-accounts redrive",
        )
    else:
        yield OK, "no dead letters"


def _messages(stack: Stack, queue: str) -> int:
    queues = stack.session.client("sqs", config=CONFIG)
    known = queues.get_queue_attributes(
        QueueUrl=stack.output(queue), AttributeNames=["ApproximateNumberOfMessages"]
    )
    return int(known["Attributes"]["ApproximateNumberOfMessages"])


def _alarms(stack: Stack) -> Iterator[tuple[str, ...]]:
    watch = stack.session.client("cloudwatch", config=CONFIG)
    wanted = {f"{stack.name}-{one}": one for one in _ALARMS}
    alarms = watch.describe_alarms(AlarmNames=[*wanted])["MetricAlarms"]
    if missing := [wanted[name] for name in wanted.keys() - {one["AlarmName"] for one in alarms}]:
        yield PROBLEM, f"alarms are missing: {', '.join(missing)}", _DEPLOY
    for one in alarms:
        if not one["ActionsEnabled"]:
            yield (
                WARNING,
                f"{one['AlarmName']} tells nobody",
                f"aws cloudwatch enable-alarm-actions --alarm-names {one['AlarmName']}",
            )
    ringing = [one for one in alarms if one["StateValue"] == "ALARM"]
    for one in ringing:
        since = local_time(one["StateUpdatedTimestamp"].timestamp())
        yield PROBLEM, f"{one['AlarmName']} since {since}", one.get("AlarmDescription", "")
    if not ringing:
        yield OK, f"{counted(len(alarms), 'alarm')}, none of them rings"


def _clock(stack: Stack) -> Iterator[tuple[str, ...]]:
    """Compare this computer's clock with the time in an answer of AWS."""
    tables = stack.session.client("dynamodb", config=CONFIG)
    answer = tables.describe_table(TableName=stack.output("LedgerTableName"))
    said = answer["ResponseMetadata"]["HTTPHeaders"].get("date", "")
    skew = time.time() - parsedate_to_datetime(said).timestamp() if said else 0
    if abs(skew) > _LARGEST_SKEW:
        yield (
            PROBLEM,
            f"this computer's clock is {abs(skew):,.0f} s {'fast' if skew > 0 else 'slow'}",
            "Set it: from five minutes on AWS refuses what is signed here.",
        )
    else:
        yield OK, "this computer's clock is right"


def _versions(stack: Stack) -> Iterator[tuple[str, ...]]:
    ours = f"email-accounts {version('email-accounts-importer')}, boto3 {version('boto3')}"
    yield OK, f"{ours}, Python {platform.python_version()} here; {stack.parameter('Runtime')} there"
    tables = stack.session.client("dynamodb", config=CONFIG)
    known = tables.describe_table(TableName=stack.output("LedgerTableName"))["Table"]
    indexes = {one["IndexName"] for one in known.get("GlobalSecondaryIndexes", [])}
    if _INDEX not in indexes:
        yield (
            PROBLEM,
            f"the deployed version is older than this command: its ledger has no {_INDEX}",
            _DEPLOY,
        )


_CHECKS: dict[str, Callable[[Stack], Iterable[tuple[str, ...]]]] = {
    "stack": _stack,
    "subscriptions": _subscriptions,
    "encryption": _encryption,
    "keys": _keys,
    "queues": _queues,
    "alarms": _alarms,
    "clock": _clock,
    "versions": _versions,
}
