"""Deploying, as far as it can be seen without a stack on AWS."""

import json
import os
import re
import subprocess
import time
from collections.abc import Iterator
from fnmatch import fnmatchcase
from typing import Any

import boto3
import pytest
from botocore.handlers import BUILTIN_HANDLERS

from deployment import guarded, smoke
from email_accounts.models.upload import import_id
from tests.support.aws import aws, new_bucket, new_name, new_state_machine
from tests.support.deployment import new_alarm
from tests.support.policies import resolved
from tests.support.template import ROOT, listed, template

STACK = "email-accounts-dev"
SAM_PYTHON = ROOT / ".venvs/sam/bin/python"
CALLED = """
import json, sys
from deployment import guarded
from samcli.cli.types import CfnParameterOverridesType
called = guarded.arguments(sys.argv[1], sys.argv[2:])
at = called.index("--parameter-overrides") if "--parameter-overrides" in called else len(called)
read = CfnParameterOverridesType().convert(tuple(called[at + 1 :]), None, None)
print(json.dumps([called[:at], read]))
"""
"""What the SAM CLI is called with, and what it makes of the parameters."""


@pytest.fixture
def _aws() -> Iterator[None]:
    with aws():
        yield


class Seen(Exception):  # noqa: N818  it ends the call where all has been seen
    """The request as it would have been sent."""


def seen(params: dict[str, Any], **_: object) -> None:
    """Stop the request."""
    raise Seen(params["body"])


def asked(stack: str = STACK) -> dict[str, Any]:
    """Ask for a change set and return the request."""
    BUILTIN_HANDLERS.append(guarded.HANDLER)
    try:
        client = boto3.Session().client("cloudformation")
        client.meta.events.register("before-call.cloudformation.CreateChangeSet", seen)
        with pytest.raises(Seen) as caught:
            client.create_change_set(StackName=stack, ChangeSetName="changes")
    finally:
        BUILTIN_HANDLERS.remove(guarded.HANDLER)
    (body,) = caught.value.args
    return dict(body)


@pytest.mark.usefixtures("_aws")
def test_an_update_is_watched_by_the_alarms_that_do_not_ring(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One that rings would take back the very update that fixes its cause.

    Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_RollbackConfiguration.html
    """
    for name in guarded.WATCHED:
        new_alarm(f"{STACK}-{name}")
        new_alarm(f"{STACK}-other-{name}")
    ringing = f"{STACK}-{guarded.WATCHED[1]}"
    boto3.client("cloudwatch").set_alarm_state(
        AlarmName=ringing, StateValue="ALARM", StateReason="x"
    )
    body = asked()
    arns = [value.partition(":alarm:")[2] for key, value in body.items() if key.endswith(".Arn")]
    assert sorted(arns) == sorted(
        f"{STACK}-{name}" for name in guarded.WATCHED if not ringing.endswith(name)
    )
    assert int(body["RollbackConfiguration.MonitoringTimeInMinutes"]) == guarded.MINUTES
    assert ringing in capsys.readouterr().err


@pytest.mark.usefixtures("_aws")
def test_alarms_of_the_last_update_are_taken_back() -> None:
    """CloudFormation remembers them where a request has no list; an empty one forgets them.

    It would also wait without alarms, so that a first deployment took a quarter of an hour longer.
    Source: https://docs.aws.amazon.com/AWSCloudFormation/latest/APIReference/API_RollbackConfiguration.html
    """
    body = asked("without-alarms")
    assert body["RollbackConfiguration.RollbackTriggers"] == ""
    assert int(body["RollbackConfiguration.MonitoringTimeInMinutes"]) == 0


def called(*names: str, **variables: str) -> tuple[list[str], dict[str, str]]:
    """Return what the SAM CLI is called with, and what it reads of the parameters."""
    done = subprocess.run(
        [SAM_PYTHON, "-c", CALLED, "dev", *names],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(done.stderr)
    arguments, parameters = json.loads(done.stdout)
    return arguments, parameters


def test_parameters_are_given_by_their_names() -> None:
    """What is given counts; the rest of the environment's settings stay as they are."""
    arguments, parameters = called(
        "NOTIFY", "BatchSize", "LogRetentionDays", "TrustedReportHosts", "EventBusName",
        NOTIFY="you+tag@example.com", BatchSize="50", LogRetentionDays="14",
        TrustedReportHosts="a.example,b.example", EventBusName="", GraceSeconds="not asked for",
    )  # fmt: skip
    assert arguments == ["deploy", "--config-env", "dev"]
    assert parameters == {
        "NotificationEmail": "you+tag@example.com",
        "BatchSize": "50",
        "LogRetentionDays": "14",
        "UploadRetentionDays": "2",
        "ReportRetentionDays": "7",
        "TrustedReportHosts": "a.example,b.example",
        "EventBusName": "",
    }


def test_nothing_is_overridden_unasked() -> None:
    """Then samconfig.toml and what was deployed before say it all; a workflow is not asked."""
    assert called() == (["deploy", "--config-env", "dev"], {})
    assert called(CI="true")[0][-1] == "--no-confirm-changeset"


def test_a_name_that_is_no_parameter_is_refused() -> None:
    """A slip of the pen is not taken for a wish that was granted."""
    with pytest.raises(SystemExit, match=r"No parameter of the template: BatchSzie\. Known: Api"):
        called("BatchSzie", BatchSzie="5")


def test_make_hands_over_what_it_is_given() -> None:
    """Each variable of the command line that is no variable of the Makefile is a parameter."""
    given = ["ENV=staging", "NOTIFY=you@example.com", "BatchSize=50"]
    done = subprocess.run(
        ["make", "--dry-run", "deploy", *given],  # noqa: S607  wherever it is
        cwd=ROOT,
        # What `make test` hands to its children would have this one speak of folders.
        env={name: value for name, value in os.environ.items() if "MAKE" not in name},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "sam build --no-cached" in done.stdout  # Pythons may have come since the last build
    command = done.stdout.splitlines()[-1].partition("deployment/guarded.py ")[2].split()
    assert command[0] == "staging"
    assert sorted(command[1:]) == ["BatchSize", "NOTIFY"]


NEEDED = """
import json, sys
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER as schemas
for kind in sys.argv[1:]:
    handlers = schemas.get_resource_schema("us-east-1", kind).schema["handlers"]
    for step in handlers.values():
        print(*step.get("permissions", ()), sep="\\n")
"""
"""The rights that CloudFormation's own schemas name for each step of a resource's life."""
MADE_BY_SAM = {
    "AWS::Serverless::Function": ("AWS::Lambda::Function", "AWS::Lambda::EventSourceMapping"),
    "AWS::Serverless::LayerVersion": ("AWS::Lambda::LayerVersion",),
    "AWS::Serverless::StateMachine": ("AWS::StepFunctions::StateMachine",),
}
NOT_NEEDED = (
    # Other services, of which a resource can make use and none of ours does.
    *("ec2:*", "elasticfilesystem:*", "firehose:*", "kinesis:*", "s3files:*", "s3tables:*"),
    # Replicas, imports, streams, and the table's items.
    *("dynamodb:*Item", "dynamodb:*Replica", "dynamodb:*ResourcePolicy", "dynamodb:ImportTable"),
    *("dynamodb:*KinesisStreamingDestination", "dynamodb:Query", "dynamodb:Scan"),
    *("dynamodb:UpdateContributorInsights", "dynamodb:ListTables"),
    # Policies are attached by hand; no role has a boundary.
    *("iam:Attach*", "iam:Detach*", "iam:*PermissionsBoundary", "iam:CreateServiceLinkedRole"),
    # The key is always rotated, and services give their grants back.
    *("kms:DisableKeyRotation", "kms:RevokeGrant", "kms:ListKeys"),
    # Settings that no function has.
    *("lambda:*Concurrency", "lambda:*CodeSigningConfig", "lambda:AssociateRuntimeAlias"),
    *("lambda:PassCapacityProvider", "lambda:PublishVersion", "lambda:Put*", "lambda:List*"),
    # Deliveries, indexes and protection of data, and what is in a log.
    *("logs:*Delivery", "logs:*LogStream*", "logs:*DataProtectionPolicy", "logs:*IndexPolicy"),
    *("logs:DeleteResourcePolicy", "logs:PutResourcePolicy", "logs:PutBearerTokenAuthentication"),
    *("logs:PutLogEvents", "logs:PutLogGroupDeletionProtection"),
    # Settings that no bucket has, and objects.
    *("s3:*MetadataTableConfiguration", "s3:UpdateBucketMetadata*", "s3:*Object", "s3:*OBJECT"),
    *("s3:PutObject*", "s3:GetObject*", "s3:PutA*", "s3:PutI*", "s3:PutM*", "s3:PutR*"),
    *("s3:PutBucketA*", "s3:PutBucketCORS", "s3:PutBucketLogging", "s3:PutBucketObjectLock*"),
    *("s3:PutBucketReplication", "s3:PutBucketWebsite", "s3:DeleteBucketAnalytics*"),
    *("s3:DeleteBucketCors", "s3:DeleteBucketEncryption", "s3:DeleteBucketLifecycle"),
    *("s3:DeleteBucketMetrics*", "s3:DeleteBucketReplication", "s3:DeleteBucketWebsite"),
    "s3:ListAllMyBuckets",
    # Secrets are read by functions alone, and stay in their region.
    *("secretsmanager:GetSecretValue", "secretsmanager:*Replicat*", "secretsmanager:ListSecrets"),
    "sns:PutDataProtectionPolicy",
    # What there is is asked for by its name, not listed.
    *("cloudwatch:ListDashboards", "events:ListRules", "iam:ListPolicies", "iam:ListRoles"),
    *("sqs:ListQueues", "states:ListStateMachines"),
)


NOT_CALLED = {
    f"cloudformation:{one}"
    # Of `sam sync`, of an option that is not used, and a helper of the client.
    for one in ("CreateStack", "UpdateStack", "RollbackStack", "GetWaiter")
}


def test_the_deployer_may_do_what_cloudformation_does() -> None:
    """The policy has each right of a resource's life, but for what no resource of ours has."""
    kinds = {
        kind
        for one in template()["Resources"].values()
        for kind in MADE_BY_SAM.get(one["Type"], (one["Type"],))
    }
    listing = subprocess.run(
        [SAM_PYTHON, "-c", NEEDED, *sorted(kinds)], capture_output=True, text=True, check=True
    )
    needed = set(listing.stdout.split())
    text = (ROOT / "deployment/deployer-policy.json").read_text("utf-8")
    policy = json.loads(text)
    allowed = [action for one in policy["Statement"] for action in listed(one["Action"])]
    left = [one for one in needed if not any(fnmatchcase(one, each) for each in allowed)]
    assert len(needed) > 200
    assert not [one for one in left if not any(fnmatchcase(one, each) for each in NOT_NEEDED)]
    # IAM counts no blanks.
    assert len(re.sub(r"\s", "", text)) <= 6144


def test_the_deployer_may_do_what_the_sam_cli_does() -> None:
    """Its own calls to CloudFormation, and those of the guard, which no schema names."""
    (deployer,) = (ROOT / ".venvs/sam/lib").glob("*/site-packages/samcli/lib/deploy/deployer.py")
    calls = re.findall(
        r'_client\.(?:get_paginator\(")?([a-z]+(?:_[a-z]+)+)', deployer.read_text("utf-8")
    )
    needed = {f"cloudformation:{one.title().replace('_', '')}" for one in calls} - NOT_CALLED
    assert "cloudformation:ExecuteChangeSet" in needed
    policy = json.loads((ROOT / "deployment/deployer-policy.json").read_text("utf-8"))
    allowed = {action for one in policy["Statement"] for action in listed(one["Action"])}
    assert needed | {"cloudwatch:DescribeAlarms"} <= allowed


def test_the_policy_for_one_workspace_is_that_for_all_but_for_its_folder() -> None:
    """What the page shows is the policy of the template, for another resource."""
    page = (ROOT / "docs/deployment.md").read_text("utf-8")
    (shown,) = re.findall(r"```json\n(.+?)```", page, re.DOTALL)
    own = template()["Resources"]["UploaderPolicy"]["Properties"]["PolicyDocument"]
    names = {
        "AWS::Region": "<region>",
        "InboxBucket.Arn": "arn:aws:s3:::<InboxBucketName>",
        "DataKey.Arn": "<the key's ARN: aws kms describe-key --key-id alias/$STACK_NAME>",
    }

    def filled(value: Any) -> Any:  # noqa: ANN401  as YAML has it
        if isinstance(value, list):
            return [filled(one) for one in value]
        if not isinstance(value, dict):
            return value
        if {"Fn::Sub", "Fn::GetAtt"} & value.keys():
            return resolved(value, names)
        return {key: filled(one) for key, one in value.items()}

    expected = json.dumps(filled(own)).replace("/uploads/*", "/uploads/north/*")
    assert json.loads(shown) == json.loads(expected)


@pytest.mark.usefixtures("_aws")
def test_the_smoke_test_puts_its_file_until_an_event_comes(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """S3 says nothing of the first two; of the third it does."""
    inbox, machine = new_bucket(), new_state_machine(new_name("machine"))
    s3, machines = boto3.client("s3"), boto3.client("stepfunctions")

    def passes(_: float) -> None:
        versions = s3.list_object_versions(Bucket=inbox)["Versions"]
        if len(versions) == 3:
            (newest,) = (one for one in versions if one["IsLatest"])
            identity = import_id(inbox, smoke.KEY, newest["VersionId"])
            machines.start_execution(stateMachineArn=machine, name=identity)

    monkeypatch.setattr(time, "sleep", passes)
    with pytest.raises(SystemExit, match="should have been answered as refused"):
        smoke.smoke(inbox, machine)
    assert capsys.readouterr().out.count("The file is put again") == 2


@pytest.mark.usefixtures("_aws")
def test_the_smoke_test_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no event ever comes, the runbook says what to look at."""
    inbox, machine = new_bucket(), new_state_machine(new_name("machine"))
    monkeypatch.setattr(time, "sleep", lambda _: None)
    monkeypatch.setattr(smoke, "PUTS", 2)
    with pytest.raises(SystemExit, match="no import has started"):
        smoke.smoke(inbox, machine)
    versions = boto3.client("s3").list_object_versions(Bucket=inbox)["Versions"]
    assert len(versions) == smoke.PUTS
