"""A machine that runs the importer under faults: nothing is lost, nothing is sent twice.

Files are dropped, resumed, aborted and deleted, Saleshandy fails in every way it can, mail servers
hang, and each invocation may be killed before any of its effects. In the end, once the faults are
over, every upload must have its answer, and what was answered must be true.
"""

import csv
import io
import json
import math
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from itertools import count

from hypothesis import Phase, currently_in_test_context, event, seed
from hypothesis import settings as Settings  # noqa: N812  a class
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from email_accounts.errors import (
    ApiKeyRefusedError,
    ImportLockedError,
    LedgerConflictError,
    NotSentError,
    OutcomeUnknownError,
    ReportUnavailableError,
    RequestNotFoundError,
    RequestRefusedError,
    ThrottledError,
)
from email_accounts.models.account import Account
from email_accounts.models.imports import OUTCOME_NAME, Batch, BatchState, ImportState
from email_accounts.models.messages import IMPORT_COMPLETED
from email_accounts.models.policy import SignInCheck
from email_accounts.models.service import AccountStatus, ListedAccount, ListQuery, RequestStatus
from email_accounts.models.steps import NextAction, TaskResult
from email_accounts.models.upload import Upload
from email_accounts.sign_in.findings import REFUSED_BY_SMTP, Finding, MailboxFindings, Verdict
from tests.support.fakes import FakeLedger, FakeRemote, Journal, Killed, World
from tests.support.files import accounts_file, small_tables

RUNS = Settings(
    max_examples=10,
    stateful_step_count=40,
    deadline=None,
    database=None,
    phases=[Phase.generate],
)
"""After ten runs Hypothesis mostly varies those that it has: others find more.

A failure is reported as it was found: making it smaller and explaining it take many minutes.
"""
ATTEMPTS = 25
HIDDEN = 360.0
TRIES = 3
INVOCATION = 300.0
SIGN_IN_INVOCATION = 900.0
SERVICE_TAKES = 400.0
MINUTE = 60.0
MEANWHILE = 4.0
"""Seconds that others take in the middle of an invocation: a call may reach Saleshandy so late."""
LIST_LAGS = 10.0
"""Seconds for which the list may show an account as active that is not, after its report."""
ROWS = ("good", "good", "good", "failing", "rejected", "duplicate")
FILES = st.lists(st.sampled_from(ROWS), min_size=1, max_size=7)

CONNECT_FAULTS = (
    *("ok", "ok", "throttled", "not sent", "lost before", "lost after", "killed after"),
    *("refused", "closing", "bad key"),
)
STATUS_FAULTS = (
    *("ok", "ok", "throttled", "lost", "not found", "running", "refused", "closing"),
    *("strange link", "no link"),
)
LIST_FAULTS = ("ok", "ok", "throttled", "lost", "not sent", "refused", "closing")
REPORT_FAULTS = ("ok", "unavailable")
SIGN_IN_FAULTS = ("ok", "ok", "ok", "raises", "hangs")
OUTSIDE_THE_LEDGER = {
    *("connect", "status", "list", "fetch", "report", "delete"),
    *("start", "put", "publish", "sign in"),
}
_BEFORE_THE_END = {NextAction.SUBMIT, NextAction.SIGN_IN}


class FailedError(Exception):
    """A call of AWS failed: its answer was lost, however often it was repeated."""


class DeadlyJournal(Journal):
    """Kills an invocation before its nth effect, and lets nothing happen after that.

    Or a call fails there, and the invocation may clear up: what it did before is done. Or it lets
    something else happen in the middle: before the nth call of the ledger, or effect outside it.
    """

    def __init__(self) -> None:
        """Kill nobody."""
        super().__init__()
        self.lives: int | None = None
        self.fails = False
        self.killed_at: list[str] = []
        self.pause: tuple[int, Callable[[], None]] | None = None

    def effect(self, name: str, about: object) -> None:
        """Write down an effect, unless the invocation dies before it."""
        if self.lives == 0:
            self.killed_at.append(name)
            if self.fails:
                self.lives = None
                raise FailedError(name)
            raise Killed
        if self.lives:
            self.lives -= 1
        if name in OUTSIDE_THE_LEDGER:
            self.between()
        super().effect(name, about)

    def between(self) -> None:
        """Let something else happen here, if this is the place."""
        if self.pause:
            calls, meanwhile = self.pause
            self.pause = (calls - 1, meanwhile) if calls else None
            if not calls:
                meanwhile()


class SharedLedger(FakeLedger):
    """A ledger in which others may change anything between two calls of an invocation."""

    def __getattribute__(self, name: str) -> object:
        """Let them do so before a call."""
        found = super().__getattribute__(name)
        if callable(found) and name[0] != "_":
            self.journal.between()  # type: ignore[attr-defined]
        return found

    def save(self, import_id: str, seen: Batch, changed: Batch) -> Batch:
        """See that a batch being sent is nobody else's, so that its request id is remembered.

        Two may find that its sender died: the later one changes nothing.
        """
        try:
            return super().save(import_id, seen, changed)
        except LedgerConflictError:
            is_of_sender = changed.state is not BatchState.UNCONFIRMED
            assert not (seen.state is BatchState.SENDING and is_of_sender), "a batch was taken"
            raise


@dataclass(slots=True)
class FaultyRemote(FakeRemote):
    """A remote with a queue of faults for each kind of call."""

    faults: dict[str, deque[str]] = field(default_factory=dict)
    takes: float = 0.0
    has_times: bool = True
    is_verified: bool = False
    called_at: list[float] = field(default_factory=list)
    carried_out: Counter[str] = field(default_factory=Counter)
    began: dict[str, float] = field(default_factory=dict)
    reported_at: dict[str, float] = field(default_factory=dict)

    def connect(self, accounts: Sequence[Account]) -> str:
        """Take accounts, or fail before, after, or instead."""
        addresses = tuple(account.smtp.address.lower() for account in accounts)
        self.journal.effect("connect", addresses)
        fault = self._fault("connect")
        if fault == "lost before":
            raise OutcomeUnknownError(fault)
        if fault == "refused":
            raise RequestRefusedError(fault)
        request_id = f"request-{len(self.requests) + 1}"
        self.began[request_id] = self.clock()
        self.carried_out.update(addresses)
        self.carry_out(request_id, addresses)
        if fault == "lost after":
            raise OutcomeUnknownError(fault)
        if fault == "killed after":
            self.journal.lives = 0  # type: ignore[attr-defined]
            self.journal.effect("answer of connect", addresses)
        return request_id

    def status(self, request_id: str) -> RequestStatus:
        """Show a request, or fail."""
        self.journal.effect("status", request_id)
        fault = self._fault("status")
        if fault == "not found":
            raise RequestNotFoundError(fault)
        if fault == "refused":
            raise RequestRefusedError(fault)
        if fault == "running" or self.clock() < self.began[request_id] + self.takes:
            return RequestStatus(completed=False)
        for address in self.requests[request_id]:
            self.reported_at.setdefault(address, self.clock())
        link = None if fault == "strange link" else self._link(request_id)
        if fault == "no link" and self.is_verified:
            link = ""
        return RequestStatus(completed=True, report_link=link)

    def report(self, link: str) -> AbstractContextManager[Iterator[bytes]]:
        """Serve a report, or do not."""
        if self.fault_of("report") == "unavailable":
            raise ReportUnavailableError("the link has expired")
        return FakeRemote.report(self, link)

    def listed(self, query: ListQuery) -> list[ListedAccount]:
        """Show a page of the accounts whose requests the service is done with, or fail."""
        self.journal.effect("list", query)
        if self._fault("list") == "refused":
            raise RequestRefusedError("refused")
        done = [one for one in self.accounts if (one.created_at or 0) + self.takes <= self.clock()]
        if not self.has_times:
            done = [replace(one, created_at=None) for one in done]
        return self.page_of([self._lagging(one) for one in done], query)

    def _lagging(self, account: ListedAccount) -> ListedAccount:
        is_late = self.clock() < self.reported_at.get(account.address, 0.0) + LIST_LAGS
        return replace(account, status=AccountStatus.ACTIVE) if is_late else account

    def _fault(self, kind: str) -> str:
        """Let a call take its time and count; raise what all kinds of calls have in common."""
        self.closed = 0.0
        fault = self.fault_of(kind)
        self.clock.advance(0.1)
        if fault == "not sent":
            raise NotSentError(fault)
        self.called_at.append(self.clock())
        if fault == "throttled":
            raise ThrottledError(7.0)
        if fault == "bad key":
            raise ApiKeyRefusedError(fault)
        if fault == "lost":
            raise OutcomeUnknownError(fault)
        if fault == "closing":
            self.closed = 20.0
        return fault

    def fault_of(self, kind: str) -> str:
        """Take the next fault of a kind of call."""
        queue = self.faults.get(kind)
        return queue.popleft() if queue else "ok"


@dataclass(slots=True)
class Task:
    """Something the platform has yet to run: an event, a step of an execution, or a failure.

    Events of one `message` are copies of it: the queue may deliver it twice, and once one of them
    was handled there is none any more.
    """

    kind: str
    at: float
    import_id: str
    run: Callable[[], TaskResult | None]
    execution: str = ""
    tries: int = 0
    message: int = 0
    aborted: bool = False
    action: NextAction | None = None


@dataclass(frozen=True, slots=True)
class Others:
    """What happens in the middle of an invocation: so many tasks, the newest that are due.

    Before them its execution may be stopped, or its own task begun once more; after them its
    import may be resumed.
    """

    what: str = "due"
    tasks: int = 1
    connect: tuple[str, ...] = ()


OTHERS = st.builds(
    Others,
    st.sampled_from(["due", "failure", "same", "resume"]),
    st.integers(1, 4),
    st.sampled_from([(), ("lost after",)]),
)


class ImporterUnderFaults(RuleBasedStateMachine):
    """Queue, state machine and failure queue around the use-cases."""

    def __init__(self) -> None:
        """Begin with nothing dropped."""
        super().__init__()
        self.journal = DeadlyJournal()
        self.world = World(self.journal)
        self.world.ledger = SharedLedger(self.journal)
        self.world.account_list = replace(self.world.account_list, ledger=self.world.ledger)
        self.saleshandy = FaultyRemote(self.journal, self.world.clock)
        self.world.saleshandy = self.saleshandy
        self.tasks: list[Task] = []
        self.dropped: dict[str, tuple[Upload, list[str]]] = {}
        self.deleted: set[str] = set()
        self.answers_due: Counter[str] = Counter()
        self.taken_over: Counter[str] = Counter()
        self.counted: set[str] = set()
        self.lost_in_between: Counter[str] = Counter()
        self.done_without: Counter[tuple[str, str]] = Counter()
        self.followed: set[str] = set()
        self.failed: list[str] = []
        self.unchecked: set[str] = set()
        self.tried: set[tuple[str, str]] = set()
        self.handled: set[int] = set()
        self.running: Task | None = None
        self.kills = 0
        self.numbers = count(1)

    @initialize(
        calls_per_minute=st.sampled_from([1, 4, 1000]),
        takes=st.sampled_from([0.0, 40.0, SERVICE_TAKES]),
        skip_connected=st.booleans(),
        verify_connected=st.booleans(),
        page_size=st.sampled_from([1, 3, 100]),
        has_times=st.booleans(),
        ignores=st.frozensets(st.sampled_from(["page", "sort", "status", "search"])),
        sign_in_check=st.sampled_from(SignInCheck),
        kinds=FILES,
    )
    def begin(  # noqa: PLR0913  what a world may be like
        self,
        calls_per_minute: int,
        takes: float,
        kinds: list[str],
        *,
        skip_connected: bool,
        verify_connected: bool,
        page_size: int,
        has_times: bool,
        ignores: frozenset[str],
        sign_in_check: SignInCheck,
    ) -> None:
        """Set up the world, and drop a first file."""
        self.world.policy = replace(
            self.world.policy,
            calls_per_minute=calls_per_minute,
            skip_connected=skip_connected,
            verify_connected=verify_connected,
            deadline=86_400.0,
            initial_poll_delay=3.0,
            sign_in_check=sign_in_check,
        )
        self.saleshandy.takes = takes
        self.saleshandy.page_size = page_size
        self.saleshandy.has_times = has_times
        self.saleshandy.is_verified = verify_connected
        self.saleshandy.ignores = ignores
        self._drop(kinds)

    # What people do

    @precondition(lambda self: len(self.dropped) < 4)
    @rule(kinds=FILES)
    def drop(self, kinds: list[str]) -> None:
        """Drop another file of some rows."""
        self._drop(kinds)

    def _drop(self, kinds: list[str]) -> None:
        number = next(self.numbers)
        addresses: list[str] = []
        for at, kind in enumerate(kinds):
            address = f"a{at}.f{number}@x.example"
            if kind == "failing":
                self.saleshandy.failing[address] = "Sign-in refused"
            addresses.append(
                {"rejected": f"{number} is no address"}.get(kind)
                or (addresses[0] if kind == "duplicate" and addresses else address)
            )
        upload = self.world.uploads.put(f"uploads/{number}.csv", accounts_file(*addresses))
        self.dropped[upload.import_id] = (upload, addresses)
        self.answers_due[upload.import_id] = 1
        self._event(upload, next(self.numbers))

    @precondition(lambda self: self.dropped)
    @rule(data=st.data())
    def event_again(self, data: st.DataObject) -> None:
        """Have an upload told of once more."""
        import_id = data.draw(st.sampled_from(sorted(self.dropped)))
        self._event(self.dropped[import_id][0], next(self.numbers))

    @precondition(lambda self: any(task.kind == "event" for task in self.tasks))
    @rule(data=st.data())
    def copy(self, data: st.DataObject) -> None:
        """Deliver one message twice."""
        events = [task for task in self.tasks if task.kind == "event"]
        task = data.draw(st.sampled_from(events))
        self.tasks.append(replace(task))

    @precondition(lambda self: self.dropped)
    @rule(data=st.data(), lives=st.none() | st.integers(0, 4))
    def resume(self, data: st.DataObject, lives: int | None) -> None:
        """Resume an import with an answer, or whose deliverer died; again where that is killed."""
        self._resume(data.draw(st.sampled_from(sorted(self.dropped))), lives)

    def _resume(self, import_id: str, lives: int | None = None) -> None:
        if import_id not in self.world.ledger._imports:  # noqa: SLF001  there is no other way to ask
            return
        before = self.world.ledger.get(import_id)
        self.journal.lives = lives
        try:
            self.world.submitter().restart(import_id)
        except Killed:
            self.kills += 1
            self.journal.lives = None
            self.world.submitter().restart(import_id)
        self.journal.lives = None
        again = self.world.ledger.get(import_id).resumed - before.resumed
        self.answers_due[import_id] += again
        if before.state is ImportState.DELIVERING:
            self.taken_over[import_id] += again
        self._follow()

    @precondition(lambda self: any(task.kind == "step" for task in self.tasks))
    @rule(data=st.data())
    def abort(self, data: st.DataObject) -> None:
        """Stop an execution by hand."""
        steps = [task for task in self.tasks if task.kind == "step"]
        task = data.draw(st.sampled_from(steps))
        self.tasks.remove(task)
        self._failed(task.execution)

    @precondition(lambda self: self.failed)
    @rule(data=st.data())
    def failure_again(self, data: st.DataObject) -> None:
        """Have a failure told of late, or once more: its import may have been resumed since."""
        self._failed(data.draw(st.sampled_from(self.failed)))

    @precondition(lambda self: self.dropped)
    @rule(data=st.data())
    def delete(self, data: st.DataObject) -> None:
        """Delete an upload for good."""
        import_id = data.draw(st.sampled_from(sorted(self.dropped)))
        self.deleted.add(import_id)
        self.world.uploads.delete_version(self.dropped[import_id][0])

    # What the platform does

    @precondition(lambda self: self.tasks)
    @rule(
        data=st.data(),
        connect=st.lists(st.sampled_from(CONNECT_FAULTS), max_size=3),
        status=st.lists(st.sampled_from(STATUS_FAULTS), max_size=3),
        listed=st.lists(st.sampled_from(LIST_FAULTS), max_size=2),
        report=st.lists(st.sampled_from(REPORT_FAULTS), max_size=2),
        sign_in=st.lists(st.sampled_from(SIGN_IN_FAULTS), max_size=6),
        lives=st.none() | st.integers(0, 6) | st.integers(0, 25),
        fails=st.booleans(),
        result_lost=st.sampled_from([*[False] * 7, True]),
        pause=st.none() | st.integers(0, 15),
        others=OTHERS,
        late=st.sampled_from([0.0, 1.0, 100.0, 4000.0]),
    )
    def run_with_faults(  # noqa: PLR0913, PLR0917  one for each kind of fault
        self,
        data: st.DataObject,
        connect: list[str],
        status: list[str],
        listed: list[str],
        report: list[str],
        sign_in: list[str],
        lives: int | None,
        late: float,
        pause: int | None,
        others: Others,
        *,
        fails: bool,
        result_lost: bool,
    ) -> None:
        """Run what is waiting, in any order, among faults; at most four are killed."""
        task = data.draw(st.sampled_from(self.tasks))
        if self.kills >= 4:
            lives, result_lost, sign_in = None, False, []
            connect = [fault for fault in connect if fault != "killed after"]
        self.saleshandy.faults = {
            "connect": deque(connect),
            "status": deque(status),
            "list": deque(listed),
            "report": deque(report),
            "sign in": deque(sign_in),
        }
        self.world.clock.time = max(self.world.clock.time, task.at) + late
        if pause is not None:
            self.interrupt(pause, others)
        self.journal.fails = fails
        self._run(task, lives, result_lost=result_lost)
        self.journal.pause = None
        self.journal.fails = False

    @precondition(lambda self: self.tasks)
    @rule(
        data=st.data(),
        connect=st.lists(st.sampled_from(["ok", "lost before", "lost after"]), max_size=2),
        pause=st.integers(0, 15),
        others=OTHERS,
        late=st.sampled_from([0.0, 1.0, 1000.0]),
    )
    def run_beside_others(
        self, data: st.DataObject, connect: list[str], pause: int, others: Others, late: float
    ) -> None:
        """Run what is waiting, and others in its middle."""
        task = data.draw(st.sampled_from(self.tasks))
        self.saleshandy.faults = {"connect": deque(connect)}
        self.world.clock.time = max(self.world.clock.time, task.at) + late
        self.interrupt(pause, others)
        self._run(task)
        self.journal.pause = None

    @precondition(lambda self: self.tasks)
    @rule(tasks=st.integers(1, 8))
    def run_on(self, tasks: int) -> None:
        """Run so many tasks as they are due, and let nothing fail."""
        self.saleshandy.faults = {}
        for _ in range(tasks):
            if not self.tasks:
                return
            self._run(next_task(self))

    def teardown(self) -> None:
        """Let everything come to its end, then check what was promised."""
        for _ in range(5000):
            if not self.tasks:
                break
            self.run_on(1)
        assert not self.tasks, "it never ends"
        self._check_answers()
        self._check_nothing_twice()
        self._check_budget()

    # The platform

    def interrupt(self, calls: int, others: Others) -> None:
        """Have others run in the middle of the next invocation, after so many of its calls."""
        self.journal.pause = (calls, lambda: self._meanwhile(others))

    def _meanwhile(self, others: Others) -> None:
        """Run what else is due in the middle of an invocation, each from its beginning to its end.

        It may be the failure of the very execution that called it and was stopped by hand, or the
        same task once more: the execution was told of an error while the invocation continues. What
        comes of that may be due as well.
        """
        self._follow()
        self.world.clock.advance(MEANWHILE)
        running, faults, lives = self.running, self.saleshandy.faults, self.journal.lives
        self.journal.lives = None
        if running and running.kind == "step" and not running.aborted:
            if others.what == "failure":
                running.aborted = True
                self._failed(running.execution)
            elif others.what == "same":
                self.tasks.append(replace(running))
                running.aborted = True
        for _ in range(others.tasks):
            due = [task for task in self.tasks if task.at <= self.world.clock()]
            if due:
                self.saleshandy.faults = {"connect": deque(others.connect)}
                self._run(due[-1])
        if running and others.what == "resume":
            self._resume(running.import_id)
        self.saleshandy.faults, self.journal.lives = faults, lives

    def _event(self, upload: Upload, message: int) -> None:
        def run() -> None:
            self.world.receive(upload, self._time_left(INVOCATION))

        at = self.world.clock()
        self.tasks.append(Task("event", at, upload.import_id, run, message=message))

    def _time_left(self, seconds: float) -> Callable[[], float]:
        until = self.world.clock() + seconds
        return lambda: until - self.world.clock()

    def _run(self, task: Task, lives: int | None = None, *, result_lost: bool = False) -> None:
        self.tasks.remove(task)
        self.running, caller = task, self.running
        messages = len(self.world.notifications.messages)
        failed = len(self.journal.killed_at)
        self.journal.lives = lives
        try:
            following = task.run()
            for name in self.journal.killed_at[failed:]:
                self._did_without(task, name)
            if result_lost:
                self.journal.lives = 0
                self.journal.effect("result", task.kind)
            if task.message:
                self.handled.add(task.message)
                self.tasks = [one for one in self.tasks if one.message != task.message]
            if following and not task.aborted:
                self._step(task.execution, task.import_id, following)
        except LedgerConflictError:
            _note("conflict")
            self._again(task)
        except (Killed, FailedError):
            self.kills += 1
            _note(f"killed before: {self.journal.killed_at[-1:]}")
            told = len(self.world.notifications.messages) > messages
            if told and self.journal.killed_at[-1] == "notified":
                self.lost_in_between[task.import_id] += 1
            self._again(task)
        except ImportLockedError:
            task.at = self.world.clock() + (30.0 if task.kind == "step" else HIDDEN)
            if not task.aborted:
                self.tasks.append(task)
        finally:
            self.journal.lives = None
            self.running = caller
        self._follow()

    def _did_without(self, task: Task, name: str) -> None:
        """See that an invocation survives a failed call only where its answer goes before all."""
        is_before_the_end = task.kind == "event" or task.action in _BEFORE_THE_END
        if is_before_the_end and name == "put":
            return  # an event that no import waits for
        at_best_effort = task.kind == "failure" and name in {"report", "put"}
        assert at_best_effort or name == "notified", f"{task.kind} hides a failure of {name}"
        self.done_without[task.import_id, name] += 1
        _note(f"did without: {name}")

    def _again(self, task: Task) -> None:
        """Do what queue and state machine do with what failed."""
        if task.message in self.handled or task.aborted:
            return
        task.tries += 1
        task.at = self.world.clock() + (20.0 if task.kind == "step" else HIDDEN)
        if task.tries < (TRIES if task.kind == "step" else ATTEMPTS):
            self.tasks.append(task)
        elif task.kind == "step":
            self._caught(task)
        else:
            raise AssertionError("a dead letter after four kills")

    def _caught(self, task: Task) -> None:
        """Send without a check that failed; deliver what is known, or fail where that failed."""
        if task.action is NextAction.DELIVER:
            self._failed(task.execution)
        elif task.action is NextAction.SIGN_IN:
            self.unchecked.add(task.execution)
            self._step(task.execution, task.import_id, TaskResult(NextAction.SUBMIT))
        else:
            self._step(task.execution, task.import_id, TaskResult(NextAction.DELIVER), "it failed")

    def _follow(self) -> None:
        """Take up the executions that were started."""
        for name, (import_id, _, first) in self.world.executions.started.items():
            if name not in self.followed:
                self.followed.add(name)
                self._step(name, import_id, first)

    def _step(self, execution: str, import_id: str, result: TaskResult, failure: str = "") -> None:
        def run() -> TaskResult | None:
            if result.next is NextAction.DELIVER:
                self._deliver(import_id, failure, execution)
                return None
            if result.next is NextAction.SUBMIT:
                return self.world.submitter().submit(
                    import_id,
                    self._time_left(INVOCATION),
                    skip_sign_in=execution in self.unchecked,
                )
            if result.next is NextAction.SIGN_IN:
                checker = self.world.sign_in_checker(self._try_all)
                return checker.check(import_id, self._time_left(SIGN_IN_INVOCATION))
            return self.world.poller().poll(import_id, self._time_left(INVOCATION))

        assert result.wait_seconds >= 0
        at = self.world.clock() + math.ceil(result.wait_seconds)
        self.tasks.append(Task("step", at, import_id, run, execution, action=result.next))

    def _deliver(
        self, import_id: str, failure: str, execution: str, *, best_effort: bool = False
    ) -> None:
        before = self.world.ledger.get(import_id)
        answer = self.world.deliverer().deliver(
            import_id, failure, execution=execution, best_effort=best_effort
        )
        assert not answer or execution in before.executions[-1:], "the answer of another run"
        assert not answer or answer.imported.resumed == before.resumed, "the answer of another run"

    def _try_all(
        self, accounts: Sequence[Account], until: float
    ) -> Generator[dict[str, MailboxFindings]]:
        """Try mailboxes as `Gate` does."""
        assert self.world.clock() < until
        for account in accounts:
            yield {account.smtp.address.lower(): self._tried(account)}

    def _tried(self, account: Account) -> MailboxFindings:
        address = account.smtp.address.lower()
        if not self._signs_in(address, "smtp"):
            refused = Finding("smtp", Verdict.REFUSED, "535 5.7.8 authentication failed")
            return MailboxFindings(refused, Finding("imap", Verdict.NOT_TRIED, REFUSED_BY_SMTP))
        self._signs_in(address, "imap")
        smtp, imap = (Finding(side, Verdict.SIGNED_IN, "") for side in ("smtp", "imap"))
        return MailboxFindings(smtp, imap)

    def _signs_in(self, address: str, side: str) -> bool:
        """Sign in once, or raise, or hang until the function is killed."""
        self.journal.effect("sign in", address)
        assert (address, side) not in self.tried, "tried twice"
        self.tried.add((address, side))
        self.world.clock.advance(0.1)
        fault = self.saleshandy.fault_of("sign in")
        if fault != "ok":
            self.world.clock.advance(SIGN_IN_INVOCATION if fault == "hangs" else 0.0)
            self.journal.killed_at.append("sign in")
            raise Killed if fault == "hangs" else FailedError("sign in")
        return address not in self.saleshandy.failing

    def _failed(self, execution: str) -> None:
        def run() -> None:
            # After a delivery that died, the ledger's counts are all that the next one tells.
            if self.world.ledger.get(import_id).state is ImportState.DELIVERING:
                self.counted.add(import_id)
            self._deliver(import_id, "it was aborted", execution, best_effort=True)

        self.failed.append(execution)
        import_id = execution.partition("-")[0]
        self.tasks.append(Task("failure", self.world.clock(), import_id, run))

    # The invariants

    def _check_answers(self) -> None:
        for import_id, (upload, rows) in self.dropped.items():
            imported = self.world.ledger.get(import_id)
            forgotten = self.done_without[import_id, "notified"]
            assert imported.state is ImportState.NOTIFIED or forgotten
            sent = self.world.notifications.messages
            messages = [one for one in sent if f'"{import_id}"' in one.document]
            extra = self.lost_in_between[import_id] + forgotten
            due = self.answers_due[import_id]
            assert due - self.taken_over[import_id] <= len(messages) <= due + extra, upload
            told = [
                one
                for one in self.world.events.of(IMPORT_COMPLETED)
                if f'"{import_id}"' in one.document
            ]
            assert len(messages) <= len(told) + self.done_without[import_id, "put"]
            for message in messages:
                counts = json.loads(message.document)["counts"]
                total = counts.pop("rows")
                assert sum(counts.values()) == total == (0 if imported.refusal else len(rows))
            text = self.world.reports.texts.get((import_id, OUTCOME_NAME), "")
            if not text:
                unwritten = self.done_without[import_id, "report"] or import_id in self.counted
                assert import_id in self.deleted or imported.refusal or unwritten
                continue
            outcomes = list(csv.DictReader(io.StringIO(text.removeprefix("\ufeff"), newline="")))
            assert [int(one["row"]) for one in outcomes] == list(range(2, len(rows) + 2))
            if import_id not in self.deleted:
                for address, one in zip(rows, outcomes, strict=True):
                    self._check_row(address, one)
                    if one["outcome"] in ("connected", "already_connected"):
                        seen = "account list" if self.world.policy.verify_connected else "report"
                        assert one["evidence"] in (seen, "account list"), one

    def _check_row(self, address: str, row: Mapping[str, str]) -> None:
        outcome, reason = row["outcome"], row["reason"]
        arrived = self.saleshandy.carried_out[address] > 0
        works = arrived and address not in self.saleshandy.failing
        is_held = row["evidence"] == "sign-in"
        truths = {
            "connected": works,
            "already_connected": works,
            "failed": not works,
            "rejected": self._may_be_held(address) if is_held else "@" not in address,
            "duplicate": True,
            "unconfirmed": reason != "",
            "not_sent": not arrived and reason != "",
        }
        assert truths[outcome], row

    def _may_be_held(self, address: str) -> bool:
        """Say whether a row may be held back by the sign-in check: it was tried, and never sent."""
        return (
            self.world.policy.sign_in_check is SignInCheck.STRICT
            and address in self.saleshandy.failing
            and (address, "smtp") in self.tried
            and not self.saleshandy.carried_out[address]
        )

    def _check_nothing_twice(self) -> None:
        twice = {address: n for address, n in self.saleshandy.carried_out.items() if n > 1}
        assert twice == {}

    def _check_budget(self) -> None:
        calls = self.saleshandy.called_at
        after_a_minute = calls[self.world.policy.calls_per_minute :]
        for at, later in zip(calls, after_a_minute, strict=False):
            assert later >= at + MINUTE


def run_machine(number: int, settings: Settings = RUNS) -> None:
    """Make the runs of one number."""
    machine = seed(number)(type("Machine", (ImporterUnderFaults,), {}))
    with small_tables():
        run_state_machine_as_test(machine, settings=settings)


def _note(what: str) -> None:
    if currently_in_test_context():
        event(what)


def next_task(machine: ImporterUnderFaults) -> Task:
    """Return the task that is due first, when it is due."""
    task = min(machine.tasks, key=lambda task: task.at)
    machine.world.clock.time = max(machine.world.clock.time, task.at)
    return task
