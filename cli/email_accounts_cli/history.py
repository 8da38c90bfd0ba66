"""Read imports from the ledger, the reports and the executions."""

import json
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from botocore.config import Config
from botocore.exceptions import ClientError

from email_accounts.aws.dynamodb import LedgerReader
from email_accounts.aws.s3 import InboxBucket, ReportsBucket
from email_accounts.errors import ReportMissingError
from email_accounts.models.imports import SUMMARY_NAME, Batch, Import
from email_accounts.submission.admission import expected_end
from email_accounts_cli.stack import CONFIG, Stack
from email_accounts_cli.terminal import CommandError, local_time

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions.type_defs import HistoryEventTypeDef

RUNNING, BROKEN, ANSWERED = "running", "broken", "answered"
"""The status of an import without a summary. `broken`: its execution failed."""

_ID = re.compile("[0-9a-f]{32}")
_BEGINNING = re.compile("[0-9a-f]{4,31}")
_AT_ONCE = 8
_DAY = timedelta(days=1)
_LONGEST_LIFE = 2 * _DAY  # the longest deadline is one day
_LOST = ("FAILED", "TIMED_OUT", "ABORTED")
_In = TypeVar("_In")
_Out = TypeVar("_Out")


@dataclass(frozen=True, slots=True)
class Ending:
    """The status of an import; `summary` is its summary.json, empty if there is none."""

    status: str
    summary: Mapping[str, Any]

    @property
    def counts(self) -> dict[str, int]:
        """The rows by outcome, without zeros."""
        counts: dict[str, int] = dict(self.summary.get("counts", {}))
        return {name: count for name, count in counts.items() if count and name != "rows"}


def is_id(given: str) -> bool:
    """Return whether this is a whole import id."""
    return bool(_ID.fullmatch(given))


def together(work: Callable[[_In], _Out], items: Iterable[_In]) -> list[_Out]:
    """Call `work` for several items at once; an interruption does not wait for them."""
    pool = ThreadPoolExecutor(_AT_ONCE)
    try:
        return list(pool.map(work, items))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


class History:
    """The imports of a stack."""

    def __init__(self, stack: Stack) -> None:
        """Use a stack; this makes no call."""
        session = stack.session
        self._machine = stack.output("TrackImportStateMachineArn")
        self._retention = timedelta(days=float(stack.parameter("ReportRetentionDays")))
        self.calls_per_minute = float(stack.parameter("CallsPerMinute"))
        waits = ("InitialPollDelaySeconds", "SettleSeconds")
        self._tail = sum(float(stack.parameter(name)) for name in waits)
        self._uploads_kept = timedelta(days=float(stack.parameter("UploadRetentionDays")))
        self.ledger = LedgerReader(
            session.client("dynamodb", config=CONFIG), stack.output("LedgerTableName")
        )
        self._machines = session.client("stepfunctions", config=CONFIG)
        self.s3 = session.client("s3", config=CONFIG.merge(Config(max_pool_connections=_AT_ONCE)))
        self.uploads = InboxBucket(self.s3)
        self.reports_bucket = stack.output("ReportsBucketName")
        self.reports = ReportsBucket(self.s3, self.reports_bucket)

    def running(self) -> list[Import]:
        """Return the imports that have not ended, or are resumed, oldest first."""
        now = datetime.now(UTC)
        # An import can be resumed as long as its upload exists.
        since = now - self._uploads_kept - _LONGEST_LIFE
        recent = self.ledger.by_day(since.timestamp(), (now + _DAY).timestamp())
        waiting = [imported for imported in recent if not imported.is_answered]
        endings = together(self.ending, waiting)
        found = zip(waiting, endings, strict=True)
        return [imported for imported, ending in found if ending.status == RUNNING][::-1]

    def find(self, given: str) -> Import:
        """Find an import by its id, or by the beginning of its id.

        Raises:
            CommandError: none or several were found.
        """
        if is_id(given):
            imported = self.ledger.find(given)
            found = [imported] if imported else []
        elif _BEGINNING.fullmatch(given):
            now = datetime.now(UTC)
            all_known = self.ledger.by_day(
                (now - self._retention).timestamp(), (now + _DAY).timestamp()
            )
            found = [imported for imported in all_known if imported.id.startswith(given)]
        else:
            raise CommandError(
                f"{given} is not an import id: write 32 hex digits, or at least the first four of "
                "them. To list imports: email-accounts list"
            )
        if len(found) > 1:
            listed = ", ".join(
                f"{one.id} ({one.upload.name}, {local_time(one.received_at)})" for one in found
            )
            raise CommandError(f"More than one import begins with {given}: {listed}.")
        if not found:
            days = self._retention.days
            raise CommandError(
                f"There is no import {given}. Imports are kept for {days} days. To list them: "
                f"email-accounts list --since {days}d"
            )
        return found[0]

    def ending(self, imported: Import) -> Ending:
        """Return the status of an import."""
        if imported.is_answered:
            summary = self.summary(imported.id)
            return Ending(summary.get("status", ANSWERED), summary)
        return Ending(BROKEN if self.execution(imported) in _LOST else RUNNING, {})

    def expected_end(self, imported: Import, batches: Sequence[Batch]) -> float:
        """Estimate when a running import ends, from its batches and the queue; 0 if unknown."""
        now, workspace = time.time(), imported.upload.workspace
        next_call_at = self.ledger.next_call_at(workspace, imported.id)
        if not next_call_at and not any(one.sent_at for one in batches):
            next_call_at = self.ledger.waiting_until(workspace, now)
        return expected_end(imported, batches, next_call_at, now, self.calls_per_minute, self._tail)

    def summary(self, import_id: str) -> dict[str, Any]:
        """Read an import's summary.json; empty if there is none."""
        try:
            with self.reports.open(import_id, SUMMARY_NAME) as report:
                summary: dict[str, Any] = json.load(report)
        except ReportMissingError:
            return {}
        return summary

    def execution(self, imported: Import) -> str:
        """Return the status of an import's last execution, in AWS's words; "" if not started."""
        arn = self.execution_arn(imported.execution)
        try:
            found = self._machines.describe_execution(executionArn=arn)
        except self._machines.exceptions.ExecutionDoesNotExist:
            return ""
        return found["status"]

    def execution_arn(self, name: str) -> str:
        """Return the ARN of an execution."""
        return f"{self._machine.replace(':stateMachine:', ':execution:')}:{name}"

    def events(self, name: str, *, newest: int | None = None) -> "Iterator[HistoryEventTypeDef]":
        """Yield the events of an execution, or only its newest ones, newest first."""
        found = self._machines.get_paginator("get_execution_history").paginate(
            executionArn=self.execution_arn(name),
            reverseOrder=bool(newest),
            PaginationConfig={"MaxItems": newest, "PageSize": newest} if newest else {},
        )
        try:
            for page in found:
                yield from page["events"]
        except ClientError as error:
            if error.response["Error"]["Code"] != "ExecutionDoesNotExist":
                raise
