"""What an import that meets an outage ends with, and when, by the retries of the state machine."""

from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from email_accounts.models.imports import ImportState
from email_accounts.models.steps import NextAction, TaskResult
from email_accounts.models.upload import Upload
from tests.support.fakes import Killed, World, plenty
from tests.support.files import accounts_file
from tests.support.template import state_machine
from tools.docs.costs import policy

UNREACHABLE = 5.0
"""Seconds for which a client tries to reach a service."""
EVERYWHERE = range(0, 27, 3)
"""Seconds after the upload at which an outage begins; the import takes 25."""
Task = Callable[[], TaskResult]


class TooManyRequestsError(Exception):
    """Lambda does not run the function."""


NAMES = {
    TooManyRequestsError: "Lambda.TooManyRequestsException",
    Killed: "Lambda.Unknown",
    ConnectionError: "ServiceUnavailableError",
}
"""What the state machine calls an error that is not the function's own."""


@pytest.fixture
def world() -> World:
    """Give a world with the template's settings."""
    world = World()
    world.policy = policy()
    return world


def until_answered(
    world: World, runs: Callable[[Task], TaskResult] = lambda task: task()
) -> tuple[float, str]:
    """Import a file as the state machine does; return the seconds to its message, and its subject.

    `runs` runs a function: the task in it, or an outage.
    """
    began = world.clock()
    upload = world.uploads.put("uploads/accounts.csv", accounts_file("a@x.example", "b@x.example"))
    world.submitter().start_import(upload)
    ((_, _, step),) = world.executions.started.values()
    with suppress(Exception, Killed):
        runs(lambda: world.submit(upload))
    # The machine does not wait for the invocation that the upload triggered.
    world.clock.time = began
    _followed(world, step, tasks(world, upload), runs)
    assert world.ledger.get(upload.import_id).state is ImportState.NOTIFIED
    (message,) = world.notifications.messages
    return world.clock() - began, message.subject.rpartition(": ")[2]


def tasks(world: World, upload: Upload) -> dict[str, Task]:
    """Return the functions by the states that run them."""

    def delivered() -> TaskResult:
        world.deliverer().deliver(upload.import_id)
        return TaskResult(NextAction.DELIVER)

    return {
        "SubmitAccounts": lambda: world.submit(upload),
        "CheckStatus": lambda: world.poll(upload),
        "DeliverReport": delivered,
    }


def _followed(
    world: World, step: TaskResult, tasks: dict[str, Task], runs: Callable[[Task], TaskResult]
) -> None:
    definition = state_machine()
    name = definition["StartAt"]
    while True:
        state = definition["States"][name]
        if state["Type"] == "Wait":
            world.clock.advance(step.wait_seconds)
        elif state["Type"] == "Task":
            tried = Counter[int]()
            while True:
                try:
                    step = runs(tasks[name])
                except (Exception, Killed) as error:  # noqa: BLE001  what a function ends with
                    world.clock.advance(_pause(state, error, tried))
                else:
                    break
        if state.get("End"):
            return
        chosen = (one for one in state.get("Choices", ()) if f"'{step.next}'" in one["Condition"])
        name = next((one["Next"] for one in chosen), state.get("Default") or state.get("Next"))


def _pause(state: dict[str, Any], error: BaseException, tried: Counter[int]) -> float:
    """Return the seconds before a task is tried again; raise the error where it is not."""
    name = NAMES.get(type(error), type(error).__name__)
    at, retrier = next(
        (at, one)
        for at, one in enumerate(state["Retry"])
        if {name, "States.ALL"} & set(one["ErrorEquals"])
    )
    if tried[at] >= retrier["MaxAttempts"]:
        raise error
    tried[at] += 1
    grown = retrier["IntervalSeconds"] * retrier["BackoffRate"] ** (tried[at] - 1)
    return float(min(grown, retrier.get("MaxDelaySeconds", grown)))


def test_without_an_outage(world: World) -> None:
    """It is sent at once, seen complete by the first poll and verified by the second."""
    assert until_answered(world) == (25, "2 connected")


@pytest.mark.parametrize("lives", [10, plenty()], ids=["crash", "time-out"])
def test_a_file_that_kills_its_function_every_time(
    world: World, lives: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is answered within a quarter of an hour, though each kill leaves a lease."""

    def kill(*_: object) -> None:
        world.clock.advance(lives)
        raise Killed

    monkeypatch.setattr(type(world.uploads), "open", kill)
    seconds, subject = until_answered(world)
    assert subject == "not imported, unusable file"
    assert seconds <= 15 * 60


@pytest.mark.parametrize("begins", EVERYWHERE)
def test_ten_minutes_without_lambda(world: World, begins: float) -> None:
    """Every import ends as it would have, a minute and its own time after the outage at most."""
    start = world.clock() + begins

    def throttled(task: Task) -> TaskResult:
        if start <= world.clock() < start + 600:
            raise TooManyRequestsError
        return task()

    seconds, subject = until_answered(world, throttled)
    assert subject == "2 connected"
    assert seconds <= begins + 600 + 60 + 25


@pytest.mark.parametrize("begins", EVERYWHERE)
def test_a_minute_without_s3(world: World, begins: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every import ends as it would have, a minute and its own time after the outage at most."""
    start = world.clock() + begins

    def unreachable() -> None:
        if start <= world.clock() < start + 60:
            world.clock.advance(UNREACHABLE)
            raise ConnectionError

    for store, name in (
        (world.uploads, "open"),
        (world.reports, "open"),
        (world.reports, "writer"),
    ):
        real = getattr(type(store), name)

        def tried(self: object, *args: object, real: Callable[..., object] = real) -> object:
            unreachable()
            return real(self, *args)

        monkeypatch.setattr(type(store), name, tried)
    seconds, subject = until_answered(world)
    assert subject == "2 connected"
    assert seconds <= begins + 60 + 60 + 25


@pytest.mark.parametrize(
    ("port", "name", "begins"),
    [("uploads", "open", 0), ("ledger", "get", 0), ("notifications", "publish", 24)],
    ids=["S3", "DynamoDB", "SNS"],
)
def test_ten_minutes_without_a_service(
    world: World, port: str, name: str, begins: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a function raises because of AWS is no error of the function."""
    start = world.clock() + begins
    real: Callable[..., object] = getattr(type(getattr(world, port)), name)

    def tried(self: object, *args: object) -> object:
        if start <= world.clock() < start + 600:
            world.clock.advance(UNREACHABLE)
            raise ConnectionError
        return real(self, *args)

    monkeypatch.setattr(type(getattr(world, port)), name, tried)
    seconds, subject = until_answered(world)
    assert subject == "2 connected"
    assert seconds <= begins + 600 + 60 + UNREACHABLE + 25
