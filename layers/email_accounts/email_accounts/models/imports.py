"""What is remembered of an import and its batches, and the budget: never a password."""

from dataclasses import dataclass
from enum import StrEnum

from email_accounts.models.upload import Upload

MOST_UNCONFIRMED = 10
"""Batches of one import that may be unconfirmed before no more are sent."""
ANSWER_LOST = "the request was being sent when it was cut off, and the service may have received it"
UPLOAD_DELETED = "the file was deleted while it was being imported"


@dataclass(frozen=True, slots=True)
class BatchRange:
    """The accounts of one request: their number, between two rows of the upload."""

    number: int
    first_row: int
    last_row: int
    accounts: int


@dataclass(frozen=True, slots=True)
class Plan:
    """How an upload is sent, and how its rows were judged."""

    batches: tuple[BatchRange, ...]
    rows: int
    rejected: int
    duplicates: int

    @property
    def accepted(self) -> int:
        """How many rows are accounts."""
        return self.rows - self.rejected - self.duplicates


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
    RECONCILED = "listed"


FINAL = frozenset({BatchState.COMPLETED, BatchState.REFUSED, BatchState.RECONCILED})


@dataclass(frozen=True, slots=True)
class Import:
    """One upload's life. Times are seconds since the epoch.

    `began_at` is when it was taken on or last resumed, `resumed` how often that was. `refusal`
    says why the file as a whole was refused, `stopped` why nothing more is sent. `batches`
    counts them; `rows`, `accepted`, `rejected` and `duplicates` count rows.
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
    rows: int = 0
    accepted: int = 0
    rejected: int = 0
    duplicates: int = 0
    unknown_columns: tuple[str, ...] = ()

    @property
    def dropped_at(self) -> float:
        """When the file was dropped, or the import resumed."""
        return self.began_at if self.resumed else self.upload.uploaded_at or self.began_at

    @property
    def is_answered(self) -> bool:
        """Whether its answer was sent, and nothing more is done about it."""
        return self.state is ImportState.NOTIFIED

    @property
    def executions(self) -> list[str]:
        """The names of its executions, oldest first: each time it is resumed it has a new one."""
        return [self.id, *(f"{self.id}-{number}" for number in range(2, self.resumed + 2))]

    @property
    def execution(self) -> str:
        """The name of its last execution."""
        return self.executions[-1]


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
    next_poll_at: float = 0.0
    changed_at: float = 0.0
    reason: str = ""
    reports_missed: int = 0
    report: bool = False
    reconciliation: bool = False

    @property
    def number(self) -> int:
        """The batch's place in its import, from 1."""
        return self.range.number


@dataclass(frozen=True, slots=True)
class AccountScan:
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
