"""`doctor`: a deployment is checked."""

import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3

import email_accounts_cli
from email_accounts_cli.doctor import doctor
from email_accounts_cli.stack import Stack
from tests.support.aws import new_name
from tests.support.deployment import UNCONFIRMED, Captured, complete, documents, reopened, served
from tests.support.template import template


def findings(stack: Stack, capsys: Captured) -> dict[str, list[dict[str, Any]]]:
    """Return what the doctor finds, by check."""
    doctor(stack, as_json=True)
    found: dict[str, list[dict[str, Any]]] = {}
    for one in documents(capsys.readouterr().out):
        found.setdefault(one["check"], []).append(one)
    return found


def test_a_sound_deployment_has_no_findings(stack: Stack, capsys: Captured) -> None:
    """Every check is made and finds nothing to be done."""
    complete(stack)
    found = findings(stack, capsys)
    assert [*found] == [
        *("stack", "subscriptions", "encryption", "keys"),
        *("queues", "alarms", "clock", "versions"),
    ]
    assert {one["state"] for some in found.values() for one in some} == {"ok"}
    assert "9 alarms" in found["alarms"][0]["finding"]
    assert doctor(stack, as_json=False) == 0


def test_what_a_command_needs_is_reported_if_missing(stack: Stack, capsys: Captured) -> None:
    """No command finds a stack incomplete that `doctor` calls complete."""
    files = set(Path(email_accounts_cli.__file__).parent.glob("*.py"))
    others = [file.read_text("utf-8") for file in files if file.name != "doctor.py"]
    named = set(re.findall(r'"(\w+)"', "".join(others)))
    found = findings(replace(stack, outputs={}, parameters={}), capsys)["stack"]
    reported = set(re.findall(r"\w+", " ".join(one["finding"] for one in found)))
    deployed = template()
    assert named & (set(deployed["Outputs"]) | set(deployed["Parameters"])) <= reported


def test_every_problem_is_found_with_its_fix(stack: Stack, capsys: Captured) -> None:
    """A half deployment without subscriptions, a bad key, dead letters and an alarm."""
    watch, rings = boto3.client("cloudwatch"), complete(stack)
    watch.set_alarm_state(AlarmName=rings, StateValue="ALARM", StateReason="x")
    watch.disable_alarm_actions(AlarmNames=[rings])
    watch.delete_alarms(AlarmNames=[f"{stack.name}-StuckImportAlarm"])
    watch.set_alarm_state(
        AlarmName=f"{stack.name}-dev-ApiKeyAlarm", StateValue="ALARM", StateReason="x"
    )
    boto3.client("kms").disable_key(
        KeyId=boto3.client("kms").describe_key(KeyId=f"alias/{stack.name}")["KeyMetadata"]["KeyId"]
    )
    new_secret_name = f"{stack.name}/workspaces/north"
    boto3.client("secretsmanager").create_secret(Name=new_secret_name, SecretString="bad-key")
    queues = boto3.client("sqs")
    for queue in ("DeadLetterQueueUrl", "FailureQueueUrl"):
        queues.send_message(QueueUrl=stack.output(queue), MessageBody="x")
    topic = boto3.client("sns").create_topic(Name=new_name("topic"))["TopicArn"]
    outputs = {**stack.outputs, "NotificationTopicArn": topic}
    del outputs["ReportsBucketName"]
    parameters = dict(stack.parameters)
    del parameters["MaxFileMegabytes"]
    sick = replace(stack, status="UPDATE_ROLLBACK_FAILED", outputs=outputs, parameters=parameters)
    found = findings(sick, capsys)
    problems = {
        check: [one["code"] for one in some if one["state"] != "ok"]
        for check, some in found.items()
    }
    assert problems == {
        "stack": ["not_deployed", "outputs_missing", "parameters_missing"],
        "subscriptions": ["no_subscriptions"],
        "encryption": ["encryption_key_unusable"],
        "keys": ["key_refused"],
        "queues": ["broken_imports_waiting", "dead_letters"],
        "alarms": ["alarms_missing", "alarm_actions_disabled", "alarm"],
        "clock": [],
        "versions": [],
    }
    assert found["stack"][1]["finding"].endswith("ReportsBucketName")
    assert found["stack"][2]["finding"].endswith("MaxFileMegabytes")
    assert found["alarms"][0]["finding"].endswith("StuckImportAlarm")
    assert all(one["finding"].startswith(rings) for one in found["alarms"][1:])
    problems_found = [one for some in found.values() for one in some if one["state"] != "ok"]
    assert all(one["fix"] for one in problems_found)
    assert doctor(sick, as_json=False) == 1


def test_recipients_of_workspaces_are_checked(stack: Stack, capsys: Captured) -> None:
    """Who gets which results is told; a subscription to a workspace that is gone is a finding."""
    for name in ("default", "gone"):
        boto3.client("sns").subscribe(
            TopicArn=stack.output("NotificationTopicArn"),
            Protocol="email",
            Endpoint=f"{name}@n.example",
            Attributes={"FilterPolicy": json.dumps({"workspace": [name]})},
        )
    found = {
        one["finding"].split()[1]: (one["state"], one["code"])
        for one in findings(stack, capsys)["subscriptions"]
    }
    assert found["default@n.example"] == ("ok", "")
    assert found["gone@n.example"] == ("warning", "workspace_missing")


def test_an_unconfirmed_recipient_is_a_problem(stack: Stack, capsys: Captured) -> None:
    """AWS sends nothing to an address that has not confirmed."""
    with served("SNS", 200, UNCONFIRMED):
        [found] = findings(reopened(stack), capsys)["subscriptions"]
    assert (found["state"], found["code"]) == ("problem", "subscription_unconfirmed")
    assert found["fix"]


def test_what_may_not_be_read_is_unknown(stack: Stack, capsys: Captured) -> None:
    """A check that AWS refuses is a finding of its own and stops no other."""
    outputs = {**stack.outputs, "DeadLetterQueueUrl": "https://sqs.us-east-1.amazonaws.com/1/no"}
    found = findings(replace(stack, outputs=outputs), capsys)
    assert [one["state"] for one in found["queues"]] == ["ok", "ok", "unknown"]
    assert found["queues"][2]["fix"]
    assert found["versions"][0]["state"] == "ok"
