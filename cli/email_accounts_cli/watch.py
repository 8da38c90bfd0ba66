"""Following imports to their end: where each stands, again and again.

Looking changes nothing: an import goes on whether somebody looks or not.
"""

import json
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from email_accounts.delivery.outcomes import Outcome, outcome_of
from email_accounts.models.imports import (
    FINAL,
    Batch,
    BatchState,
    Import,
    ImportState,
    ReasonCode,
)
from email_accounts.models.service import AccountStatus
from email_accounts.saleshandy.reconciliation import (
    Observation,
    read_reconciliation,
    reconciliation_name,
)
from email_accounts.saleshandy.report import Verdict, report_name, verdicts
from email_accounts_cli.history import (
    BROKEN,
    RUNNING,
    Ending,
    History,
    add_up,
    is_id,
    together,
)
from email_accounts_cli.stack import Stack
from email_accounts_cli.terminal import (
    ALL_WELL,
    NOT_ALL_WELL,
    console,
    counted,
    echo,
    printable,
    short,
    table,
    tell_program,
)

if TYPE_CHECKING:
    from rich.console import RenderableType

_BETWEEN_LOOKS = 2.0
_BETWEEN_DRAWINGS = 0.5
_REPORTS_AT_ONCE = 50
_ROWS_AROUND = 5
_NEWEST_EVENTS = 5
_MOST_NAMED = 3
_DOING = {
    "CheckStatus": "looking now",
    "SubmitAccounts": "submitting now",
    "DeliverReport": "delivering now",
}
_WILL = {"check_status": "look", "submit_accounts": "submission", "deliver_report": "delivery"}


@dataclass(frozen=True, slots=True)
class Progress:
    """Where an import stands; `next_at` in seconds since the epoch, 0 for unknown."""

    import_id: str
    file: str
    workspace: str
    status: str
    station: str
    outcomes: dict[str, int] = field(default_factory=dict)
    doing: str = ""
    next_at: float = 0.0
    headline: str = ""
    failure_reason: str = ""
    report: str = ""

    @property
    def has_ended(self) -> bool:
        """Whether nothing more will happen."""
        return self.status != RUNNING

    def document(self) -> dict[str, object]:
        """Return it as programs get it; the seconds to the next step are whole ones."""
        known = asdict(self)
        return {
            "importId": known["import_id"],
            "file": known["file"],
            "workspace": known["workspace"],
            "status": known["status"],
            "station": known["station"],
            "outcomes": known["outcomes"],
            "headline": known["headline"],
            "failureReason": known["failure_reason"],
            "report": known["report"],
        }

    def coming(self) -> str:
        """Say what comes next, and when."""
        if self.has_ended or not self.doing:
            return ""
        if not self.next_at:
            return self.doing
        seconds = self.next_at - time.time()
        return f"{self.doing} in {seconds:.0f} s" if seconds > 0 else f"{self.doing} now"

    def counts(self) -> str:
        """Say what became of rows so far."""
        return ", ".join(f"{n:,} {name.replace('_', ' ')}" for name, n in self.outcomes.items())


class _Watched:
    """One import that is looked at until it has ended."""

    def __init__(self, history: History, import_id: str, file: str, workspace: str) -> None:
        """Remember whom to ask; nothing is called yet."""
        self._history = history
        self._known: dict[int, Counter[str]] = {}
        self._step: tuple[str, float] = ("", 0.0)
        self._asked_at = 0.0
        self._is_broken = False
        self.progress = Progress(import_id, file, workspace, RUNNING, "not taken in yet")

    def poll(self) -> None:
        """Find out where it stands now."""
        old = self.progress
        if old.has_ended:
            return
        imported = self._history.ledger.find(old.import_id)
        if imported is None:
            return
        old = replace(old, file=imported.upload.name, workspace=imported.upload.workspace)
        if imported.is_answered:
            self.progress = self._ended(old, self._history.ending(imported))
            return
        batches = list(self._history.ledger.batches(imported.id))
        self._learn(batches)
        self._ask_for_the_next_step(imported.execution)
        if self._is_broken:
            self.progress = self._ended(old, Ending(BROKEN, {}))
            return
        doing, next_at = self._step
        self.progress = Progress(
            import_id=old.import_id,
            file=old.file,
            workspace=old.workspace,
            status=RUNNING,
            station=_station(imported, batches),
            outcomes=add_up(
                [
                    {"rejected": imported.rejected, "duplicate": imported.duplicates},
                    *self._known.values(),
                ]
            ),
            doing=doing,
            next_at=next_at,
        )

    def _ended(self, old: Progress, ending: Ending) -> Progress:
        has_outcomes = "outcome" in ending.summary.get("reports", {})
        return Progress(
            import_id=old.import_id,
            file=old.file,
            workspace=old.workspace,
            status=ending.status,
            station=ending.status,
            outcomes=ending.counts or old.outcomes,
            headline=ending.summary.get("headline", f"{old.file}: {ending.status}"),
            failure_reason=ending.summary.get("failureReason", ""),
            report=self._history.report_address(old.import_id) if has_outcomes else "",
        )

    def _learn(self, batches: Iterable[Batch]) -> None:
        """Count the outcomes of the batches that are settled; each report is read once."""
        new = [one for one in batches if one.state in FINAL and one.number not in self._known]
        for batch in new[:_REPORTS_AT_ONCE]:
            self._known[batch.number] = self._outcomes_of(batch)

    def _outcomes_of(self, batch: Batch) -> Counter[str]:
        """Count what became of the accounts of a settled batch, those left out included."""
        observed = self._observations_of(batch)
        if batch.state is BatchState.REFUSED:
            skipped = sum(not one.sent for one in observed.values())
            counts = Counter({Outcome.ALREADY_CONNECTED: skipped})
            counts[Outcome.FAILED] = batch.range.accounts - skipped
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
        """Return what the account list showed of a batch, where it was read."""
        if not batch.reconciliation:
            return {}
        name = reconciliation_name(batch.number)
        with self._history.reports.open(self.progress.import_id, name) as text:
            return read_reconciliation(text)

    def _ask_for_the_next_step(self, execution: str) -> None:
        """Ask an execution what it does, unless it is known to wait."""
        now = time.time()
        if now < self._step[1] or now - self._asked_at < _BETWEEN_LOOKS:
            return
        self._asked_at = now
        for event in self._history.events(execution, newest=_NEWEST_EVENTS):
            entered = event.get("stateEnteredEventDetails", {})
            if event["type"] in ("ExecutionFailed", "ExecutionTimedOut", "ExecutionAborted"):
                self._is_broken = True
                return
            if event["type"] == "WaitStateEntered":
                step = json.loads(entered.get("input", "{}"))
                next_at = event["timestamp"].timestamp() + step.get("waitSeconds", 0)
                self._step = (_WILL.get(step.get("next", ""), "next step"), next_at)
                return
            if event["type"] == "TaskStateEntered":
                self._step = (_DOING.get(entered.get("name", ""), ""), 0.0)
                return


def _station(imported: Import, batches: Sequence[Batch]) -> str:
    """Say in words how far an import has come."""
    match imported.state:
        case ImportState.RECEIVED:
            return "being validated"
        case ImportState.REFUSED:
            return "refused, being answered"
    submitted = sum(
        batch.state not in (BatchState.PLANNED, BatchState.SENDING) for batch in batches
    )
    settled = sum(batch.state in FINAL for batch in batches)
    if imported.stopped:
        return "stopped, being answered"
    if submitted < len(batches):
        return f"validated, submitted {submitted} of {len(batches)}"
    if settled < len(batches):
        return f"submitted, waiting for the remote, {settled} of {len(batches)} done"
    return "all batches done"


def watch(stack: Stack, given: Sequence[str], *, as_json: bool) -> int:
    """Follow the imports named, or all that run, to their end; return the exit code."""
    history = History(stack)
    named = [_named(history, one) for one in given]
    if not given:
        named = [(one.id, one.upload.name, one.upload.workspace) for one in history.running()]
    if not named:
        if not as_json:
            echo("No import is running.")
        return ALL_WELL
    return follow(history, named, as_json=as_json)


def _named(history: History, given: str) -> tuple[str, str, str]:
    """Name an import; of a whole id the ledger may not know yet, just after the upload."""
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

    0 where every row is connected, 1 where not. What ends it before says how to look again.
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
        echo(
            f"\n{counted(len(left), 'import')} still running; they go on by themselves. "
            f"Look again: {how_to_watch(left)}",
            err=True,
        )
        raise
    return ALL_WELL if all(one.progress.status == "complete" for one in watched) else NOT_ALL_WELL


def _look(watched: Iterable[_Watched]) -> bool:
    """Look at all that has not ended; say whether any still has not."""
    together(_Watched.poll, [one for one in watched if not one.progress.has_ended])
    return any(not one.progress.has_ended for one in watched)


def _follow_for_program(watched: Sequence[_Watched]) -> None:
    told: dict[str, dict[str, object]] = {}
    going_on = True
    while going_on:
        going_on = _look(watched)
        for one in watched:
            document = one.progress.document()
            if told.get(one.progress.import_id) != document:
                told[one.progress.import_id] = document
                tell_program(document)
        time.sleep(_BETWEEN_LOOKS if going_on else 0)


def _follow_in_lines(watched: Sequence[_Watched]) -> None:
    told: dict[str, str] = {}
    going_on = True
    while going_on:
        going_on = _look(watched)
        for one in watched:
            progress = one.progress
            if told.get(progress.import_id) != progress.station and not progress.has_ended:
                told[progress.import_id] = progress.station
                echo(f"{printable(progress.file)}: {progress.station}")
                sys.stdout.flush()
        time.sleep(_BETWEEN_LOOKS if going_on else 0)
    _tell_endings(watched)


def _follow_on_terminal(watched: Sequence[_Watched]) -> None:
    from rich.live import Live  # noqa: PLC0415  for a terminal alone

    screen = console()
    with Live(console=screen, auto_refresh=False, transient=True) as live:
        going_on = True
        while going_on:
            live.update(drawn([one.progress for one in watched], screen.height), refresh=True)
            going_on = _look(watched)
            next_poll = time.monotonic() + _BETWEEN_LOOKS
            while going_on and time.monotonic() < next_poll:
                live.update(drawn([one.progress for one in watched], screen.height), refresh=True)
                time.sleep(_BETWEEN_DRAWINGS)
    _tell_endings(watched)


def drawn(progresses: Sequence[Progress], height: int) -> "RenderableType":
    """Draw as many as fit into this many lines, one each, those first that have not ended."""
    from rich.console import Group  # noqa: PLC0415  for a terminal alone
    from rich.text import Text  # noqa: PLC0415  for a terminal alone

    every = sorted(progresses, key=lambda one: one.has_ended)
    shown = every[: max(height - _ROWS_AROUND, 1)]
    ended = sum(one.has_ended for one in every)
    lines = table(("Import", "File", "Station", "Rows", "Next"), ())
    # Where the terminal is narrow these two stay whole, and the others are cut.
    lines.columns[0].no_wrap = lines.columns[-1].no_wrap = True
    for one in shown:
        cut = (printable(one.file), one.station, one.counts())
        texts = (Text(text, no_wrap=True, overflow="ellipsis") for text in cut)
        lines.add_row(short(one.import_id), *texts, one.coming())
    more = f"and {len(every) - len(shown)} more; " if shown != every else ""
    total = f"{more}{ended} of {counted(len(every), 'import')} ended. Ctrl-C stops looking only"
    return Group(lines, "", total)


def _tell_endings(watched: Iterable[_Watched]) -> None:
    for one in watched:
        progress = one.progress
        echo(printable(progress.headline))
        if progress.failure_reason:
            echo(f"  why: {printable(progress.failure_reason)}")
        if progress.report:
            echo(f"  each row: {progress.report}")
        if progress.status == BROKEN:
            echo(f"  what happened: email-accounts show {short(progress.import_id)}")
