"""Follow imports until they end. Watching changes nothing: imports continue without it."""

import json
import math
import shlex
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from email_accounts.delivery.outcomes import Outcome, outcome_of
from email_accounts.delivery.result import label
from email_accounts.models.imports import (
    FINAL,
    OUTCOME_NAME,
    Batch,
    BatchState,
    Import,
    ImportState,
    ReasonCode,
    SignIns,
)
from email_accounts.models.service import AccountStatus
from email_accounts.saleshandy.reconciliation import (
    Observation,
    read_reconciliation,
    reconciliation_name,
)
from email_accounts.saleshandy.report import Verdict, report_name, verdicts
from email_accounts_cli.history import BROKEN, RUNNING, Ending, History, is_id, together
from email_accounts_cli.stack import Stack
from email_accounts_cli.terminal import (
    ALL_WELL,
    NOT_ALL_WELL,
    console,
    counted,
    cut,
    echo,
    iso_time,
    local_time,
    print_json,
    printable,
    short,
    table,
)

if TYPE_CHECKING:
    from rich.console import RenderableType

_BETWEEN_POLLS = 2.0
_BETWEEN_DRAWINGS = 0.5
_REPORTS_AT_ONCE = 50
_LINES_BELOW = 5
_TABLE_WIDTH = 120
"""Columns that a table with one line per import needs; narrower terminals get a block for each."""
_NEWEST_EVENTS = 5
_MOST_NAMED = 3
_TASKS = {
    "CheckSignIn": "check_sign_in",
    "CheckStatus": "check_status",
    "SubmitAccounts": "submit_accounts",
    "DeliverReport": "deliver_report",
}
"""The function that each state of the state machine calls."""
_ACTIONS = {
    "check_sign_in": ("trying sign-ins", "next sign-ins"),
    "check_status": ("checking the status", "next status check"),
    "submit_accounts": ("submitting", "next submission"),
    "deliver_report": ("writing the report", "report"),
}
"""What is shown of each function: while it runs, and before."""


class Stage(StrEnum):
    """How far an import is."""

    QUEUED = "queued"
    """The import has not started."""
    VALIDATING = "validating"
    """The file is read."""
    SUBMITTING = "submitting"
    """Batches are submitted."""
    PROCESSING = "processing"
    """All batches are submitted; some are not processed."""
    REPORTING = "reporting"
    """The report is written."""
    REFUSED = "refused"
    """The file is refused, and the report written."""
    STOPPED = "stopped"
    """Nothing more is submitted, and the report written."""
    ENDED = "ended"
    """The import has ended."""


_STAGES = {
    Stage.QUEUED: "queued",
    Stage.VALIDATING: "validating the file",
    Stage.REPORTING: "writing the report",
    Stage.REFUSED: "file refused, writing the report",
    Stage.STOPPED: "stopped, writing the report",
}
_STAGE_OF_STATE = {
    ImportState.RECEIVED: Stage.VALIDATING,
    ImportState.REFUSED: Stage.REFUSED,
    ImportState.DELIVERING: Stage.REPORTING,
}


@dataclass(frozen=True, slots=True)
class Step:
    """What the state machine does now or next.

    `action` is the function, empty if unknown; `at` is when it is called, in seconds since the
    epoch, 0 while it runs. `rate_limited` is true if it waits for the API's rate limit.
    """

    action: str = ""
    at: float = 0.0
    rate_limited: bool = False

    def document(self) -> dict[str, object]:
        """Return it for JSON."""
        return {
            "action": self.action,
            "at": iso_time(self.at) if self.at else "",
            "reason": "rate_limit" if self.rate_limited else "",
        }

    def text(self) -> str:
        """Return what comes next, and when."""
        seconds = math.ceil(self.at - time.time()) if self.at else 0
        running, coming = _ACTIONS.get(self.action, ("", "next step"))
        if seconds <= 0:
            return running
        if self.rate_limited:
            return f"rate limit: next call in {seconds} s"
        return f"{coming} in {seconds} s"


@dataclass(frozen=True, slots=True)
class Progress:
    """The progress of an import.

    `batches`, `submitted` and `processed` count batches. `seconds_left` is the least time
    that the rate limit needs for the remaining batches.
    """

    import_id: str
    file: str
    workspace: str
    status: str = RUNNING
    stage: Stage = Stage.QUEUED
    batches: int = 0
    submitted: int = 0
    processed: int = 0
    seconds_left: int = 0
    expected_end: float = 0.0
    outcomes: dict[str, int] = field(default_factory=dict)
    sign_ins: SignIns = field(default_factory=SignIns)
    step: Step = Step()
    headline: str = ""
    failure_reason: str = ""
    reason_code: ReasonCode | None = None
    report: str = ""
    commands: tuple[str, ...] = ()

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.status != RUNNING

    @property
    def stage_text(self) -> str:
        """The stage in words."""
        if self.stage is Stage.SUBMITTING:
            return f"{self.submitted:,} of {counted(self.batches, 'batch', 'batches')} submitted"
        if self.stage is Stage.PROCESSING:
            return f"{self.processed:,} of {counted(self.batches, 'batch', 'batches')} processed"
        return _STAGES.get(self.stage, self.status)

    def document(self) -> dict[str, object]:
        """Return it for JSON."""
        return {
            "importId": self.import_id,
            "file": self.file,
            "workspace": self.workspace,
            "status": self.status,
            "stage": self.stage,
            "stageText": self.stage_text,
            "batches": {
                "total": self.batches,
                "submitted": self.submitted,
                "processed": self.processed,
            },
            "submissionSecondsLeft": self.seconds_left,
            "expectedEnd": iso_time(self.expected_end) if self.expected_end else "",
            "next": self.step.document(),
            "outcomes": self.outcomes,
            "signIns": asdict(self.sign_ins),
            "headline": self.headline,
            "failureReason": self.failure_reason,
            "reasonCode": self.reason_code or "",
            "report": self.report,
            "nextCommands": self.next_commands(),
        }

    def coming(self) -> str:
        """Return what comes next, and when; nothing where the stage has it."""
        is_known = self.has_ended or self.stage in (Stage.REPORTING, Stage.REFUSED, Stage.STOPPED)
        return "" if is_known else self.step.text()

    def time_left(self) -> str:
        """Return the expected end, or the least time left."""
        if self.expected_end and not self.has_ended:
            return f"expected end {local_time(self.expected_end)}"
        return f"{math.ceil(self.seconds_left / 60):,}+ min left" if self.seconds_left else ""

    def counts(self) -> str:
        """Return the outcomes so far; before rows are sent, those of the sign-in check."""
        said = [f"{n:,} {label(name, n)}" for name, n in self.outcomes.items()]
        if not self.submitted and (checked := self.sign_ins_text()):
            said.append(checked)
        return ", ".join(said)

    def sign_ins_text(self) -> str:
        """Return the sign-in results so far; "" if nothing was tried."""
        found = self.sign_ins
        if found == SignIns():
            return ""
        failed = f"{found.proven:,} cannot work, {found.unproven:,} unclear"
        return f"sign-ins: {found.signed_in:,} good, {failed}"

    def next_commands(self) -> list[str]:
        """Return the commands to run after the import has ended, in order."""
        file = shlex.quote(self.file)
        match self.status, self.reason_code:
            case "running", _:
                commands: tuple[str, ...] = ()
            case _, ReasonCode.WRONG_FOLDER:
                commands = ("workspace list", f"drop --workspace NAME {file}")
            case _, ReasonCode.UPLOAD_DELETED:
                commands = (f"drop --workspace {self.workspace} {file}",)
            case "refused", _:
                commands = (f"check {file}",)
            case "broken", _:
                commands = (f"show {short(self.import_id)}",)
            case _:
                return [*self.commands]
        return [f"email-accounts {command}" for command in commands]


class _Watched:
    """One import that is polled until it has ended."""

    def __init__(self, history: History, import_id: str, file: str, workspace: str) -> None:
        """Watch an import; nothing is called yet."""
        self._history = history
        self._known: dict[int, Counter[str]] = {}
        self._step = Step()
        self._asked_at = 0.0
        self._is_broken = False
        self.progress = Progress(import_id, file, workspace)

    def poll(self) -> None:
        """Update its progress."""
        old = self.progress
        if old.has_ended:
            return
        imported = self._history.ledger.find(old.import_id)
        if imported is None:
            return
        old = replace(old, file=imported.upload.name, workspace=imported.upload.workspace)
        if imported.is_answered:
            self.progress = self._ended(old, self._history.ending(imported), imported)
            return
        batches = list(self._history.ledger.batches(imported.id))
        self._learn(batches)
        self._read_step(imported)
        if self._is_broken:
            self.progress = self._ended(old, Ending(BROKEN, {}), imported)
            return
        planned = sum(one.state in (BatchState.PLANNED, BatchState.SENDING) for one in batches)
        stage = _stage(imported, batches)
        calls_per_second = self._history.calls_per_minute / 60
        self.progress = replace(
            old,
            stage=stage,
            batches=imported.batches,
            submitted=len(batches) - planned,
            processed=sum(one.state in FINAL for one in batches),
            seconds_left=(
                math.ceil(planned / calls_per_second) if stage is Stage.SUBMITTING else 0
            ),
            expected_end=self._history.expected_end(imported, batches),
            outcomes=self._outcomes(imported),
            sign_ins=sum((one.sign_ins for one in batches), SignIns()),
            step=self._step,
            failure_reason=imported.refusal or imported.stopped,
            reason_code=imported.reason_code,
        )

    def _ended(self, old: Progress, ending: Ending, imported: Import) -> Progress:
        has_outcomes = "outcome" in ending.summary.get("reports", {})
        report = self._history.reports.address(old.import_id, OUTCOME_NAME)
        return replace(
            old,
            status=ending.status,
            stage=Stage.ENDED,
            seconds_left=0,
            expected_end=0.0,
            outcomes=ending.counts or old.outcomes,
            step=Step(),
            headline=ending.summary.get("headline", f"{old.file}: {ending.status}"),
            failure_reason=ending.summary.get("failureReason", ""),
            reason_code=imported.reason_code,
            report=report if has_outcomes else "",
            commands=tuple(ending.summary.get("nextStep", {}).get("commands", ())),
        )

    def _outcomes(self, imported: Import) -> dict[str, int]:
        """Add up the outcomes that are known, in the order of display."""
        total = Counter({"rejected": imported.rejected, "duplicate": imported.duplicates})
        for counts in self._known.values():
            total += counts
        return {outcome.value: total[outcome.value] for outcome in Outcome if total[outcome.value]}

    def _learn(self, batches: Iterable[Batch]) -> None:
        """Count the outcomes of the batches that are settled; each report is read once."""
        new = [one for one in batches if one.state in FINAL and one.number not in self._known]
        for batch in new[:_REPORTS_AT_ONCE]:
            self._known[batch.number] = self._outcomes_of(batch)

    def _outcomes_of(self, batch: Batch) -> Counter[str]:
        """Count the outcomes of a settled batch, skipped accounts included."""
        observed = self._observations_of(batch)
        if batch.state is BatchState.REFUSED:
            counts = Counter(outcome_of(one, None)[0] for one in observed.values() if not one.sent)
            counts[Outcome.FAILED] = batch.range.accounts - counts.total()
            return Counter({outcome.value: many for outcome, many in counts.items()})
        reported: dict[str, Verdict] = {}
        if batch.report:
            name = report_name(batch.number)
            with self._history.reports.open(self.progress.import_id, name) as report:
                reported = verdicts(report)
        after = AccountStatus.UNKNOWN if batch.state is BatchState.RECONCILED else None

        def outcome(address: str) -> str:
            return outcome_of(
                observed.get(address, Observation(after=after)),
                reported.get(address),
                names_successes=any(one.connected for one in reported.values()),
                may_be_tried=batch.reason_code is ReasonCode.NO_PROGRESS,
            )[0].value

        named = observed.keys() | reported.keys()
        found = Counter(map(outcome, named))
        found[outcome("")] += batch.range.accounts - len(named)
        return found

    def _observations_of(self, batch: Batch) -> dict[str, Observation]:
        """Return the accounts of a batch that were found in the account list."""
        if not batch.reconciliation:
            return {}
        name = reconciliation_name(batch.number)
        with self._history.reports.open(self.progress.import_id, name) as text:
            return read_reconciliation(text)

    def _read_step(self, imported: Import) -> None:
        """Read the execution's current step, unless it is known to wait."""
        now = time.time()
        if now < self._step.at or now - self._asked_at < _BETWEEN_POLLS:
            return
        self._asked_at = now
        for event in self._history.events(imported.execution, newest=_NEWEST_EVENTS):
            entered = event.get("stateEnteredEventDetails", {})
            if event["type"] in ("ExecutionFailed", "ExecutionTimedOut", "ExecutionAborted"):
                self._is_broken = True
                return
            if event["type"] == "WaitStateEntered":
                task = json.loads(entered.get("input", "{}"))
                at = event["timestamp"].timestamp() + task.get("waitSeconds", 0)
                call_at = self._history.ledger.next_call_at(imported.upload.workspace, imported.id)
                self._step = Step(task.get("next", ""), at, rate_limited=call_at > now)
                return
            if event["type"] == "TaskStateEntered":
                self._step = Step(_TASKS.get(entered.get("name", ""), ""))
                return


def _stage(imported: Import, batches: Sequence[Batch]) -> Stage:
    if imported.state in _STAGE_OF_STATE:
        return _STAGE_OF_STATE[imported.state]
    if imported.stopped:
        return Stage.STOPPED
    if any(batch.state in (BatchState.PLANNED, BatchState.SENDING) for batch in batches):
        return Stage.SUBMITTING
    if any(batch.state not in FINAL for batch in batches):
        return Stage.PROCESSING
    return Stage.REPORTING


def watch(stack: Stack, given: Sequence[str], *, as_json: bool) -> int:
    """Follow the named imports, or all running ones, to their end; return the exit code."""
    history = History(stack)
    named = [*dict.fromkeys(_named(history, one) for one in given)]
    if not given:
        named = [(one.id, one.upload.name, one.upload.workspace) for one in history.running()]
    if not named:
        if not as_json:
            echo("No import is running.")
        return ALL_WELL
    return follow(history, named, as_json=as_json)


def _named(history: History, given: str) -> tuple[str, str, str]:
    """Find an import; just after the upload, the ledger may not have its id yet."""
    if is_id(given) and history.ledger.find(given) is None:
        return given, short(given), ""
    imported = history.find(given)
    return imported.id, imported.upload.name, imported.upload.workspace


def how_to_watch(import_ids: Sequence[str]) -> str:
    """Return the command that follows these imports."""
    named = import_ids if len(import_ids) <= _MOST_NAMED else ()
    return " ".join(("email-accounts watch", *named))


def follow(history: History, named: Sequence[tuple[str, str, str]], *, as_json: bool) -> int:
    """Follow imports, each an id with its file and workspace; return the exit code.

    The code is 0 if every row is connected, else 1. An interruption prints how to continue.
    """
    watched = [_Watched(history, *one) for one in named]
    try:
        if as_json:
            _follow_for_program(watched)
        elif sys.stdout.isatty() and not console().is_dumb_terminal:
            _follow_on_terminal(watched)
        else:
            _follow_in_lines(watched)
    except (KeyboardInterrupt, BotoCoreError, ClientError):
        left = [one.progress.import_id for one in watched if not one.progress.has_ended]
        continues = "continues" if len(left) == 1 else "continue"
        echo(
            f"\nStopped watching; {counted(len(left), 'import')} {continues}. "
            f"To watch again: {how_to_watch(left)}",
            err=True,
        )
        raise
    return ALL_WELL if all(one.progress.status == "complete" for one in watched) else NOT_ALL_WELL


def _poll(watched: Iterable[_Watched]) -> bool:
    """Poll the imports that run; return whether any still does."""
    together(_Watched.poll, [one for one in watched if not one.progress.has_ended])
    return any(not one.progress.has_ended for one in watched)


def _follow_for_program(watched: Sequence[_Watched]) -> None:
    printed: dict[str, dict[str, object]] = {}
    is_running = True
    while is_running:
        is_running = _poll(watched)
        for one in watched:
            document = one.progress.document()
            if printed.get(one.progress.import_id) != document:
                printed[one.progress.import_id] = document
                print_json(document)
        time.sleep(_BETWEEN_POLLS if is_running else 0)


def _follow_in_lines(watched: Sequence[_Watched]) -> None:
    printed: set[tuple[str, str]] = set()
    is_running = True
    while is_running:
        is_running = _poll(watched)
        for one in watched:
            progress = one.progress
            checked = progress.sign_ins_text() if progress.step.action != "check_sign_in" else ""
            for said in (checked, progress.stage_text):
                new = (progress.import_id, said)
                if said and new not in printed and not progress.has_ended:
                    printed.add(new)
                    echo(f"{printable(progress.file)}: {said}")
                    sys.stdout.flush()
        time.sleep(_BETWEEN_POLLS if is_running else 0)
    _print_endings(watched)


def _follow_on_terminal(watched: Sequence[_Watched]) -> None:
    from rich.live import Live  # noqa: PLC0415  only on a terminal

    screen = console()
    with Live(console=screen, auto_refresh=False, transient=True) as live:

        def draw() -> None:
            progresses = [one.progress for one in watched]
            live.update(drawn(progresses, screen.width, screen.height), refresh=True)

        is_running = True
        while is_running:
            draw()
            is_running = _poll(watched)
            next_poll = time.monotonic() + _BETWEEN_POLLS
            while is_running and time.monotonic() < next_poll:
                draw()
                time.sleep(_BETWEEN_DRAWINGS)
    _print_endings(watched)


def drawn(progresses: Sequence[Progress], width: int, height: int) -> "RenderableType":
    """Draw as many imports as fit into a terminal, running ones first.

    A wide terminal shows one line per import, a narrow one a block of up to three lines.
    """
    from rich.console import Group  # noqa: PLC0415  only on a terminal

    every = sorted(progresses, key=lambda one: one.has_ended)
    room = max(height - _LINES_BELOW, 1)
    if width >= _TABLE_WIDTH:
        shown = every[:room]
        lines: RenderableType = _table(shown)
    else:
        blocks: list[list[str]] = []
        for one in every:
            block = _block(one)
            if blocks and sum(map(len, blocks)) + len(block) > room:
                break
            blocks.append(block)
        shown = every[: len(blocks)]
        lines = Group(*(cut(line) for block in blocks for line in block))
    ended = sum(one.has_ended for one in every)
    more = f"{len(every) - len(shown)} more; " if shown != every else ""
    total = f"{more}{ended} of {counted(len(every), 'import')} ended."
    return Group(lines, "", total, "Ctrl-C stops watching; imports continue.")


def _table(progresses: Iterable[Progress]) -> "RenderableType":
    lines = table(("Import", "File", "Stage", "Rows", "Next"), ())
    for column in (0, 2, 4):  # never cut; the other columns give way
        lines.columns[column].no_wrap = True
    for one in progresses:
        stage = ", ".join(filter(None, (one.stage_text, one.time_left())))
        texts = (cut(text) for text in (one.file, stage, one.counts()))
        lines.add_row(short(one.import_id), *texts, one.coming())
    return lines


def _block(one: Progress) -> list[str]:
    lines = (
        (short(one.import_id), one.time_left(), one.file),
        (one.stage_text, one.coming()),
        (one.counts(),),
    )
    name, *rest = (tuple(filter(None, parts)) for parts in lines)
    return ["  ".join(name), *("  " + ", ".join(parts) for parts in rest if parts)]


def _print_endings(watched: Iterable[_Watched]) -> None:
    for one in watched:
        progress = one.progress
        echo(printable(progress.headline))
        if progress.failure_reason:
            echo(f"  why: {printable(progress.failure_reason)}")
        if progress.report:
            echo(f"  full results: {progress.report}")
        for what, command in zip(("next", "then"), progress.next_commands(), strict=False):
            echo(f"  {what}: {printable(command)}")
