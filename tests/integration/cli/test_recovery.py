"""`stop`, `resume` and `redrive`."""

import json
from collections.abc import Callable

import boto3
import pytest

from email_accounts_cli.history import History
from email_accounts_cli.recovery import redrive, resume, stop
from email_accounts_cli.show import TASKS, show
from email_accounts_cli.stack import Stack
from email_accounts_cli.terminal import CommandError
from tests.support.deployment import (
    NOW,
    Captured,
    documents,
    imported,
    ledger,
    received,
    reopened,
    served,
)
from tests.support.files import accounts_file
from tests.support.ledger import answer, refuse
from tests.support.template import state_machine


def refused(stack: Stack) -> str:
    """Have a file refused as a whole."""
    identity = received(stack, "uploads/a.csv")
    refuse(ledger(stack), identity, "It is a PDF.")
    return identity


ONE = accounts_file("a@n.example")
IMPORTS: dict[str, Callable[[Stack], str]] = {
    "new": lambda stack: received(stack, "uploads/a.csv"),
    "refused": refused,
    "unconfirmed": lambda stack: imported(stack, "a.csv", ONE, unconfirmed=True),
    "ended": lambda stack: imported(stack, "a.csv", ONE),
}


@pytest.mark.parametrize(
    ("command", "kind", "answered", "code"),
    [
        (resume, "new", True, ""),
        (resume, "new", False, "running"),
        (resume, "refused", False, "file_refused"),
        (resume, "unconfirmed", True, ""),
        (resume, "unconfirmed", False, "upload_deleted"),
        (stop, "new", True, ""),
        (stop, "new", False, "validating"),
        (stop, "ended", False, "ended"),
    ],
)
def test_the_function_is_asked(  # noqa: PLR0913, PLR0917  one column each
    stack: Stack,
    capsys: Captured,
    command: Callable[..., int],
    kind: str,
    answered: bool,  # noqa: FBT001
    code: str,
) -> None:
    """It gets the whole id; if it changes nothing, a code and a sentence say why."""
    identity, action = IMPORTS[kind](stack), command.__name__
    done = {"resume": "resumed", "stop": "stopped"}[action]
    with served("LAMBDA", 200, json.dumps({done: answered}).encode()) as calls:
        for as_json in (False, True):
            assert command(reopened(stack), identity[:8], as_json=as_json) == int(not answered)
    path = f"/2015-03-31/functions/{stack.name}-submit_accounts/invocations"
    asked = {"importId": identity, "action": action}
    assert [(one.path, json.loads(one.body)) for one in calls] == 2 * [(path, asked)]
    text, document = capsys.readouterr().out.splitlines()
    assert text.startswith(f"a.csv is {done}. " if answered else f"a.csv was not {done}: ")
    assert text.endswith(f"email-accounts watch {identity[:8]}") == (code in {"", "running"})
    assert (json.loads(document)[done], json.loads(document)["code"]) == (answered, code)


@pytest.mark.parametrize("refused", ["", "a@n.example"])
def test_what_has_every_result_is_not_resumed(stack: Stack, capsys: Captured, refused: str) -> None:
    """Nobody gets a second message with the same content; failed rows have their own command."""
    identity = imported(stack, "a.csv", accounts_file("a@n.example"), refused=refused)
    with served("LAMBDA", 200, b'{"resumed": true}') as calls:
        assert resume(reopened(stack), identity, as_json=True) == 1
    assert calls == []
    [document] = documents(capsys.readouterr().out)
    assert document["code"] == "nothing_left"
    assert (f"email-accounts failed {identity[:8]}" in document["reason"]) == bool(refused)


def test_a_resumed_import_is_followed_by_its_new_execution(stack: Stack, capsys: Captured) -> None:
    """It runs, whatever happened to its first execution, and however long ago it was received."""
    book, machines = ledger(stack), boto3.client("stepfunctions")
    machine = stack.output("TrackImportStateMachineArn")
    identity = received(stack, "uploads/a.csv", NOW - 8 * 86_400)
    first = machines.start_execution(stateMachineArn=machine, name=identity)["executionArn"]
    machines.stop_execution(executionArn=first)
    answer(book, identity)
    history = History(stack)
    assert history.running() == []
    assert book.restart(identity, NOW, NOW + 3600)
    second = f"{identity}-2"
    machines.start_execution(stateMachineArn=machine, name=second)

    [running] = history.running()
    assert (running.id, running.executions) == (identity, [identity, second])
    show(stack, identity, as_json=True)
    [document] = documents(capsys.readouterr().out)
    assert (document["status"], document["messageSent"]) == ("running", False)
    assert document["execution"]["arn"].endswith(f":{second}")
    assert document["execution"]["status"] == "running"
    happened = [one["code"] for one in document["timeLine"]]
    assert happened.count("tracking_started") == happened.count("resumed") == 1


def test_every_task_is_in_the_time_line() -> None:
    """The state machine's names are what its history has."""
    states = state_machine()["States"].items()
    assert TASKS.keys() == {name for name, state in states if state["Type"] == "Task"}


@pytest.mark.parametrize("error", [True, False])
def test_a_function_that_fails_is_told(stack: Stack, *, error: bool) -> None:
    """A fault of the function, or an answer that is none, ends with where to look."""
    identity = received(stack, "uploads/a.csv")
    body = json.dumps({"resumed": True} if error else None).encode()
    headers = {"X_Amz_Function_Error": "Unhandled"} if error else {}
    with (
        served("LAMBDA", 200, body, **headers),
        pytest.raises(CommandError, match="aws logs tail"),
    ):
        resume(reopened(stack), identity, as_json=False)


def test_redrive_puts_a_failure_back_where_failures_go(stack: Stack, capsys: Captured) -> None:
    """An event of a broken execution is for deliver_report, not for submit_accounts."""
    queues = boto3.client("sqs")
    body = json.dumps({"source": "aws.states", "detail": {"name": "x", "status": "FAILED"}})
    queues.send_message(QueueUrl=stack.output("DeadLetterQueueUrl"), MessageBody=body)
    assert redrive(stack, as_json=False) == 0
    assert "a broken import: moved to its queue" in capsys.readouterr().out
    moved = queues.receive_message(QueueUrl=stack.output("FailureQueueUrl"))["Messages"]
    assert [letter["Body"] for letter in moved] == [body]
    assert "Messages" not in queues.receive_message(QueueUrl=stack.output("UploadQueueUrl"))


def test_redrive_moves_every_dead_letter(stack: Stack, capsys: Captured) -> None:
    """All letters are in the queue as they were, whatever they hold, and none is left behind."""
    queues = boto3.client("sqs")
    event = {"detail": {"bucket": {"name": "b"}, "object": {"key": "uploads/a.csv", "size": 1}}}
    bodies = [json.dumps(event), *map(str, range(11)), "[]"]
    for body in bodies:
        queues.send_message(QueueUrl=stack.output("DeadLetterQueueUrl"), MessageBody=body)
    assert redrive(stack, as_json=False) == 0
    printed = capsys.readouterr().out
    assert "uploads/a.csv: moved to its queue" in printed
    assert "13 dead letters moved." in printed
    moved = []
    while letters := queues.receive_message(
        QueueUrl=stack.output("UploadQueueUrl"), MaxNumberOfMessages=10
    ).get("Messages"):
        moved += [letter["Body"] for letter in letters]
    assert sorted(moved) == sorted(bodies)
    left = queues.get_queue_attributes(
        QueueUrl=stack.output("DeadLetterQueueUrl"), AttributeNames=["All"]
    )["Attributes"]
    assert left["ApproximateNumberOfMessagesNotVisible"] == "0"
    redrive(stack, as_json=True)
    assert documents(capsys.readouterr().out) == [{"moved": 0}]
