"""Removes one guard after the other, and shows which tests find that.

`python -m tests.property.guards [name …]` works in a copy of the project, and prints a table: after
how many runs the property machine found it, and which other test did. Guards of the ledger are
removed from the real one and from the fake.
"""

import contextlib
import io
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from hypothesis import HealthCheck, Phase
from hypothesis import settings as Settings  # noqa: N812  a class

from tests.property import test_invariants

RUNS = int(os.environ.get("PROPERTY_EXAMPLES", "600"))
NOT_FOUND = "not found"
ROOT = Path(__file__).parents[2]
PACKAGE = "layers/email_accounts/email_accounts"
SUBMITTER = f"{PACKAGE}/submission/submitter.py"
POLLER = f"{PACKAGE}/tracking/poller.py"
RECONCILER = f"{PACKAGE}/tracking/reconciler.py"
DELIVERER = f"{PACKAGE}/delivery/deliverer.py"
ACCOUNT_LIST = f"{PACKAGE}/saleshandy/account_list.py"
BUDGET = f"{PACKAGE}/saleshandy/budget.py"
IMPORTS = f"{PACKAGE}/models/imports.py"
DUE = f"{PACKAGE}/sign_in/due.py"
CHECKER = f"{PACKAGE}/sign_in/checker.py"
DYNAMO = f"{PACKAGE}/aws/dynamodb.py"
FAKES = "tests/support/fakes.py"
OTHER_TESTS = (
    *("unit/test_submitter.py", "unit/test_poller.py", "unit/test_deliverer.py"),
    *("unit/test_admission.py", "unit/test_budget.py", "unit/test_account_list.py"),
    *("contract/test_ledger.py", "contract/test_lost_answers.py"),
    "integration/test_sign_in_check.py",
)

Patch = tuple[str, str, str]
"""A file, a text that is in it once, and what replaces it."""
GUARDS: dict[str, tuple[Patch, ...]] = {
    "claim: conditional": (
        (FAKES, "is_new = import_id not in self._imports", "is_new = True"),
        (
            DYNAMO,
            'ConditionExpression="attribute_not_exists(pk)",',
            'ConditionExpression="attribute_not_exists(nothing)",',
        ),
    ),
    "start: again for an import whose first event died": (
        (
            SUBMITTER,
            "if imported.state is not ImportState.NOTIFIED:\n            self._start",
            "if is_new:\n            self._start",
        ),
    ),
    "lease: one at a time": (
        (FAKES, "if imported is None or imported.lease_until > now:", "if imported is None:"),
        (
            DYNAMO,
            '"lease_until <= :now AND #state IN (:received, :planned)"',
            '":now = :now AND #state IN (:received, :planned)"',
        ),
    ),
    "lease: longer than the invocation": (
        (IMPORTS, "LEASE_MARGIN = 30.0", "LEASE_MARGIN = -270.0"),
    ),
    "lease: given back by its owner": (
        (
            FAKES,
            'if self._leases.get(import_id) == lease:\n            self.journal.effect("release"',
            'if import_id in self._imports:\n            self.journal.effect("release"',
        ),
        (
            DYNAMO,
            'change, "lease_token = :lease", {"lease": lease})',
            'change, "attribute_exists(lease_token)", {})',
        ),
    ),
    "lease: plan and refusal by its owner": (
        (
            FAKES,
            "if self._leases.get(import_id) != lease:\n            raise",
            "if False:\n            raise",
        ),
        (
            DYNAMO,
            '"#state = :received AND lease_token = :lease",\n            {"received": ImportState.RECEIVED, "lease": lease},',
            '"#state = :received",\n            {"received": ImportState.RECEIVED},',
        ),
    ),
    "attempts: counted before the file is read": (
        (FAKES, "attempts = imported.attempts + 1", "attempts = imported.attempts"),
        (DYNAMO, 'add={"attempts": 1},', ""),
    ),
    "batch: revision": (
        (
            FAKES,
            "(found.state, found.revision) != (seen.state, seen.revision)",
            "found.state != seen.state",
        ),
        (
            DYNAMO,
            """            + ("#revision = :revision" if seen.revision else "attribute_not_exists(#revision)"),
            {"seen": seen.state} | ({"revision": seen.revision} if seen.revision else {}),""",
            """            + "attribute_exists(pk)",
            {"seen": seen.state},""",
        ),
    ),
    "batch: state": (
        (
            FAKES,
            "if not found or (found.state, found.revision) != (seen.state, seen.revision):",
            "if not found:",
        ),
        (
            DYNAMO,
            """            "#state = :seen AND "
            + ("#revision = :revision" if seen.revision else "attribute_not_exists(#revision)"),
            {"seen": seen.state} | ({"revision": seen.revision} if seen.revision else {}),""",
            """            "attribute_exists(pk)",
            {},""",
        ),
    ),
    "intent: before the request": (
        (
            SUBMITTER,
            """        batch = self.ledger.save(
            imported.id, batch, batch.sending(self.now(), reconciliation=bool(observed))
        )
        try:""",
            """        planned, batch = batch, batch.sending(self.now(), reconciliation=bool(observed))
        try:""",
        ),
        (
            SUBMITTER,
            "            self.ledger.save(imported.id, batch, batch.withdrawn())\n            raise",
            "            raise",
        ),
        (
            SUBMITTER,
            "            self._unconfirmed(imported, batch, str(error))\n",
            "            batch = self.ledger.save(imported.id, planned, batch)\n"
            "            self._unconfirmed(imported, batch, str(error))\n",
        ),
        (
            SUBMITTER,
            "            self.ledger.save(imported.id, batch, batch.refused",
            "            batch = self.ledger.save(imported.id, planned, batch)\n"
            "            self.ledger.save(imported.id, batch, batch.refused",
        ),
        (
            SUBMITTER,
            "        now = self.now()\n        next_poll_at = now + self.policy.initial_poll_delay\n"
            "        self.ledger.save",
            "        batch = self.ledger.save(imported.id, planned, batch)\n"
            "        now = self.now()\n        next_poll_at = now + self.policy.initial_poll_delay\n"
            "        self.ledger.save",
        ),
    ),
    "request id: before the rate limit is noted": (
        (
            SUBMITTER,
            "        now = self.now()\n        next_poll_at = now + self.policy.initial_poll_delay\n"
            "        self.ledger.save(imported.id, batch, batch.submitted(request_id, now, next_poll_at))\n"
            "        saleshandy.respect_limit()\n",
            "        now = self.now()\n        next_poll_at = now + self.policy.initial_poll_delay\n"
            "        saleshandy.respect_limit()\n"
            "        self.ledger.save(imported.id, batch, batch.submitted(request_id, now, next_poll_at))\n",
        ),
    ),
    "resend: never while the answer is lost": (
        (
            SUBMITTER,
            "                self._unconfirmed(imported, batch, ANSWER_LOST)\n            count += batch",
            "                self.ledger.save(imported.id, batch, batch.withdrawn())\n            count += batch",
        ),
    ),
    "resend: after the grace period": (
        (
            RECONCILER,
            "return batch.next_poll_at >= began + self.policy.grace",
            "return batch.next_poll_at >= began",
        ),
    ),
    "resend: only what the list shows to be absent": (
        (RECONCILER, "if _never_arrived(sent):", "if sent:"),
    ),
    "resend: only if a search shows the same": (
        (
            ACCOUNT_LIST,
            "return index.complete_at < moment or (can.search and address in lost)",
            "return index.complete_at < moment",
        ),
    ),
    "account list: read to its end": (
        (ACCOUNT_LIST, "absent = can.page and any(", "absent = can.page and not any("),
    ),
    "settle seconds": ((POLLER, "next_poll_at = now + self.policy.settle", "next_poll_at = now"),),
    "poll: not while somebody submits": (
        (POLLER, "self.planned > 0 and not self.submitting and", "self.planned > 0 and"),
        (POLLER, "        leased = imported.lease_until > now\n", "        leased = False\n"),
    ),
    "poll: batches are read before the lease": (
        (
            POLLER,
            "        batches = list(self.ledger.batches(import_id))\n"
            "        imported = self.ledger.get(import_id)\n",
            "        imported = self.ledger.get(import_id)\n"
            "        batches = list(self.ledger.batches(import_id))\n",
        ),
    ),
    "delivery: not while somebody submits": (
        (POLLER, "            if leased_for > 0:", "            if leased_for > 1e9:"),
        (
            FAKES,
            "found.state is ImportState.NOTIFIED or found.lease_until > now:",
            "found.state is ImportState.NOTIFIED:",
        ),
        (
            DYNAMO,
            '"lease_until <= :now AND #state <> :notified AND began_at = :seen"',
            '":now = :now AND #state <> :notified AND began_at = :seen"',
        ),
    ),
    "delivery: once": (
        (DELIVERER, "if is_over or imported.state is ImportState.NOTIFIED:", "if is_over:"),
        (
            FAKES,
            "if not found or found.state is ImportState.NOTIFIED or found",
            "if not found or found",
        ),
        (
            DYNAMO,
            '"lease_until <= :now AND #state <> :notified AND began_at = :seen"',
            '"lease_until <= :now AND :notified = :notified AND began_at = :seen"',
        ),
    ),
    "delivery: by the current execution": (
        (
            DELIVERER,
            'is_over = execution not in ("", imported.execution)',
            "is_over = execution is None",
        ),
    ),
    "delivery: of the run that was read": (
        (FAKES, "if found.began_at != imported.began_at:\n            return None", "_ = found"),
        (
            DYNAMO,
            '"lease_until <= :now AND #state <> :notified AND began_at = :seen"',
            '"lease_until <= :now AND #state <> :notified AND :seen = :seen"',
        ),
    ),
    "notified: by its deliverer": (
        (FAKES, "if self._leases[import_id] != lease:\n            return False", "_ = lease"),
        (
            DYNAMO,
            '"#state = :delivering AND lease_token = :lease"',
            '"#state = :delivering AND :lease = :lease"',
        ),
    ),
    "notified: of an import that is delivered": (
        (
            FAKES,
            "if not found or found.state is not ImportState.DELIVERING:\n            return False",
            "if not found:\n            return False",
        ),
        (
            DYNAMO,
            '"#state = :delivering AND lease_token = :lease"',
            '":delivering = :delivering AND lease_token = :lease"',
        ),
    ),
    "stop: of the run that was read": (
        (
            FAKES,
            "(found.state, found.began_at) != (ImportState.PLANNED, imported.began_at)",
            "found.state is not ImportState.PLANNED",
        ),
        (
            DYNAMO,
            '"#state = :planned AND began_at = :seen"',
            '"#state = :planned AND :seen = :seen"',
        ),
    ),
    "budget: counted": (
        (BUDGET, "room = calls_per_minute - sum(", "room = 1 + calls_per_minute - sum("),
    ),
    "sign-in: noted before the first attempt": (
        (CHECKER, "batch = self.ledger.save(imported.id, batch, batch.trying())\n", "pass\n"),
    ),
    "sign-in: once": ((DUE, "and not batch.sign_in\n", ""),),
    "sign-in: a failing check is skipped": (
        (SUBMITTER, "if not skip_sign_in and self._is_sign_in_due", "if self._is_sign_in_due"),
    ),
}


@dataclass(frozen=True, slots=True)
class Found:
    """What a run of tests said."""

    found: bool
    by: str


def main(*names: str) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder)
        _copy(copy)
        print(f"| guard removed | property machine, {RUNS} runs | other tests |\n|---|---|---|")
        for name, patches in GUARDS.items():
            if names and not any(wanted in name for wanted in names):
                continue
            with removed(copy, patches):
                machine, others = _machine(copy), _others(copy)
            print(f"| {name} | {machine} | {others} |", flush=True)


def patched(text: str, old: str, new: str) -> str:
    """Replace a text that must be there once."""
    if text.count(old) != 1:
        raise ValueError(f"there {text.count(old)} times, not once: {old}")
    return text.replace(old, new)


@contextlib.contextmanager
def removed(copy: Path, patches: tuple[Patch, ...]) -> Iterator[None]:
    """Remove a guard from the copy for as long as the block runs."""
    before = {name: (copy / name).read_text() for name, *_ in patches}
    try:
        for name, old, new in patches:
            (copy / name).write_text(patched((copy / name).read_text(), old, new))
        yield
    finally:
        for name, text in before.items():
            (copy / name).write_text(text)


def _copy(copy: Path) -> None:
    listed = subprocess.run(
        ["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    for name in listed.stdout.splitlines():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, copy / name)


def _run(copy: Path, *command: str) -> str:
    paths = os.pathsep.join(str(copy / one) for one in (".", "layers/email_accounts", "cli"))
    environment = os.environ | {"PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"}
    run = subprocess.run(
        [sys.executable, *command],
        cwd=copy,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    return run.stdout


def _machine(copy: Path) -> str:
    said = _run(copy, "-m", "tests.property.guards", "--machine").strip().splitlines()
    if said and said[-1] != NOT_FOUND:
        return said[-1]
    places = _run(
        copy, "-m", "pytest", "-qx", "tests/property/test_invariants.py", "-k", "wherever"
    )
    return _failed(places)


def _others(copy: Path) -> str:
    return _failed(_run(copy, "-m", "pytest", "-qx", *(f"tests/{one}" for one in OTHER_TESTS)))


def _failed(said: str) -> str:
    failed = re.search(r"^(?:FAILED|ERROR) \S*?(\w+)(?:\[.*)?(?: - .*)?$", said, re.MULTILINE)
    return f"`{failed[1]}`" if failed else NOT_FOUND


def run_until_found() -> None:
    """Run the property machine until it finds something, and say what."""
    logging.disable()
    machine = test_invariants.ImporterUnderFaults
    check, runs = machine.teardown, 0

    def counted(self: test_invariants.ImporterUnderFaults) -> None:
        nonlocal runs
        runs += 1
        check(self)

    machine.teardown = counted  # type: ignore[method-assign]
    chosen = Settings(
        test_invariants.RUNS, phases=[Phase.generate], suppress_health_check=list(HealthCheck)
    )
    found = NOT_FOUND
    with contextlib.redirect_stdout(io.StringIO()):
        for number in range(RUNS // chosen.max_examples):
            try:
                test_invariants.run_machine(number, chosen)
            except BaseException as error:  # noqa: BLE001  whatever was found
                found = (
                    f"after {runs} runs: {type(error).__name__} {str(error).partition(chr(10))[0]}"
                )
                break
    print(found)


if __name__ == "__main__":
    if sys.argv[1:] == ["--machine"]:
        run_until_found()
    else:
        main(*sys.argv[1:])
