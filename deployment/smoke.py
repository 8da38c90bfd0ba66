"""Takes a file without accounts the whole way through a deployed stack; nothing is connected.

    python -m deployment.smoke STACK

It shows that upload, rule, queue, functions, ledger, machine, reports and topic work together
under the permissions they have, without a call to the remote API.
"""

import json
import sys
import time
from collections.abc import Callable

import boto3

from email_accounts.models.upload import import_id

KEY = "uploads/smoke-test.csv"
CONTENT = b"emailServiceProvider,smtpEmailAddress,smtpPassword\n"
PATIENCE = 300.0


def main(stack: str) -> None:
    """Drop the file and wait for its end; exit with 1 where it does not come or is not good."""
    described = boto3.client("cloudformation").describe_stacks(StackName=stack)["Stacks"][0]
    outputs = {one["OutputKey"]: one["OutputValue"] for one in described["Outputs"]}
    inbox = outputs["InboxBucketName"]
    stored = boto3.client("s3").put_object(Bucket=inbox, Key=KEY, Body=CONTENT)
    identity = import_id(inbox, KEY, stored["VersionId"])
    machine = outputs["TrackImportStateMachineArn"]
    execution = f"{machine.replace(':stateMachine:', ':execution:')}:{identity}"
    status, output = _ended(execution, time.monotonic() + PATIENCE, time.sleep)
    print(f"{status}: {output}")  # noqa: T201  a command says what it found
    if status != "SUCCEEDED" or json.loads(output).get("status") != "refused":
        sys.exit(f"import {identity} should have been answered as refused: see docs/runbook.md")


def _ended(execution: str, until: float, pause: Callable[[float], None]) -> tuple[str, str]:
    machines = boto3.client("stepfunctions")
    while True:
        status, output = "NOT STARTED", "{}"
        try:
            found = machines.describe_execution(executionArn=execution)
            status, output = found["status"], found.get("output", "{}")
        except machines.exceptions.ExecutionDoesNotExist:
            pass
        if status not in ("NOT STARTED", "RUNNING") or time.monotonic() > until:
            return status, output
        pause(2)


if __name__ == "__main__":
    main(sys.argv[1])
