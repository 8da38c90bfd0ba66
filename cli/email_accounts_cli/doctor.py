"""Check a deployment: findings, each with its fix."""

import platform
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from email.utils import parsedate_to_datetime
from importlib.metadata import version

from botocore.exceptions import BotoCoreError, ClientError

from email_accounts_cli.errors import explained
from email_accounts_cli.recipients import recipients
from email_accounts_cli.stack import CONFIG, Stack
from email_accounts_cli.terminal import (
    ALL_WELL,
    NOT_ALL_WELL,
    CommandError,
    console,
    counted,
    echo,
    local_time,
    print_json,
    table,
)
from email_accounts_cli.workspaces import known_honoured, try_key, workspaces

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
    "CallsPerMinute",
    "InitialPollDelaySeconds",
    "MaxFileMegabytes",
    "ReportRetentionDays",
    "Runtime",
    "SettleSeconds",
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
_TABLE_WIDTH = 100
_INDEX = "imports-by-day"
_LARGEST_SKEW = 60
_LONGEST_QUEUE = 100
_DEPLOY = "Deploy again: make deploy."


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of a check; `fix` is empty if there is nothing to do."""

    check: str
    state: str
    code: str
    finding: str
    fix: str = ""


def doctor(stack: Stack, *, as_json: bool) -> int:
    """Run every check and print its findings; 1 if there is something to fix."""
    findings: list[Finding] = []
    for name, check in _CHECKS.items():
        findings += _made(name, check, stack)
    if as_json:
        for one in findings:
            print_json(asdict(one))
    else:
        screen = console()
        if screen.width >= _TABLE_WIDTH:
            rows = ((one.check, one.state, one.finding, one.fix) for one in findings)
            screen.print(table(("Check", "State", "Finding", "Fix"), rows))
        else:
            for one in findings:
                echo(f"{one.check}: {one.state}")
                for text in filter(None, (one.finding, one.fix and f"Fix: {one.fix}")):
                    echo(f"  {text}")
    return NOT_ALL_WELL if any(one.state != OK for one in findings) else ALL_WELL


def _made(
    name: str, check: Callable[[Stack], Iterable[tuple[str, ...]]], stack: Stack
) -> Iterator[Finding]:
    try:
        for found in check(stack):
            yield Finding(name, *found)
    except CommandError as error:
        yield Finding(name, PROBLEM, "incompatible", error.message)
    except ClientError as error:
        fix = "Use credentials that may read this."
        yield Finding(name, UNKNOWN, "refused_by_aws", explained(error), fix)
    except BotoCoreError as error:
        fix = "Check the network, the profile and the region."
        yield Finding(name, UNKNOWN, "aws_unreachable", explained(error), fix)


def _stack(stack: Stack) -> Iterator[tuple[str, ...]]:
    said = f"{stack.name} is {stack.status}"
    if stack.status.endswith("_IN_PROGRESS"):
        yield WARNING, "deploying", said, "Wait until the deployment has finished."
    elif not stack.status.endswith("_COMPLETE") or stack.status.startswith("DELETE"):
        yield PROBLEM, "not_deployed", said, _DEPLOY
    else:
        yield OK, "", said
    for kind, wanted, known in (
        ("outputs", _OUTPUTS, stack.outputs),
        ("parameters", _PARAMETERS, stack.parameters),
    ):
        missing = [name for name in wanted if name not in known]
        if missing:
            yield PROBLEM, f"{kind}_missing", f"missing {kind}: {', '.join(missing)}", _DEPLOY


def _subscriptions(stack: Stack) -> Iterator[tuple[str, ...]]:
    known = recipients(stack)
    if not known:
        yield (
            WARNING,
            "no_subscriptions",
            "no one is subscribed to the results",
            "Deploy with NotificationEmail, or: email-accounts workspace notify NAME ADDRESS",
        )
    names = {one.name for one in workspaces(stack)}
    for one in known:
        whom = f"{one.protocol} {one.endpoint}"
        gone = sorted({*(one.workspaces or ())} - names)
        if not one.confirmed:
            yield (
                PROBLEM,
                "subscription_unconfirmed",
                f"{whom} has not confirmed and gets nothing",
                "Follow the link in the mail `AWS Notification - Subscription Confirmation`.",
            )
        elif gone:
            yield (
                WARNING,
                "workspace_missing",
                f"{whom} is subscribed to workspaces that do not exist: {', '.join(gone)}",
                "Add the workspace, or remove the subscription by the link in its mails.",
            )
        else:
            which = "all results" if one.workspaces is None else ", ".join(one.workspaces)
            yield OK, "", f"{whom} gets {'' if one.workspaces is None else 'results of '}{which}"


def _encryption(stack: Stack) -> Iterator[tuple[str, ...]]:
    keys = stack.session.client("kms", config=CONFIG)
    known = keys.describe_key(KeyId=f"alias/{stack.name}")["KeyMetadata"]
    if known["KeyState"] == "Enabled":
        yield OK, "", "the encryption key is enabled"
    else:
        yield (
            PROBLEM,
            "encryption_key_unusable",
            f"the encryption key is {known['KeyState']}, so no data can be read",
            f"Enable it, or cancel its deletion: {known['Arn']}",
        )


def _keys(stack: Stack) -> Iterator[tuple[str, ...]]:
    for one in workspaces(stack):
        result = try_key(stack, one.name)
        if result.works:
            yield OK, "", f"the key of {one.name} works"
            known = known_honoured(stack, one.name)
            if known and not (known.newest_first or known.search):
                yield (
                    WARNING,
                    "account_list_limited",
                    f"the account list of {one.name} supports only: {known}",
                    f"Imports read it slowly. Try: email-accounts workspace test {one.name}",
                )
            elif known:
                yield OK, "", f"the account list of {one.name} supports: {known}"
        else:
            replace = " --replace" if one.has_key else ""
            yield (
                PROBLEM,
                result.code or "",
                f"the key of {one.name} {result.said}",
                f"email-accounts workspace add {one.name}{replace}",
            )


def _queues(stack: Stack) -> Iterator[tuple[str, ...]]:
    log = f"Read the log: aws logs tail /aws/lambda/{stack.name}"
    waiting = _messages(stack, "UploadQueueUrl")
    queued = f"{counted(waiting, 'upload')} queued"
    if waiting > _LONGEST_QUEUE:
        yield WARNING, "uploads_waiting", queued, f"{log}-submit_accounts"
    else:
        yield OK, "", queued
    broken = _messages(stack, "FailureQueueUrl")
    if broken:
        said = f"{counted(broken, 'broken import')} waiting for a report"
        yield WARNING, "broken_imports_waiting", said, f"{log}-deliver_report"
    else:
        yield OK, "", "no broken imports"
    dead = _messages(stack, "DeadLetterQueueUrl")
    if dead:
        yield (
            PROBLEM,
            "dead_letters",
            f"{counted(dead, 'dead letter')}: uploads not processed, or reports not written",
            "Read the logs of submit_accounts and deliver_report, then: email-accounts redrive",
        )
    else:
        yield OK, "", "no dead letters"


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
        yield PROBLEM, "alarms_missing", f"missing alarms: {', '.join(missing)}", _DEPLOY
    for one in alarms:
        if not one["ActionsEnabled"]:
            yield (
                WARNING,
                "alarm_actions_disabled",
                f"{one['AlarmName']} notifies no one",
                f"aws cloudwatch enable-alarm-actions --alarm-names {one['AlarmName']}",
            )
    in_alarm = [one for one in alarms if one["StateValue"] == "ALARM"]
    for one in in_alarm:
        since = local_time(one["StateUpdatedTimestamp"].timestamp())
        finding = f"{one['AlarmName']} in ALARM since {since}"
        yield PROBLEM, "alarm", finding, one.get("AlarmDescription", "")
    if not in_alarm:
        yield OK, "", f"{counted(len(alarms), 'alarm')}, none in ALARM"


def _clock(stack: Stack) -> Iterator[tuple[str, ...]]:
    """Compare this computer's clock with the time in an AWS response."""
    tables = stack.session.client("dynamodb", config=CONFIG)
    answer = tables.describe_table(TableName=stack.output("LedgerTableName"))
    said = answer["ResponseMetadata"]["HTTPHeaders"].get("date", "")
    skew = time.time() - parsedate_to_datetime(said).timestamp() if said else 0
    if abs(skew) > _LARGEST_SKEW:
        yield (
            PROBLEM,
            "clock_wrong",
            f"this computer's clock is {abs(skew):,.0f} s {'fast' if skew > 0 else 'slow'}",
            "Set the clock: AWS refuses requests that are five minutes off.",
        )
    else:
        yield OK, "", "this computer's clock is right"


def _versions(stack: Stack) -> Iterator[tuple[str, ...]]:
    ours = f"email-accounts {version('email-accounts-importer')}, boto3 {version('boto3')}"
    here = f"{ours}, Python {platform.python_version()} here"
    yield OK, "", f"{here}; {stack.parameter('Runtime')} deployed"
    tables = stack.session.client("dynamodb", config=CONFIG)
    known = tables.describe_table(TableName=stack.output("LedgerTableName"))["Table"]
    indexes = {one["IndexName"] for one in known.get("GlobalSecondaryIndexes", [])}
    if _INDEX not in indexes:
        yield (
            PROBLEM,
            "deployment_outdated",
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
