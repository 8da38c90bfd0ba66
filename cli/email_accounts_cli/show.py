"""Looking back: the imports there were, and everything that is known of one."""

import json
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from email_accounts.models.imports import Batch, Import
from email_accounts_cli.history import Ending, History, together
from email_accounts_cli.stack import Stack
from email_accounts_cli.terminal import (
    ALL_WELL,
    console,
    echo,
    iso_time,
    local_time,
    printable,
    short,
    table,
    tell_program,
)

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions.type_defs import HistoryEventTypeDef

_LOOKED_UP_AT_ONCE = 20
_BATCHES_SHOWN = 20
_TAKING_PLACE = {
    "CheckStatus": "looked at the status",
    "SubmitAccounts": "submitted what was left",
    "DeliverReport": "delivered the answer",
}

Told = tuple[Import, Ending]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which imports are asked for; times are seconds since the epoch."""

    since: float
    before: float | None
    status: str | None
    workspace: str | None


def list_imports(stack: Stack, wanted: Wanted, limit: int, *, as_json: bool) -> int:
    """Print the imports that are wanted, newest first."""
    history = History(stack)
    imports = (
        one
        for one in history.ledger.by_day(wanted.since, wanted.before or time.time() + 1)
        if wanted.workspace in (None, one.upload.workspace)
    )
    told = (
        one for one in _with_endings(history, imports) if wanted.status in (None, one[1].status)
    )
    page = list(islice(told, limit + 1))
    shown = page[:limit]
    if as_json:
        for imported, ending in shown:
            tell_program(_line(imported, ending))
        return ALL_WELL
    if not shown:
        echo(f"No such import since {local_time(wanted.since)}.")
        return ALL_WELL
    rows = (
        (
            local_time(imported.received_at),
            short(imported.id),
            imported.upload.workspace,
            printable(imported.upload.name),
            ending.status,
            _counts(imported, ending),
        )
        for imported, ending in shown
    )
    header = ("Received", "Import", "Workspace", "File", "Status", "Rows")
    console().print(table(header, rows))
    if len(page) > limit:
        echo(f"Older ones: --before {shown[-1][0].received_at!r}")
    return ALL_WELL


def _with_endings(history: History, imports: Iterable[Import]) -> Iterator[Told]:
    imports = iter(imports)
    while some := list(islice(imports, _LOOKED_UP_AT_ONCE)):
        yield from zip(some, together(history.ending, some), strict=True)


def _counts(imported: Import, ending: Ending) -> str:
    if counts := ending.counts:
        return ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in counts.items())
    return f"{imported.rows:,} read" if imported.rows else ""


def _line(imported: Import, ending: Ending) -> dict[str, object]:
    return {
        "importId": imported.id,
        "receivedAt": iso_time(imported.received_at),
        "workspace": imported.upload.workspace,
        "file": imported.upload.name,
        "status": ending.status,
        "counts": {"rows": imported.rows, **ending.counts},
    }


# One import


@dataclass(frozen=True, slots=True)
class _Known:
    """All that is known of an import."""

    imported: Import
    batches: Sequence[Batch]
    ending: Ending
    execution: dict[str, str]
    time_line: Sequence[tuple[float, str]]

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
            "timeLine": [{"at": iso_time(at), "what": what} for at, what in self.time_line],
        }


def show(stack: Stack, given: str, *, as_json: bool) -> int:
    """Print everything that is known of an import."""
    history = History(stack)
    imported = history.find(given)
    batches = list(history.ledger.batches(imported.id))
    status = history.execution(imported).lower() or "not started"
    known = _Known(
        imported,
        batches,
        history.ending(imported),
        {"arn": history.execution_arn(imported.execution), "status": status},
        _time_line(history, imported, batches),
    )
    if as_json:
        tell_program(known.document())
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
    }


def _time_line(
    history: History, imported: Import, batches: Sequence[Batch]
) -> list[tuple[float, str]]:
    """Return what happened and when, in its order; looks that follow one another as one entry."""
    moments = [(imported.received_at, "received")]
    sent = [batch.sent_at for batch in batches if batch.sent_at]
    if sent:
        moments.append((min(sent), "first batch sent"))
    if len(sent) > 1:
        moments.append((max(sent), f"last of {len(sent):,} batches sent"))
    for name in imported.executions:
        began = "tracking began" if name == imported.id else "resumed"
        moments += (
            (event["timestamp"].timestamp(), what)
            for event in history.events(name)
            if (what := _what_happened(event, began))
        )
    return list(_gathered(sorted(moments)))


def _what_happened(event: "HistoryEventTypeDef", began: str) -> str:
    """Return what an event means to people; "" for one that means nothing."""
    kind = event["type"]
    if kind == "TaskStateEntered":
        return _TAKING_PLACE.get(event["stateEnteredEventDetails"]["name"], "")
    if kind == "ExecutionStarted":
        return began
    if kind == "ExecutionSucceeded":
        return "answered"
    if kind.startswith("Execution"):
        cause = json.dumps(event.get("executionFailedEventDetails", {}).get("cause", ""))
        return f"broken off: {cause}"
    return ""


def _gathered(moments: Sequence[tuple[float, str]]) -> Iterator[tuple[float, str]]:
    at = 0
    while at < len(moments):
        same = 1
        while at + same < len(moments) and moments[at + same][1] == moments[at][1]:
            same += 1
        last = f" {same:,} times, last {local_time(moments[at + same - 1][0])}" if same > 1 else ""
        yield moments[at][0], moments[at][1] + last
        at += same


def _print(known: _Known) -> None:
    imported, summary = known.imported, known.ending.summary
    name = printable(imported.upload.name)
    counts = {"rows": imported.rows, **known.ending.counts} if imported.rows else {}
    facts = [
        ("Import", imported.id),
        ("Workspace", imported.upload.workspace),
        ("Status", known.ending.status),
        ("Trouble", printable(known.failure_reason)),
        ("Message", "sent" if imported.is_answered else "not sent yet"),
        ("File", printable(known.address)),
        ("Version", imported.upload.version),
        ("Bytes", f"{imported.upload.size:,}"),
        *((what.replace("_", " ").capitalize(), f"{n:,}") for what, n in counts.items()),
        ("Execution", f"{known.execution['arn']} ({known.execution['status']})"),
        *((f"Report {what}", address) for what, address in summary.get("reports", {}).items()),
    ]
    screen = console()
    screen.print(printable(summary.get("headline", f"{name}: {known.ending.status}")), style="bold")
    screen.print(table((), (fact for fact in facts if fact[1])))
    if known.batches:
        header = ("Batch", "Rows", "Accounts", "State", "Request", "Reason")
        screen.print()
        screen.print(table(header, _batch_lines(known.batches[:_BATCHES_SHOWN])))
        more = len(known.batches) - _BATCHES_SHOWN
        if more > 0:
            screen.print(f"and {more:,} more; --json lists them all")
    screen.print()
    screen.print(table((), ((local_time(at), what) for at, what in known.time_line)))


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
