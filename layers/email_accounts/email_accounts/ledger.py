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
    DELIVERING = "delivering"
    NOTIFIED = "notified"


class BatchState(StrEnum):
    """The stations of a batch. The last three are final.

    What became of an unconfirmed one is looked for in the account list; when all that can be
    found there has been found, it is listed.
    """

    PLANNED = "planned"
    SENDING = "sending"
    SUBMITTED = "submitted"
    UNCONFIRMED = "unconfirmed"
    COMPLETED = "completed"
    REFUSED = "refused"
    LISTED = "listed"


FINAL = frozenset({BatchState.COMPLETED, BatchState.REFUSED, BatchState.LISTED})


@dataclass(frozen=True, slots=True)
class Import:
    """One upload's life. Times are seconds since the epoch.

    `began_at` is when it was taken on or last resumed, `resumed` how often that was. `refusal`
    says why the file as a whole was refused, `stopped` why nothing more is sent. `batches`
    counts them, `rejected` and `duplicates` count rows.
    """

    id: str
    upload: Upload
    state: ImportState
    received_at: float
    began_at: float
    deadline: float
    lease_until: float
    resumed: int = 0
    refusal: str = ""
    stopped: str = ""
    batches: int = 0
    rejected: int = 0
    duplicates: int = 0
    unknown_columns: tuple[str, ...] = ()

    @property
    def dropped_at(self) -> float:
        """When the file was dropped, or the import resumed."""
        return self.began_at if self.resumed else self.upload.uploaded_at or self.began_at

    @property
    def execution(self) -> str:
        """The name of its execution: each time it is resumed it has a new one."""
        return f"{self.id}-{self.resumed + 1}" if self.resumed else self.id


@dataclass(frozen=True, slots=True)
class Batch:
    """The accounts of one request and what became of it. Times are seconds since the epoch.

    `sent` counts how often it was sent and may have arrived; `look_at` is when it is to be looked
    at next, `changed_at` when its state last changed. `reason` is the remote's refusal, or why its
    answer or report is missing; `reports_missed` counts the times a report could not be had.
    `report` says that a cleaned copy of the remote's report lies in the reports bucket, `listing`
    that what the account list says of its accounts lies there.
    """

    range: BatchRange
    state: BatchState
    request_id: str = ""
    sent: int = 0
    sent_at: float = 0.0
    look_at: float = 0.0
    changed_at: float = 0.0
    reason: str = ""
    reports_missed: int = 0
    report: bool = False
    listing: bool = False

    @property
    def number(self) -> int:
        """The batch's place in its import, from 1."""
        return self.range.number


@dataclass(frozen=True, slots=True)
class Walk:
    """One way through the account list: from the newest account back to one created at `since`.

    `parts` names the pieces of it that lie in the reports bucket, each by its last page.
    """

    began_at: float
    since: float
    parts: tuple[int, ...] = ()
    done: bool = False

    @property
    def pages(self) -> int:
        """How many pages have been read."""
        return self.parts[-1] if self.parts else 0


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
        """Become the one who submits an import; False while somebody else is.

        Nobody does from the moment on when its answer is written.
        """

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

    def batches(self, import_id: str) -> Iterator[Batch]:
        """Yield the batches in their order."""

    def intend(self, import_id: str, number: int, now: float, *, listing: bool) -> bool:
        """Remember, before a request, that it is being sent; False unless it was planned."""

    def withdraw(self, import_id: str, number: int) -> None:
        """Remember that a request was not carried out: it is planned again.

        One that was being sent is no longer counted as sent: its answer said so at once.
        """

    def submitted(
        self, import_id: str, number: int, request_id: str, now: float, look_at: float
    ) -> None:
        """Remember the request id of a request being sent, and when to look at it."""

    def unconfirmed(
        self, import_id: str, number: int, reason: str, now: float, look_at: float
    ) -> None:
        """Remember that it is not known what became of a batch, and when to look for it."""

    def looked(
        self, import_id: str, number: int, look_at: float, *, reports_missed: int = 0
    ) -> None:
        """Remember when to look at a batch again."""

    def settle(  # noqa: PLR0913  what is not named stays as it is usual
        self,
        import_id: str,
        number: int,
        state: BatchState,
        now: float,
        *,
        reason: str = "",
        report: bool = False,
        listing: bool | None = None,
    ) -> None:
        """Remember how a batch ended, wherever it stood before its end.

        A `listing` of None leaves it as it was.
        """

    def take_call(
        self, workspace: str, holder: str, wanted: int, now: float, calls_per_minute: int
    ) -> float:
        """Take one call out of the budget, or a turn for up to so many; see `Budget`.

        Returns 0 when the call may be made now, else the seconds until the holder's turn.
        """

    def close_budget(self, workspace: str, now: float, until: float) -> None:
        """Let nobody call before a time, because the remote said so."""

    def walk(self, owner: str) -> Walk | None:
        """Return the last walk through the account list for a workspace or an import."""

    def take_walk(
        self, owner: str, seen: Walk | None, walk: Walk, now: float, lease_until: float
    ) -> bool:
        """Become the one who goes on with a walk, or begins one in place of the one seen.

        False while somebody else is, or when the last walk is no longer the one seen.
        """

    def walked(self, owner: str, walk: Walk) -> None:
        """Remember how far a walk has come, and let the next one go on."""

    def deliver(self, import_id: str, now: float, lease_until: float, *, last_resort: bool) -> bool:
        """Have nothing more sent, because the answer is written now; again where that broke off.

        False while somebody may still be submitting or writing the answer, and after it. An
        execution does one thing at a time, so that only the last resort waits for what it does.
        """

    def notified(self, import_id: str) -> bool:
        """Remember that the message was sent; False when it already had been."""

    def reopen(self, import_id: str, now: float, deadline: float) -> bool:
        """Take an import up again that was answered; False for any other.

        Batches whose end is not known for sure are looked at again.
        """
