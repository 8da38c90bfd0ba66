"""`doctor`: a deployment is checked."""

from typing import Any

import boto3

from email_accounts_cli.doctor import doctor
from email_accounts_cli.stack import Stack
from tests.support.aws import (
    new_name,
)
from tests.support.deployment import (
    Captured,
    complete,
    documents,
)


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


def test_every_trouble_is_found_with_its_cure(stack: Stack, capsys: Captured) -> None:
    """A half deployment with nobody to tell, a bad key, dead letters and an alarm."""
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
    sick = Stack(stack.name, "UPDATE_ROLLBACK_FAILED", outputs, parameters, stack.session)
    found = findings(sick, capsys)
    troubles = {
        check: [one["finding"] for one in some if one["state"] != "ok"]
        for check, some in found.items()
    }
    assert "ReportsBucketName" in troubles["stack"][1]
    assert "UPDATE_ROLLBACK_FAILED" in troubles["stack"][0]
    assert "nobody" in troubles["subscriptions"][0]
    assert "north does not work" in troubles["keys"][0]
    assert "parameters are missing: MaxFileMegabytes" in troubles["stack"][2]
    assert "is Disabled" in troubles["encryption"][0]
    assert "1 broken import waiting for an answer" in troubles["queues"][0]
    assert "1 dead letter:" in troubles["queues"][1]
    assert troubles["alarms"] == [
        "alarms are missing: StuckImportAlarm",
        f"{rings} tells nobody",
        troubles["alarms"][2],
    ]
    assert f"{rings} since" in troubles["alarms"][2]
    cured = [one for some in found.values() for one in some if one["state"] != "ok"]
    assert all(one["fix"] for one in cured)
    assert doctor(sick, as_json=False) == 1


def test_what_may_not_be_read_is_unknown(stack: Stack, capsys: Captured) -> None:
    """A check that AWS refuses is a finding of its own and stops no other."""
    outputs = {**stack.outputs, "DeadLetterQueueUrl": "https://sqs.us-east-1.amazonaws.com/1/no"}
    half = Stack(stack.name, stack.status, outputs, stack.parameters, stack.session)
    found = findings(half, capsys)
    assert [one["state"] for one in found["queues"]] == ["ok", "ok", "unknown"]
    assert found["queues"][2]["fix"]
    assert found["versions"][0]["state"] == "ok"
