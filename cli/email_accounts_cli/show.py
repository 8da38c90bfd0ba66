"""List imports, or show the details of one."""

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, islice
from typing import TYPE_CHECKING

from email_accounts.delivery.result import label
from email_accounts.models.imports import Batch, Import
from email_accounts_cli.history import RUNNING, Ending, History, together
from email_accounts_cli.stack import Stack
from email_accounts_cli.terminal import (
    ALL_WELL,
    console,
    counted,
    cut,
    echo,
    fitting,
    iso_time,
    local_time,
    print_json,
    printable,
    short,
    table,
)

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions.type_defs import HistoryEventTypeDef

_LOOKED_UP_AT_ONCE = 20
_BATCHES_SHOWN = 20
_TABLE_WIDTH = 100
"""Columns that the table needs; narrower terminals show a block per import."""
_FILE = 3
"""The column that is cut if the table is too wide."""
_TEXTS = {"submitted": "submission continued"}
"""What is shown of an event if it is not its code."""
TASKS = {
    "CheckSignIn": "sign_ins_checked",
    "CheckStatus": "status_checked",
    "SubmitAccounts": "submitted",
    "DeliverReport": "report_written",
}
"""The codes of the state machine's tasks."""

Listed = tuple[Import, Ending]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which imports to list; times are seconds since the epoch."""

    since: float
    before: float | None
    status: str | None
    workspace: str | None


def list_imports(stack: Stack, wanted: Wanted, limit: int, *, as_json: bool) -> int:
    """Print the imports that match, newest first."""
    history = History(stack)
    imports = (
        one
        for one in history.ledger.by_day(wanted.since, wanted.before or time.time() + 1)
        if wanted.workspace in (None, one.upload.workspace)
    )
    matching = (
        one for one in _with_endings(history, imports) if wanted.status in (None, one[1].status)
    )
    page = list(islice(matching, limit + 1))
    shown = page[:limit]
    cursor = repr(shown[-1][0].received_at) if len(page) > limit else ""
    if as_json:
        for imported, ending in shown:
            is_last = imported is shown[-1][0]
            print_json(_line(imported, ending) | {"next": cursor if is_last else ""})
        return ALL_WELL
    if not shown:
        echo(f"No matching imports since {local_time(wanted.since)}.")
        return ALL_WELL
    screen = console()
    if screen.width >= _TABLE_WIDTH:
        header = ("Received", "Import", "Workspace", "File", "Status", "Rows")
        lines = table(header, ())
        for number, column in enumerate(lines.columns):
            column.no_wrap = number != _FILE
        for one in shown:
            cells = _cells(*one)
            lines.add_row(*cells[:_FILE], cut(cells[_FILE]), *cells[_FILE + 1 :])
        screen.print(lines)
    else:
        for one in shown:
            received, identity, workspace, file, status, rows = _cells(*one)
            echo(f"{received}  {identity}  {status}")
            echo(f"  {fitting(f'{workspace}: {file}', screen.width - 2)}")
            if rows:
                echo(f"  {rows}")
    if cursor:
        echo(f"Next page: add --before {cursor}")
    return ALL_WELL


def _cells(imported: Import, ending: Ending) -> tuple[str, ...]:
    return (
        local_time(imported.received_at),
        short(imported.id),
        imported.upload.workspace,
        printable(imported.upload.name),
        ending.status,
        _rows_or_end(imported, ending),
    )


def _rows_or_end(imported: Import, ending: Ending) -> str:
    counts = _counts(imported, ending)
    if not _expected_end(imported, ending):
        return counts
    return f"{counts}, expected end {local_time(imported.expected_end)}"


def _with_endings(history: History, imports: Iterable[Import]) -> Iterator[Listed]:
    imports = iter(imports)
    while some := list(islice(imports, _LOOKED_UP_AT_ONCE)):
        yield from together(lambda one: _with_ending(history, one), some)


def _with_ending(history: History, imported: Import) -> Listed:
    """Return an import with its ending, or with the end that is expected of it now."""
    ending = history.ending(imported)
    if ending.status == RUNNING and imported.expected_end:
        batches = list(history.ledger.batches(imported.id))
        expected = history.expected_end(imported, batches)
        imported = replace(imported, expected_end=expected)
    return imported, ending


def _counts(imported: Import, ending: Ending) -> str:
    rows = counted(imported.rows, "row") if imported.rows else ""
    counts = (f"{count:,} {label(name, count)}" for name, count in ending.counts.items())
    return ": ".join(filter(None, (rows, ", ".join(counts))))


def _expected_end(imported: Import, ending: Ending) -> str:
    """Return when an import that runs is expected to end, empty for any other."""
    is_known = ending.status == RUNNING and imported.expected_end
    return iso_time(imported.expected_end) if is_known else ""


def _line(imported: Import, ending: Ending) -> dict[str, object]:
    return {
        "importId": imported.id,
        "receivedAt": iso_time(imported.received_at),
        "workspace": imported.upload.workspace,
        "file": imported.upload.name,
        "status": ending.status,
        "expectedEnd": _expected_end(imported, ending),
        "counts": {"rows": imported.rows, **ending.counts},
    }


# One import


@dataclass(frozen=True, slots=True)
class _Event:
    """Something that happened `times` times in a row, between two times."""

    at: float
    code: str
    cause: str = ""
    times: int = 1
    last_at: float = 0.0

    def text(self) -> str:
        """Return what happened."""
        what = _TEXTS.get(self.code, self.code.replace("_", " "))
        if self.code == "broken":
            what = f"failed: {self.cause or 'no cause given'}"
        if self.times == 1:
            return what
        return f"{what} {self.times:,} times, last {local_time(self.last_at)}"

    def document(self) -> dict[str, object]:
        """Return it for JSON."""
        return {
            "at": iso_time(self.at),
            "code": self.code,
            "times": self.times,
            "lastAt": iso_time(self.last_at),
            "what": self.text(),
        }


@dataclass(frozen=True, slots=True)
class _Known:
    """Everything known about an import."""

    imported: Import
    batches: Sequence[Batch]
    ending: Ending
    execution: dict[str, str]
    time_line: Sequence["_Event"]

    @property
    def failure_reason(self) -> str:
        return str(
            self.ending.summary.get("failureReason")
            or self.imported.refusal
            or self.imported.stopped
        )

    @property
    def address(self) -> str:
        return f"s3://{self.imported.upload.bucket}/{self.imported.upload.key}"

    def document(self) -> dict[str, object]:
        imported, summary = self.imported, self.ending.summary
        return _line(imported, self.ending) | {
            "headline": summary.get("headline", ""),
            "failureReason": self.failure_reason,
            "reasonCode": imported.reason_code or "",
            "messageSent": self.imported.is_answered,
            "upload": {
                "address": self.address,
                "version": imported.upload.version,
                "bytes": imported.upload.size,
            },
            "deadline": iso_time(imported.deadline),
            "planned": {
                "accepted": imported.accepted,
                "rejected": imported.rejected,
                "duplicates": imported.duplicates,
                "batches": imported.batches,
            },
            "causes": summary.get("causes", []),
            "reports": summary.get("reports", {}),
            "execution": self.execution,
            "batches": [_batch_document(batch) for batch in self.batches],
            "timeLine": [event.document() for event in self.time_line],
        }


def show(stack: Stack, given: str, *, as_json: bool) -> int:
    """Print everything known about an import."""
    history = History(stack)
    imported, ending = _with_ending(history, history.find(given))
    batches = list(history.ledger.batches(imported.id))
    status = history.execution(imported).lower() or "not started"
    known = _Known(
        imported,
        batches,
        ending,
        {"arn": history.execution_arn(imported.execution), "status": status},
        _time_line(history, imported, batches),
    )
    if as_json:
        print_json(known.document())
    else:
        _print(known)
    return ALL_WELL


def _batch_document(batch: Batch) -> dict[str, object]:
    return {
        "batch": batch.number,
        "firstRow": batch.range.first_row,
        "lastRow": batch.range.last_row,
        "accounts": batch.range.accounts,
        "state": batch.state,
        "requestId": batch.request_id,
        "sentAt": iso_time(batch.sent_at) if batch.sent_at else "",
        "reason": batch.reason,
        "reasonCode": batch.reason_code or "",
    }


def _time_line(history: History, imported: Import, batches: Sequence[Batch]) -> list[_Event]:
    """Return what happened, oldest first; equal events in a row are one entry."""
    events = [_Event(imported.received_at, "received")]
    sent = [batch.sent_at for batch in batches if batch.sent_at]
    if sent:
        events.append(_Event(min(sent), "first_batch_sent"))
    if len(sent) > 1:
        events.append(_Event(max(sent), "last_batch_sent"))
    for name in imported.executions:
        start = "tracking_started" if name == imported.id else "resumed"
        events += filter(None, (_event_of(event, start) for event in history.events(name)))
    return list(_merged(sorted(events, key=lambda event: event.at)))


def _event_of(event: "HistoryEventTypeDef", start: str) -> _Event | None:
    """Return the entry for an event of an execution; None for most events."""
    kind, at = event["type"], event["timestamp"].timestamp()
    if kind == "TaskStateEntered":
        code = TASKS.get(event["stateEnteredEventDetails"]["name"])
        return _Event(at, code) if code else None
    if kind == "ExecutionStarted":
        return _Event(at, start)
    if kind == "ExecutionSucceeded":
        return _Event(at, "ended")
    if kind.startswith("Execution"):
        cause = event.get("executionFailedEventDetails", {}).get("cause", "")
        return _Event(at, "broken", cause)
    return None


def _merged(events: Sequence[_Event]) -> Iterator[_Event]:
    for _, alike in groupby(events, key=lambda event: (event.code, event.cause)):
        first, *others = alike
        last = others[-1].at if others else first.at
        yield replace(first, times=1 + len(others), last_at=last)


def _print(known: _Known) -> None:
    imported, summary = known.imported, known.ending.summary
    name = printable(imported.upload.name)
    counts = {"rows": imported.rows, **known.ending.counts} if imported.rows else {}
    facts = [
        ("Import", imported.id),
        ("Workspace", imported.upload.workspace),
        ("Status", known.ending.status),
        ("Reason", printable(known.failure_reason)),
        ("Notification", "sent" if imported.is_answered else "not sent yet"),
        ("File", printable(known.address)),
        ("Version", imported.upload.version),
        ("Bytes", f"{imported.upload.size:,}"),
        *((label(what, n).capitalize(), f"{n:,}") for what, n in counts.items()),
        ("Execution", f"{known.execution['arn']} ({known.execution['status']})"),
        *((f"Report {what}", address) for what, address in summary.get("reports", {}).items()),
    ]
    screen = console()
    screen.print(printable(summary.get("headline", f"{name}: {known.ending.status}")), style="bold")
    width = max(len(what) for what, _ in facts) + 2
    for what, value in facts:
        if value:
            echo(f"{what:{width}}{value}")
    if known.batches:
        header = ("Batch", "Rows", "Accounts", "State", "Request", "Reason")
        screen.print()
        screen.print(table(header, _batch_lines(known.batches[:_BATCHES_SHOWN])))
        more = len(known.batches) - _BATCHES_SHOWN
        if more > 0:
            screen.print(f"and {more:,} more; --json lists them all")
    screen.print()
    screen.print(
        table((), ((local_time(one.at), printable(one.text())) for one in known.time_line))
    )


def _batch_lines(batches: Sequence[Batch]) -> Iterator[tuple[object, ...]]:
    for batch in batches:
        yield (
            batch.number,
            f"{batch.range.first_row:,}-{batch.range.last_row:,}",
            batch.range.accounts,
            batch.state,
            printable(batch.request_id),
            printable(batch.reason),
        )
