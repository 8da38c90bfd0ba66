"""What is remembered of an import and its batches, and the budget: never a password."""

from dataclasses import dataclass, field, replace
from enum import StrEnum

from email_accounts.errors import LedgerConflictError
from email_accounts.models.upload import Upload

MOST_UNCONFIRMED = 10
"""Batches of one import that may be unconfirmed before no more are sent."""
ANSWER_LOST = "the request was interrupted while it was sent, so Saleshandy may have received it"
UPLOAD_DELETED = "the file was deleted during its import"
FILE_NOT_READ = "Every attempt to read it failed. The log of submit_accounts says why."
NO_PROGRESS = "Saleshandy accepted the request, but made no progress for an hour"
LONGEST_DEADLINE = 86_400.0
"""Seconds after which every import is answered: the state machine ends an hour later."""
LEASE_MARGIN = 30.0
"""Seconds by which a lease outlasts the invocation that has it."""
OUTCOME_NAME = "outcome.csv"
PAGE_NAME = "report.html"
SUMMARY_NAME = "summary.json"
"""The reports of an answer."""


@dataclass(frozen=True, slots=True)
class BatchRange:
    """The accounts of one request: their number, between two rows of the upload."""

    number: int
    first_row: int
    last_row: int
    accounts: int


@dataclass(frozen=True, slots=True)
class Plan:
    """How an upload is sent, and how many of its rows are valid."""

    batches: tuple[BatchRange, ...]
    rows: int
    rejected: int
    duplicates: int

    @property
    def accepted(self) -> int:
        """How many rows are accounts."""
        return self.rows - self.rejected - self.duplicates


class ImportState(StrEnum):
    """The states of an import."""

    RECEIVED = "received"
    PLANNED = "planned"
    REFUSED = "refused"
    DELIVERING = "delivering"
    NOTIFIED = "notified"


class BatchState(StrEnum):
    """The states of a batch. The last three are final.

    A reported batch is finished at Saleshandy, and the account list has yet to verify it. An
    unconfirmed one is looked up there; a reconciled one was decided by it, perhaps in part.
    """

    PLANNED = "planned"
    SENDING = "sending"
    SUBMITTED = "submitted"
    REPORTED = "reported"
    UNCONFIRMED = "unconfirmed"
    COMPLETED = "completed"
    REFUSED = "refused"
    RECONCILED = "listed"


class SignInState(StrEnum):
    """Whether the sign-in check tried the mailboxes of a batch.

    `trying` is written before the first attempt, so that none is made twice; a batch that stays so
    was interrupted. One that is sent untried is skipped.
    """

    NONE = ""
    TRYING = "trying"
    CHECKED = "checked"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class SignIns:
    """How many mailboxes signed in, are proven not to work, and did not sign in without proof.

    The others were not tried.
    """

    signed_in: int = 0
    proven: int = 0
    unproven: int = 0

    def __add__(self, other: "SignIns") -> "SignIns":
        """Add up."""
        return SignIns(
            self.signed_in + other.signed_in,
            self.proven + other.proven,
            self.unproven + other.unproven,
        )


class ReasonCode(StrEnum):
    """Why an import, a batch or a row is in its state; the text beside it is for people."""

    FILE_REFUSED = "file_refused"
    """The file cannot be used."""
    WRONG_FOLDER = "wrong_folder"
    """Its folder is no workspace."""
    UPLOAD_DELETED = "upload_deleted"
    """The file was deleted or replaced."""
    FILE_NOT_READ = "file_not_read"
    """Every attempt to read the file failed."""
    API_KEY_REFUSED = "api_key_refused"
    """Saleshandy refused the API key."""
    API_KEY_MISSING = "api_key_missing"
    """The workspace has no API key."""
    SUBMISSION_FAILED = "submission_failed"
    """Every attempt to submit failed."""
    STOPPED_BY_OPERATOR = "stopped_by_operator"
    """An operator stopped the import."""
    REQUEST_REFUSED = "request_refused"
    """Saleshandy refused the request."""
    ANSWER_LOST = "answer_lost"
    """The request was sent, but its response is missing."""
    REQUEST_FORGOTTEN = "request_forgotten"
    """Saleshandy does not know the request id."""
    REPORT_MISSING = "report_missing"
    """Saleshandy's report could not be fetched."""
    NO_PROGRESS = "no_progress"
    """Saleshandy made no progress for an hour."""
    NOT_SENT = "not_sent"
    """The request was never sent."""
    DEADLINE_PASSED = "deadline_passed"
    """The deadline passed."""
    EXECUTION_FAILED = "execution_failed"
    """The execution failed, timed out or was stopped."""


FINAL = frozenset({BatchState.COMPLETED, BatchState.REFUSED, BatchState.RECONCILED})
_OPEN = tuple(state for state in BatchState if state not in FINAL)


@dataclass(frozen=True, slots=True)
class Import:
    """One upload's life. Times are seconds since the epoch.

    `began_at` is when it was received or last resumed, `resumed` how often that was. `refusal`
    says why the file as a whole was refused, `stopped` why nothing more is sent; `reason_code`
    is the code of either. `attempts` counts the invocations that have taken the lease since one
    last gave it back. `batches` counts them; `rows`, `accepted`, `rejected` and `duplicates` count
    rows. `expected_end` is the estimate made when it was planned, 0 before.
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
    reason_code: ReasonCode | None = None
    attempts: int = 0
    batches: int = 0
    rows: int = 0
    accepted: int = 0
    rejected: int = 0
    duplicates: int = 0
    unknown_columns: tuple[str, ...] = ()
    expected_end: float = 0.0

    @property
    def dropped_at(self) -> float:
        """When the file was uploaded, or the import resumed."""
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
    """The accounts of one request and its state. Times are seconds since the epoch.

    `sent` counts the sendings that may have arrived; `next_poll_at` is when it is polled next,
    `changed_at` when its state last changed, or was unknown for a while. `reason` is
    Saleshandy's refusal, or why its answer or report is missing; `reports_missed` counts the times
    a report could not be had. `report` says that a cleaned copy of its report is in the reports
    bucket, `reconciliation` that the reconciliation record is there, `sign_in` how far the sign-in
    check came, `sign_ins` what it found. `revision` names the ledger's last write of it.

    The methods return the batch in its next state. They raise LedgerConflictError where that
    state does not follow; `Ledger.save` remembers the result.
    """

    range: BatchRange
    state: BatchState
    request_id: str = ""
    sent: int = 0
    sent_at: float = 0.0
    next_poll_at: float = 0.0
    changed_at: float = 0.0
    reason: str = ""
    reason_code: ReasonCode | None = None
    reports_missed: int = 0
    report: bool = False
    reconciliation: bool = False
    sign_in: SignInState = SignInState.NONE
    sign_ins: SignIns = SignIns()
    revision: str = field(default="", compare=False)

    @property
    def number(self) -> int:
        """The batch's place in its import, from 1."""
        return self.range.number

    @property
    def was_tried(self) -> bool:
        """Whether the sign-in check began with its mailboxes."""
        return self.sign_in in (SignInState.TRYING, SignInState.CHECKED)

    def trying(self) -> "Batch":
        """Return it as it is just before the first attempt to sign in."""
        self._must_be(BatchState.PLANNED)
        return replace(self, sign_in=SignInState.TRYING)

    def found(self, sign_ins: SignIns) -> "Batch":
        """Return it with what the sign-in check found so far; details are in the reports bucket."""
        self._must_be(BatchState.PLANNED)
        return replace(self, sign_ins=sign_ins)

    def checked(self) -> "Batch":
        """Return it as one whose mailboxes were all tried."""
        self._must_be(BatchState.PLANNED)
        return replace(self, sign_in=SignInState.CHECKED)

    def unchecked(self) -> "Batch":
        """Return it as one that is sent although its mailboxes were not tried."""
        return self if self.sign_in else replace(self, sign_in=SignInState.SKIPPED)

    def sending(self, now: float, *, reconciliation: bool) -> "Batch":
        """Return it as it is just before its request."""
        self._must_be(BatchState.PLANNED)
        return replace(
            self,
            state=BatchState.SENDING,
            sent=self.sent + 1,
            sent_at=now,
            changed_at=now,
            reason="",
            reason_code=None,
            report=False,
            reconciliation=reconciliation,
        )

    def withdrawn(self) -> "Batch":
        """Return it as planned: its request was not carried out.

        One that was being sent no longer counts as sent: its response was definite.
        """
        self._must_be(BatchState.SENDING, BatchState.UNCONFIRMED)
        sent = self.sent - (self.state is BatchState.SENDING)
        return replace(self, state=BatchState.PLANNED, sent=sent)

    def submitted(self, request_id: str, now: float, next_poll_at: float) -> "Batch":
        """Return it with its request id."""
        self._must_be(BatchState.SENDING)
        return replace(
            self,
            state=BatchState.SUBMITTED,
            request_id=request_id,
            changed_at=now,
            next_poll_at=next_poll_at,
        )

    def unconfirmed(
        self, code: ReasonCode, reason: str, now: float, next_poll_at: float
    ) -> "Batch":
        """Return it as one whose outcome is not known, to be reconciled at a time."""
        self._must_be(BatchState.SENDING, BatchState.SUBMITTED)
        return replace(
            self,
            state=BatchState.UNCONFIRMED,
            reason=reason,
            reason_code=code,
            changed_at=now,
            next_poll_at=next_poll_at,
        )

    def polled(self, next_poll_at: float, *, reports_missed: int = 0) -> "Batch":
        """Return it with the time of its next poll."""
        self._must_be(BatchState.SUBMITTED, BatchState.REPORTED, BatchState.UNCONFIRMED)
        return replace(self, next_poll_at=next_poll_at, reports_missed=reports_missed)

    def reported(
        self, now: float, next_poll_at: float, *, report: bool, missing: str = ""
    ) -> "Batch":
        """Return it as Saleshandy finished it, to be verified at a time.

        `missing` says why its report could not be had, where there should be one. A copy that was
        kept of it earlier stays, although its link may have expired since.
        """
        self._must_be(BatchState.SUBMITTED)
        return replace(
            self,
            state=BatchState.REPORTED,
            reason=missing,
            reason_code=ReasonCode.REPORT_MISSING if missing else None,
            report=report or self.report,
            changed_at=now,
            next_poll_at=next_poll_at,
        )

    def verified(self, now: float) -> "Batch":
        """Return it as the account list showed it, with nothing left to be found."""
        self._must_be(BatchState.REPORTED)
        return replace(self, state=BatchState.COMPLETED, changed_at=now, reconciliation=True)

    def completed(
        self, now: float, *, report: bool = False, reconciliation: bool | None = None
    ) -> "Batch":
        """Return it as Saleshandy completed it; a `reconciliation` of None leaves that as it is."""
        self._must_be(*_OPEN)
        return replace(
            self,
            state=BatchState.COMPLETED,
            changed_at=now,
            reason="",
            reason_code=None,
            report=report or self.report,
            reconciliation=self.reconciliation if reconciliation is None else reconciliation,
        )

    def refused(self, reason: str, now: float) -> "Batch":
        """Return it as Saleshandy refused it."""
        self._must_be(BatchState.SENDING)
        return replace(
            self,
            state=BatchState.REFUSED,
            changed_at=now,
            reason=reason,
            reason_code=ReasonCode.REQUEST_REFUSED,
        )

    def reconciled(self, now: float) -> "Batch":
        """Return it as the account list decided it; why it was unconfirmed stays."""
        self._must_be(BatchState.REPORTED, BatchState.UNCONFIRMED)
        return replace(self, state=BatchState.RECONCILED, changed_at=now, reconciliation=True)

    def reopened(self, now: float) -> "Batch":
        """Return it as it is polled again where its import is restarted: if its end is not sure."""
        if self.state not in (BatchState.RECONCILED, BatchState.UNCONFIRMED):
            return self
        state = BatchState.SUBMITTED if self.request_id else BatchState.UNCONFIRMED
        return replace(self, state=state, next_poll_at=now, reports_missed=0)

    def _must_be(self, *states: BatchState) -> None:
        if self.state not in states:
            raise LedgerConflictError(f"batch {self.number} is {self.state}")
