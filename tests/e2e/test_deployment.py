"""What is done with a stack on AWS, done with the one of these tests."""

import os
import subprocess
import sys

import pytest

from deployment.guarded import MINUTES, WATCHED, guarded
from tests.support.cloud import ROOT, LocalCloud, wait_until
from tests.support.faults import impatient_queue

pytestmark = pytest.mark.e2e


@pytest.fixture
def owner(cloud: LocalCloud, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have boto3 speak to the cloud as its owner."""
    for name, value in cloud.environment.items():
        if name.startswith("AWS_"):
            monkeypatch.setenv(name, value)


def smoke(cloud: LocalCloud) -> subprocess.CompletedProcess[str]:
    """Run the smoke test on the stack."""
    return subprocess.run(
        [sys.executable, "-m", "deployment.smoke", cloud.environment["STACK_NAME"]],
        cwd=ROOT,
        env=os.environ | cloud.environment | {"PYTHONPATH": str(ROOT / "layers/email_accounts")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_smoke(cloud: LocalCloud) -> None:
    """A file without accounts is answered, and Saleshandy's API is not called."""
    cloud.behave()
    done = smoke(cloud)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("SUCCEEDED: ")
    assert cloud.control("GET", "calls").json() == []


def test_smoke_without_fire(cloud: LocalCloud) -> None:
    """A stack that cannot answer is told from one that can."""
    with (
        impatient_queue(cloud, "FAILURE"),
        cloud.environment_of("deliver_report", REPORTS_BUCKET="no-such-bucket"),
    ):
        done = smoke(cloud)
        # The last resort answers without reports. Changing the function would end what it does.
        wait_until(cloud.is_at_rest)
    assert done.returncode == 1
    assert "should have been answered as refused: see docs/runbook.md" in done.stderr


@pytest.mark.usefixtures("owner")
def test_an_update_is_watched_by_the_alarms_of_its_stack(cloud: LocalCloud) -> None:
    """The change set names the alarms; that of a stack which is not there yet names none."""
    stack = cloud.environment["STACK_NAME"]
    asked = {"StackName": stack, "ChangeSetType": "UPDATE"}
    configuration = guarded(asked)["RollbackConfiguration"]
    arns = [trigger["Arn"] for trigger in configuration["RollbackTriggers"]]
    assert configuration["MonitoringTimeInMinutes"] == MINUTES
    assert sorted(arn.partition(":alarm:")[2] for arn in arns) == [
        f"{stack}-{name}" for name in sorted(WATCHED)
    ]
    unknown = guarded({"StackName": "not-there"})["RollbackConfiguration"]
    assert unknown["RollbackTriggers"] == []
