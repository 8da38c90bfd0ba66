"""Runs `sam deploy` so that an update is taken back when one of the stack's alarms goes off.

    .venvs/sam/bin/python deployment/guarded.py deploy --config-env production

CloudFormation watches alarms during an update and for some minutes after it, where the change
set names them; the SAM CLI has no option for that. Everything else is its own: settings, the
change set shown for review, the waiting. A first deployment has no alarms yet.
"""

import sys
from typing import Any

import boto3
from botocore.exceptions import ClientError
from botocore.handlers import BUILTIN_HANDLERS

WATCHED = ("BrokenImportAlarm", "FunctionErrorsAlarm", "FunctionThrottlesAlarm", "UploadRuleAlarm")
"""Those that tell of the new code. Others may stand for reasons that an update does not change."""
MINUTES = 15
"""For how long they are watched afterwards: an alarm's period, within which all would show."""


def main() -> None:
    """Add the alarms to every change set, and do what the SAM CLI is asked for."""
    from samcli.cli.main import cli  # noqa: PLC0415  it lives in an environment of its own

    BUILTIN_HANDLERS.append(HANDLER)
    cli(sys.argv[1:])


def guarded(params: dict[str, Any], **_: object) -> dict[str, Any]:
    """Return a request for a change set that names the alarms of its stack."""
    triggers = [
        {"Arn": arn, "Type": "AWS::CloudWatch::Alarm"} for arn in alarms(params["StackName"])
    ]
    if not triggers:
        return params
    configuration = {"RollbackTriggers": triggers, "MonitoringTimeInMinutes": MINUTES}
    return params | {"RollbackConfiguration": configuration}


def alarms(stack: str) -> list[str]:
    """Return the ARNs of the watched alarms that a stack has."""
    stacks = boto3.client("cloudformation")
    names = []
    for logical_id in WATCHED:
        try:
            found = stacks.describe_stack_resource(StackName=stack, LogicalResourceId=logical_id)
        except ClientError as error:
            if error.response["Error"]["Code"] != "ValidationError":
                raise
            continue  # there is no such stack or alarm yet
        if name := found["StackResourceDetail"].get("PhysicalResourceId"):
            names.append(name)
    if not names:
        return []
    known = boto3.client("cloudwatch").describe_alarms(AlarmNames=names)["MetricAlarms"]
    return [alarm["AlarmArn"] for alarm in known]


HANDLER = ("provide-client-params.cloudformation.CreateChangeSet", guarded)


if __name__ == "__main__":
    main()
