"""The executions: what the domain relies on, held against the fake and TaskResult Functions."""

from collections.abc import Callable
from dataclasses import dataclass

import boto3
import pytest
from botocore.exceptions import ClientError

from email_accounts.aws.step_functions import TrackImport, result_document
from email_accounts.models.steps import NextAction, TaskResult
from email_accounts.ports import Executions
from tests.support.aws import executions_of, new_state_machine
from tests.support.fakes import FakeExecutions, Journal

ID = "0123456789abcdef0123456789abcdef"
OTHER = "fedcba9876543210fedcba9876543210"


@dataclass(frozen=True, slots=True)
class Machine:
    """Executions, and what each was started with, by its name."""

    executions: Executions
    started: Callable[[], dict[str, dict[str, object]]]


def fake_machine() -> Machine:
    """Make a fake that nothing was started on."""
    executions = FakeExecutions(Journal())

    def started() -> dict[str, dict[str, object]]:
        return {
            name: {"importId": import_id, "file": file, **result_document(step)}
            for name, (import_id, file, step) in executions.started.items()
        }

    return Machine(executions, started)


def real_machine() -> Machine:
    """Make a state machine that nothing was started on."""
    arn = new_state_machine()
    return Machine(TrackImport(boto3.client("stepfunctions"), arn), lambda: executions_of(arn))


@pytest.fixture(params=["fake", "stepfunctions"])
def machine(request: pytest.FixtureRequest) -> Machine:
    """Give a machine of either kind."""
    return fake_machine() if request.param == "fake" else real_machine()


def test_an_execution_is_named_by_its_import(machine: Machine) -> None:
    """An execution is told the import, the file, what comes first and in how many seconds."""
    machine.executions.start(ID, ID, 'a "b" é.csv', TaskResult(NextAction.CHECK, 10.0))
    assert machine.started() == {
        ID: {"importId": ID, "file": 'a "b" é.csv', "next": "check_status", "waitSeconds": 10}
    }


def test_an_import_has_one_execution(machine: Machine) -> None:
    """Started again, with the same step or another, there is one execution: the first."""
    machine.executions.start(ID, ID, "a.csv", TaskResult(NextAction.CHECK, 10.0))
    machine.executions.start(ID, ID, "a.csv", TaskResult(NextAction.CHECK, 10.0))
    machine.executions.start(ID, ID, "a.csv", TaskResult(NextAction.DELIVER))
    assert [(name, one["next"]) for name, one in machine.started().items()] == [
        (ID, "check_status")
    ]


def test_each_name_is_an_execution_of_its_own(machine: Machine) -> None:
    """Two imports are two executions; one that is taken up again has another of the same import."""
    again = f"{ID}-2"
    machine.executions.start(ID, ID, "a.csv", TaskResult(NextAction.CHECK))
    machine.executions.start(OTHER, OTHER, "a.csv", TaskResult(NextAction.DELIVER))
    for _ in range(2):
        machine.executions.start(again, ID, "a.csv", TaskResult(NextAction.CHECK))
    assert {name: (one["importId"], one["next"]) for name, one in machine.started().items()} == {
        ID: (ID, "check_status"),
        OTHER: (OTHER, "deliver_report"),
        again: (ID, "check_status"),
    }


@pytest.mark.parametrize(("seconds", "waited"), [(0, 0), (0.001, 1), (22.5, 23), (60.0, 60)])
def test_a_step_waits_whole_seconds_and_never_too_few(seconds: float, waited: int) -> None:
    """The state machine waits whole seconds: they are rounded up."""
    document = result_document(TaskResult(NextAction.SUBMIT, seconds))
    assert document == {"next": "submit_accounts", "waitSeconds": waited}
    assert isinstance(document["waitSeconds"], int)


def test_an_execution_that_has_ended_is_not_started_again() -> None:
    """The end of an execution does not free its name."""
    client, arn = boto3.client("stepfunctions"), new_state_machine()
    executions = TrackImport(client, arn)
    executions.start(ID, ID, "a.csv", TaskResult(NextAction.CHECK))
    (listed,) = client.list_executions(stateMachineArn=arn)["executions"]
    client.stop_execution(executionArn=listed["executionArn"])
    executions.start(ID, ID, "a.csv", TaskResult(NextAction.CHECK))
    assert len(client.list_executions(stateMachineArn=arn)["executions"]) == 1


def test_a_machine_that_is_not_there_is_no_success() -> None:
    """What could not be started raises, so that the queue delivers the upload again."""
    arn = "arn:aws:states:us-east-1:123456789012:stateMachine:none"
    with pytest.raises(ClientError):
        TrackImport(boto3.client("stepfunctions"), arn).start(
            ID, ID, "a.csv", TaskResult(NextAction.CHECK)
        )
