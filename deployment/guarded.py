"""Runs `sam deploy` so that an update is taken back when one of the stack's alarms goes off.

    .venvs/sam/bin/python deployment/guarded.py ENVIRONMENT [PARAMETER ...]

ENVIRONMENT is a section of samconfig.toml. The value of each PARAMETER is in the environment
variable of its name; what is not named keeps its value, and at first that of samconfig.toml or
the default. NOTIFY is short for NotificationEmail.

CloudFormation watches alarms during an update and for some minutes after it, where the change
set names them; the SAM CLI has no option for that. Everything else is its own: settings, the
change set shown for review, the waiting.
"""

import os
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import boto3
from botocore.handlers import BUILTIN_HANDLERS

ROOT = Path(__file__).parents[1]
WATCHED = ("BrokenImportAlarm", "FunctionErrorsAlarm", "FunctionThrottlesAlarm", "UploadRuleAlarm")
"""Alarms about the new code. Others may have causes that an update does not change."""
MINUTES = 15
"""For how long they are watched afterwards: an alarm's period, within which all would show."""


def main(environment: str, *names: str) -> None:
    """Add the alarms to every change set, and have the SAM CLI deploy."""
    from samcli.cli.main import cli  # noqa: PLC0415  it lives in an environment of its own

    BUILTIN_HANDLERS.append(HANDLER)
    cli(arguments(environment, names))


def arguments(environment: str, names: Sequence[str]) -> list[str]:
    """Return what `sam` is called with; SystemExit where a name is no parameter's."""
    from samcli.yamlhelper import parse_yaml_file  # noqa: PLC0415  see above

    known = parse_yaml_file(str(ROOT / "template.yaml"))["Parameters"]
    given = {{"NOTIFY": "NotificationEmail"}.get(name, name): os.environ[name] for name in names}
    if unknown := given.keys() - known:
        sys.exit(f"No parameter of the template: {', '.join(unknown)}. Known: {', '.join(known)}.")
    called = ["deploy", "--config-env", environment]
    if os.environ.get("CI"):
        called.append("--no-confirm-changeset")
    if given:
        # What is given here replaces what samconfig.toml says, so that is repeated.
        settings = tomllib.loads((ROOT / "samconfig.toml").read_text("utf-8"))
        configured = settings[environment]["deploy"]["parameters"]["parameter_overrides"]
        values = [f'{name}="{value}"' for name, value in given.items()]
        called += ["--parameter-overrides", configured, *values]
    return called


def guarded(params: dict[str, Any], **_: object) -> dict[str, Any]:
    """Return a request for a change set that names the alarms of its stack.

    One that is in alarm already would make CloudFormation roll back the very update that fixes it.
    CloudFormation remembers the alarms of the last update, so the list is always given, even empty.
    """
    names = [f"{params['StackName']}-{name}" for name in WATCHED]
    known = boto3.client("cloudwatch").describe_alarms(AlarmNames=names)["MetricAlarms"]
    ringing = [one["AlarmName"] for one in known if one["StateValue"] == "ALARM"]
    if ringing:
        print(f"Not watched, because it is in alarm already: {', '.join(ringing)}", file=sys.stderr)  # noqa: T201  a command says what it does
    triggers = [
        {"Arn": one["AlarmArn"], "Type": "AWS::CloudWatch::Alarm"}
        for one in known
        if one["AlarmName"] not in ringing
    ]
    # Without alarms it would still wait.
    minutes = MINUTES if triggers else 0
    configuration = {"RollbackTriggers": triggers, "MonitoringTimeInMinutes": minutes}
    return params | {"RollbackConfiguration": configuration}


HANDLER = ("provide-client-params.cloudformation.CreateChangeSet", guarded)


if __name__ == "__main__":
    main(*sys.argv[1:])
