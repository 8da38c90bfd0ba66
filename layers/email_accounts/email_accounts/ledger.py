"""What is remembered of an import and its batches, and the budget: never a password."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from email_accounts.batches import BatchRange, Plan
from email_accounts.upload import Upload


class ImportState(StrEnum):
    """The stations of an import."""

    RECEIVED = "received"
    PLANNED = "planned"
    REFUSED = "refused"
    NOTIFIED = "notified"


class BatchState(StrEnum):
    """The stations of a batch. The last three are final."""

    PLANNED = "planned"
    SENDING = "sending"
    SUBMITTED = "submitted"
    COMPLETED = "completed"
    REFUSED = "refused"
    UNCONFIRMED = "unconfirmed"


@dataclass(frozen=True, slots=True)
class Import:
    """One upload's life. Times are seconds since the epoch.

    `look_from` is the batch the next look begins with; `refusal` says why the file as a whole
    was refused, `stopped` why nothing more is sent.
    """

    id: str
    upload: Upload
    state: ImportState
    received_at: float
    deadline: float
    lease_until: float
    look_from: int = 1
    refusal: str = ""
    stopped: str = ""
    unknown_columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Batch:
    """The accounts of one request and what became of it.

    `reason` is the remote's refusal, or why its answer or report is missing; `report` says
    that a cleaned copy of the remote's report lies in the reports bucket.
    """

    range: BatchRange
    state: BatchState
    request_id: str = ""
    sent_at: float = 0.0
    reason: str = ""
    report: bool = False

    @property
    def number(self) -> int:
        """The batch's place in its import, from 1."""
        return self.range.number


class Ledger(Protocol):
    """The only memory.

    Every change of state is conditional on the state before it; one that does not fit raises
    `LedgerConflictError`, unless it answers with False.
    """

    def claim(self, upload: Upload, now: float, deadline: float, lease_until: float) -> bool:
        """Take an upload on, or take it over when the lease of its last holder has ended.

        False when somebody holds it, or when it has been answered.
        """

    def lease(self, import_id: str, now: float, lease_until: float) -> bool:
        """Become the one who submits an import; False while somebody else is."""

    def release(self, import_id: str) -> None:
        """Let the next submitter begin at once."""

    def get(self, import_id: str) -> Import:
        """Return the import."""

    def refuse(self, import_id: str, refusal: str) -> None:
        """Remember that the file as a whole is refused."""

    def plan(self, import_id: str, plan: Plan, unknown_columns: Sequence[str]) -> None:
        """Remember the batches, then that the import is planned."""

    def stop(self, import_id: str, reason: str) -> None:
        """Remember that nothing more is to be sent, and why."""

    def look_from(self, import_id: str, number: int) -> None:
        """Remember with which batch the next look begins."""

    def batches(self, import_id: str) -> Iterator[Batch]:
        """Yield the batches in their order."""

    def intend(self, import_id: str, number: int, now: float) -> bool:
        """Remember, before a request, that it is being sent; False unless it was planned."""

    def withdraw(self, import_id: str, number: int) -> None:
        """Remember that a request being sent was not carried out: it is planned again."""

    def submitted(self, import_id: str, number: int, request_id: str) -> None:
        """Remember the request id of a request being sent."""

    def settle(
        self, import_id: str, number: int, state: BatchState, reason: str, *, report: bool
    ) -> None:
        """Remember how a batch ended."""

    def take_call(self, workspace: str, now: float, calls_per_minute: int) -> float:
        """Take one call out of the budget.

        Returns 0 when it may be made now, else the seconds until one is free.
        """

    def notified(self, import_id: str) -> bool:
        """Remember that the message was sent; False when it already had been."""
