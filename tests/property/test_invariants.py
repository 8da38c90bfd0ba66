"""The importer under faults: what was promised holds, whatever happens."""

import os
from collections import deque
from itertools import count

import pytest

from email_accounts.models.policy import SignInCheck
from email_accounts.models.steps import NextAction
from tests.property.machine import RUNS, ImporterUnderFaults, Others, next_task, run_machine

EXAMPLES = int(os.environ.get("PROPERTY_EXAMPLES", "150"))
"""More of them find more; a long run is for changes of what this holds."""


@pytest.mark.parametrize("number", range(EXAMPLES // RUNS.max_examples))
def test_the_importer_under_faults(number: int) -> None:
    """Everything that was promised holds, whatever happens."""
    run_machine(number)


def _begun(calls: int, sign_in_check: SignInCheck) -> ImporterUnderFaults:
    """Return a machine in which one file was dropped."""
    machine = ImporterUnderFaults()
    machine.begin(
        calls,
        0.0,
        ["good", "failing", "good", "good", "good"],
        skip_connected=False,
        verify_connected=False,
        page_size=1,
        has_times=True,
        ignores=frozenset(),
        sign_in_check=sign_in_check,
    )
    return machine


@pytest.mark.parametrize("what", ["due", "failure", "same", "resume"])
@pytest.mark.parametrize(
    ("connect", "calls", "sign_in_check"),
    [
        ("ok", 1000, SignInCheck.OFF),
        ("lost after", 1000, SignInCheck.OFF),
        ("ok", 2, SignInCheck.OFF),
        ("ok", 1000, SignInCheck.STRICT),
    ],
)
@pytest.mark.parametrize("nth", range(4))
def test_wherever_two_meet(
    what: str, connect: str, calls: int, sign_in_check: SignInCheck, nth: int
) -> None:
    """Every place of every invocation of one import is one where others may run."""
    for place in count():
        machine = _begun(calls, sign_in_check)
        machine.saleshandy.faults = {"connect": deque([connect])}
        for number in range(nth + 1):
            if not machine.tasks:
                return
            task = next_task(machine)
            if number == nth:
                machine.interrupt(place, Others(what, 2, ("lost after",)))
            machine._run(task)  # noqa: SLF001  as the machine's own rules do
        is_over = machine.journal.pause is not None
        machine.journal.pause = None
        machine.teardown()
        if is_over:
            return


@pytest.mark.parametrize("fault", ["is killed", "fails", "raises", "hangs"])
@pytest.mark.parametrize("sign_in_check", [SignInCheck.WARN, SignInCheck.STRICT])
def test_wherever_a_sign_in_check_ends(sign_in_check: SignInCheck, fault: str) -> None:
    """However often it ends there, the import goes on, and nobody is tried twice."""
    for place in count():
        machine = _begun(1000, sign_in_check)
        machine.journal.fails = fault == "fails"
        while machine.tasks:
            task = next_task(machine)
            lives = None
            if task.action is NextAction.SIGN_IN:
                machine.saleshandy.faults["sign in"] = deque([*["ok"] * place, fault])
                if fault in {"is killed", "fails"}:
                    machine.saleshandy.faults = {}
                    lives = place
            machine._run(task, lives)  # noqa: SLF001  as the machine's own rules do
        machine.teardown()
        if not machine.kills:
            return
