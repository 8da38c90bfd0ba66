"""`stop`, `resume` and `redrive`."""

import json

import boto3
import pytest

from email_accounts_cli.history import History
from email_accounts_cli.recovery import redrive, resume, stop
from email_accounts_cli.show import show
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


@pytest.mark.parametrize(
    ("answer", "exit_code", "code"),
    [
        ({"resumed": True}, 0, ""),
        ({"resumed": False}, 1, "running"),
    ],
)
def test_resume_asks_the_function(
    stack: Stack, capsys: Captured, answer: object, exit_code: int, code: str
) -> None:
    """The function gets the whole id; its answer is printed with the next command."""
    identity = received(stack, "uploads/a.csv")
    with served("LAMBDA", 200, json.dumps(answer).encode()) as calls:
        assert resume(reopened(stack), identity[:8], as_json=False) == exit_code
        assert resume(reopened(stack), identity[:8], as_json=True) == exit_code
    path = f"/2015-03-31/functions/{stack.name}-submit_accounts/invocations"
    asked = {"importId": identity, "action": "resume"}
    assert [(one.path, json.loads(one.body)) for one in calls] == 2 * [(path, asked)]
    text, document = capsys.readouterr().out.splitlines()
    assert text.endswith(f"email-accounts watch {identity[:8]}")
    assert json.loads(document)["code"] == code


@pytest.mark.parametrize(
    ("stopped", "exit_code", "code"), [(True, 0, ""), (False, 1, "validating")]
)
def test_stop_asks_the_function(
    stack: Stack, capsys: Captured, *, stopped: bool, exit_code: int, code: str
) -> None:
    """The function stops the import; why it cannot is a code and a sentence."""
    identity = received(stack, "uploads/a.csv")
    with served("LAMBDA", 200, json.dumps({"stopped": stopped}).encode()) as calls:
        assert stop(reopened(stack), identity[:8], as_json=True) == exit_code
        assert stop(reopened(stack), identity[:8], as_json=False) == exit_code
    assert [json.loads(one.body) for one in calls] == 2 * [{"importId": identity, "action": "stop"}]
    document, text = capsys.readouterr().out.splitlines()
    assert (json.loads(document)["stopped"], json.loads(document)["code"]) == (stopped, code)
    assert text.startswith("a.csv is stopped." if stopped else "a.csv was not stopped: ")


def test_an_import_that_has_ended_is_not_stopped(stack: Stack, capsys: Captured) -> None:
    """Its results are there already."""
    identity = imported(stack, "a.csv", accounts_file("a@n.example"))
    with served("LAMBDA", 200, b'{"stopped": false}'):
        assert stop(reopened(stack), identity, as_json=True) == 1
    [document] = documents(capsys.readouterr().out)
    assert document["code"] == "ended"


def test_a_refused_file_is_not_resumed(stack: Stack, capsys: Captured) -> None:
    """Where nothing was taken in there is nothing to go on with, and the reason reports it."""
    identity = received(stack, "uploads/a.csv")
    refuse(ledger(stack), identity, "It is a PDF.")
    with served("LAMBDA", 200, b'{"resumed": false}'):
        assert resume(reopened(stack), identity, as_json=True) == 1
    [document] = documents(capsys.readouterr().out)
    assert not document["resumed"]
    assert document["code"] == "file_refused"


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


def test_what_is_unconfirmed_is_resumed(stack: Stack, capsys: Captured) -> None:
    """It may be found out yet."""
    identity = imported(stack, "a.csv", accounts_file("a@n.example"), unconfirmed=True)
    with served("LAMBDA", 200, b'{"resumed": true}') as calls:
        assert resume(reopened(stack), identity, as_json=False) == 0
    assert len(calls) == 1
    assert "a.csv is resumed" in capsys.readouterr().out


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
