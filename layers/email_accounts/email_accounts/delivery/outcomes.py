"""How each row ended."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import Enum, StrEnum, auto

from email_accounts.intake.rows import Accepted, Duplicate, Rejected, RowResult
from email_accounts.models.account import RowWarning, WarningCode
from email_accounts.models.causes import (
    DUPLICATE,
    NOT_SENT,
    NOT_WORKING,
    OTHER_WORKSPACE,
    SUSPENDED,
    UNCONFIRMED,
    UNKNOWN,
    Cause,
    cause_of,
    rejection,
)
from email_accounts.models.imports import Batch, BatchState, ReasonCode, SignInState
from email_accounts.models.service import AccountStatus
from email_accounts.saleshandy.reconciliation import Observation
from email_accounts.saleshandy.report import Verdict
from email_accounts.sign_in.findings import Finding as SignInFinding
from email_accounts.sign_in.findings import MailboxFindings
from email_accounts.text.display import moment

_SEEN_COMPLETE = frozenset({BatchState.REPORTED, BatchState.COMPLETED, BatchState.RECONCILED})
_ALREADY_EXISTS = re.compile(r"already (?:exists|connected|added)", re.IGNORECASE)


class Outcome(StrEnum):
    """How a row can end, in the order of display."""

    CONNECTED = "connected"
    ALREADY_CONNECTED = "already_connected"
    FAILED = "failed"
    UNCONFIRMED = "unconfirmed"
    NOT_SENT = "not_sent"
    REJECTED = "rejected"
    DUPLICATE = "duplicate"


class Evidence(StrEnum):
    """The basis of an outcome; a refused request counts as a report."""

    ACCOUNT_LIST = "account list"
    REPORT = "report"
    SIGN_IN = "sign-in"
    NONE = "none"


class Finding(StrEnum):
    """Why an account that was sent has its outcome; the value is what people read.

    `{reason}` is the reason in the report, `{seen}` when the account list showed it.
    """

    NONE = ""
    LEFT_OUT = "already connected at {seen}: not sent, and its settings were not changed"
    FAILURE = "{reason}"
    NOT_PROVEN = "it was connected before and still is; the new settings are not proven"
    SETTINGS_REFUSED = "the old connection is still active, the new settings were refused: {reason}"
    CONTRADICTED = "the account list shows it as active, but the report says: {reason}"
    NOT_WORKING = "Saleshandy has saved it, but it is not connected there"
    SAVED_BEFORE = "Saleshandy had saved it before, and it is not connected there: {reason}"
    SUSPENDED = "the account list shows it as suspended"
    OTHER_WORKSPACE = "connected in another Saleshandy account"
    ABSENT = "the account list does not show it"
    STILL_TRIED = "the account list shows it as inactive; Saleshandy may still be trying it"
    NOT_VERIFIED = "reported, but not verified: the account list was not available"
    NOT_NAMED = "the report lists the connected accounts, and this one is not among them"


_CAUSES = {
    Finding.NOT_WORKING: NOT_WORKING,
    Finding.SAVED_BEFORE: NOT_WORKING,
    Finding.SUSPENDED: SUSPENDED,
    Finding.OTHER_WORKSPACE: OTHER_WORKSPACE,
}
Resolution = tuple[Outcome, Evidence, Finding]


@dataclass(frozen=True, slots=True)
class RowOutcome:
    """One line of outcome.csv.

    `reason` is quoted, `causes` explain it: none for a connected row, several for a rejected row
    with several problems. `provider` is the account's. `warnings` are those of a valid row;
    `sheet` is "" unless the file has several.
    """

    row: int
    address: str
    outcome: Outcome
    reason: str
    provider: str = ""
    causes: tuple[Cause, ...] = ()
    reason_code: ReasonCode | None = None
    evidence: Evidence = Evidence.NONE
    warnings: tuple[RowWarning, ...] = ()
    sheet: str = ""

    @property
    def place(self) -> str:
        """Where a person finds the row."""
        return f"{self.sheet} {self.row:,}" if self.sheet else f"{self.row:,}"

    @property
    def what_to_do(self) -> str:
        """The fixes of its causes, or none."""
        return " ".join(dict.fromkeys(cause.fix for cause in self.causes))


@dataclass(frozen=True, slots=True)
class BatchRecords:
    """What the report, the account list and the sign-in check say of a batch.

    Each is by the address in lower case, and empty if there is none.
    """

    verdicts: Mapping[str, Verdict]
    observations: Mapping[str, Observation]
    findings: Mapping[str, MailboxFindings]


def outcomes(
    examined: Iterator[RowResult],
    batches: Iterator[tuple[Batch, BatchRecords]],
    failure_reason: str,
    shown: Callable[[int], str] = str,
) -> Iterator[RowOutcome]:
    """Yield the outcome of each row in the order of the upload.

    `failure_reason` says why the import ended early: it is the reason of the rows whose batch was
    not sent, or not completed by the service. `shown` returns the number of a row as people know
    it.
    """
    batch: Batch | None = None
    for row in examined:
        if isinstance(row, Rejected):
            reason = "; ".join(
                f"{problem.column or problem.field}: {problem.message}" for problem in row.problems
            )
            causes = tuple(map(rejection, row.problems))
            yield RowOutcome(row.row, row.address, Outcome.REJECTED, reason, causes=causes)
        elif isinstance(row, Duplicate):
            reason = f"the same address as in row {shown(row.first_row)}"
            yield RowOutcome(row.row, row.address, Outcome.DUPLICATE, reason, causes=(DUPLICATE,))
        else:
            if batch is None or row.row > batch.range.last_row:
                batch, known = next(batches)
                names_successes = any(one.connected for one in known.verdicts.values())
            address = row.address.lower()
            found = known.findings.get(address)
            verdict = known.verdicts.get(address)
            observed = _observed(batch, known.observations.get(address))
            if observed.held:
                yield _held(row, found)
                continue
            if observed.sent and batch.state not in _SEEN_COMPLETE:
                outcome = _not_seen_complete(row, batch, failure_reason)
                yield _with_sign_in(outcome, row, batch, found)
                continue
            resolved = outcome_of(
                observed,
                verdict,
                names_successes=names_successes,
                may_be_tried=batch.reason_code is ReasonCode.NO_PROGRESS,
            )
            said = verdict.reason if verdict else ""
            outcome = _resolved(row, batch, resolved, said, observed.seen_at)
            yield _with_sign_in(outcome, row, batch, found)


def outcome_of(
    observed: Observation,
    verdict: Verdict | None,
    *,
    names_successes: bool = False,
    may_be_tried: bool = False,
) -> Resolution:
    """Decide on an account by what the account list and the report, if any, say of it.

    `names_successes` says that the report is no list of failures alone, so that its silence
    means nothing, `may_be_tried` that the service was not seen to have finished with the account.
    """
    said = _Said.of(verdict)
    if observed.held:
        return Outcome.REJECTED, Evidence.SIGN_IN, Finding.NONE
    if not observed.sent:
        finding = Finding.LEFT_OUT if observed.seen_at else Finding.NONE
        return Outcome.ALREADY_CONNECTED, Evidence.ACCOUNT_LIST, finding
    if observed.after is AccountStatus.ACTIVE:
        before = observed.before
        if before is AccountStatus.UNKNOWN and said is _Said.GOOD and not observed.is_new:
            before = AccountStatus.ACTIVE
        return _ACTIVE[before is AccountStatus.ACTIVE, said]
    if observed.after is AccountStatus.INACTIVE and said is _Said.GOOD and may_be_tried:
        return Outcome.UNCONFIRMED, Evidence.NONE, Finding.STILL_TRIED
    if observed.after is None and verdict is None and names_successes:
        return Outcome.UNCONFIRMED, Evidence.NONE, Finding.NOT_NAMED
    return _NOT_ACTIVE[observed.after, said]


class _Said(Enum):
    """What a report says of an account; one that does not name it says nothing bad."""

    GOOD = auto()
    FAILURE = auto()
    EXISTS = auto()

    @classmethod
    def of(cls, verdict: Verdict | None) -> "_Said":
        if verdict is None or verdict.connected:
            return cls.GOOD
        return cls.EXISTS if _ALREADY_EXISTS.search(verdict.reason) else cls.FAILURE


_FAILED_BY_LIST = (Outcome.FAILED, Evidence.ACCOUNT_LIST, Finding.FAILURE)
_FAILED_BY_REPORT = (Outcome.FAILED, Evidence.REPORT, Finding.FAILURE)
_ELSEWHERE = (Outcome.FAILED, Evidence.REPORT, Finding.OTHER_WORKSPACE)
_NOT_WORKING = (Outcome.FAILED, Evidence.ACCOUNT_LIST, Finding.NOT_WORKING)
_SAVED_BEFORE = (Outcome.FAILED, Evidence.ACCOUNT_LIST, Finding.SAVED_BEFORE)
_SUSPENDED = (Outcome.FAILED, Evidence.ACCOUNT_LIST, Finding.SUSPENDED)
_ACTIVE: dict[tuple[bool, _Said], Resolution] = {
    (False, _Said.GOOD): (Outcome.CONNECTED, Evidence.ACCOUNT_LIST, Finding.NONE),
    (False, _Said.FAILURE): (Outcome.UNCONFIRMED, Evidence.NONE, Finding.CONTRADICTED),
    (False, _Said.EXISTS): (Outcome.ALREADY_CONNECTED, Evidence.ACCOUNT_LIST, Finding.FAILURE),
    (True, _Said.GOOD): (Outcome.ALREADY_CONNECTED, Evidence.ACCOUNT_LIST, Finding.NOT_PROVEN),
    (True, _Said.FAILURE): (Outcome.FAILED, Evidence.ACCOUNT_LIST, Finding.SETTINGS_REFUSED),
    (True, _Said.EXISTS): (Outcome.ALREADY_CONNECTED, Evidence.ACCOUNT_LIST, Finding.FAILURE),
}
"""By whether it was active before it was sent."""
_NOT_ACTIVE: dict[tuple[AccountStatus | None, _Said], Resolution] = {
    (AccountStatus.INACTIVE, _Said.GOOD): _NOT_WORKING,
    (AccountStatus.INACTIVE, _Said.FAILURE): _FAILED_BY_LIST,
    (AccountStatus.INACTIVE, _Said.EXISTS): _SAVED_BEFORE,
    (AccountStatus.SUSPENDED, _Said.GOOD): _SUSPENDED,
    (AccountStatus.SUSPENDED, _Said.FAILURE): _SUSPENDED,
    (AccountStatus.SUSPENDED, _Said.EXISTS): _SUSPENDED,
    (AccountStatus.ABSENT, _Said.GOOD): (Outcome.UNCONFIRMED, Evidence.NONE, Finding.ABSENT),
    (AccountStatus.ABSENT, _Said.FAILURE): _FAILED_BY_REPORT,
    (AccountStatus.ABSENT, _Said.EXISTS): _ELSEWHERE,
    (AccountStatus.UNKNOWN, _Said.GOOD): (Outcome.UNCONFIRMED, Evidence.NONE, Finding.NOT_VERIFIED),
    (AccountStatus.UNKNOWN, _Said.FAILURE): _FAILED_BY_REPORT,
    (AccountStatus.UNKNOWN, _Said.EXISTS): _FAILED_BY_REPORT,
    (None, _Said.GOOD): (Outcome.CONNECTED, Evidence.REPORT, Finding.NONE),
    (None, _Said.FAILURE): _FAILED_BY_REPORT,
    (None, _Said.EXISTS): (Outcome.ALREADY_CONNECTED, Evidence.REPORT, Finding.FAILURE),
}


_SAYS_LITTLE = (UNKNOWN, NOT_WORKING, UNCONFIRMED, NOT_SENT)
_HELD = "the sign-in check proved that it does not work; what it found is no longer kept"
_UNTRIED = "sent without a sign-in check: {}"
_NO_FINDINGS = {
    SignInState.CHECKED: "what the sign-in check found is no longer kept",
    SignInState.TRYING: _UNTRIED.format("the check was interrupted"),
    SignInState.SKIPPED: _UNTRIED.format(
        "the time for sign-in checks was over, or the check failed"
    ),
}


def _held(row: Accepted, found: MailboxFindings | None) -> RowOutcome:
    """Return the outcome of a row that was not sent because its sign-in is proven not to work."""
    known = found.cause(row.settings) if found else None
    cause, reason = (known[0], _said(known[1])) if known else (UNKNOWN, _HELD)
    return RowOutcome(
        *(row.row, row.address, Outcome.REJECTED, reason, row.settings[0], (cause,)),
        evidence=Evidence.SIGN_IN,
        warnings=row.warnings,
    )


def _said(finding: SignInFinding) -> str:
    return f"the sign-in check: {finding.side.upper()}: {finding.said}"


def _with_sign_in(
    outcome: RowOutcome, row: Accepted, batch: Batch, found: MailboxFindings | None
) -> RowOutcome:
    """Add what the sign-in check found to an outcome, or that it tried nothing."""
    if found:
        not_tried = _UNTRIED.format(found.not_tried) if found.not_tried else ""
    else:
        not_tried = _NO_FINDINGS.get(batch.sign_in, "")
    if not_tried and outcome.outcome not in (Outcome.ALREADY_CONNECTED, Outcome.NOT_SENT):
        warning = RowWarning(WarningCode.SIGN_IN_NOT_TRIED, not_tried)
        outcome = replace(outcome, warnings=(*outcome.warnings, warning))
    known = found.cause(row.settings) if found else None
    if not known or not outcome.causes or outcome.causes[0] not in _SAYS_LITTLE:
        return outcome
    cause, said = known[0], _said(known[1])
    causes: tuple[Cause, ...] = (cause,)
    if outcome.outcome in (Outcome.UNCONFIRMED, Outcome.NOT_SENT):
        causes = (*outcome.causes, cause)
    reason = "; ".join(filter(None, (outcome.reason, said)))
    return replace(outcome, reason=reason, causes=causes)


def _not_seen_complete(row: Accepted, batch: Batch, failure_reason: str) -> RowOutcome:
    """Return the outcome of a row whose request was not sent, refused, or not seen to complete."""
    evidence, code = Evidence.NONE, batch.reason_code
    if batch.state is BatchState.REFUSED:
        outcome, evidence, code = Outcome.FAILED, Evidence.REPORT, ReasonCode.REQUEST_REFUSED
        reason = f"Saleshandy refused the request: {batch.reason}"
        cause = cause_of(reason, row.settings, code)
    elif batch.state is BatchState.PLANNED:
        outcome, code, cause = Outcome.NOT_SENT, ReasonCode.NOT_SENT, NOT_SENT
        reason = failure_reason
    else:
        outcome, cause, reason = Outcome.UNCONFIRMED, UNCONFIRMED, batch.reason or failure_reason
    return RowOutcome(
        *(row.row, row.address, outcome, reason, row.settings[0], (cause,), code, evidence),
        warnings=row.warnings,
    )


def _resolved(
    row: Accepted, batch: Batch, resolved: Resolution, said: str, seen_at: float
) -> RowOutcome:
    """Return the outcome of a row on which the account list or the report has decided."""
    outcome, evidence, finding = resolved
    reason = finding.format(reason=said, seen=moment(seen_at))
    causes: tuple[Cause, ...] = ()
    if outcome is Outcome.FAILED:
        causes = (_CAUSES.get(finding) or cause_of(said, row.settings),)
    elif outcome is Outcome.UNCONFIRMED:
        causes = (UNCONFIRMED,)
        reason = f"{batch.reason}; {reason}" if batch.reason else reason
    return RowOutcome(
        *(row.row, row.address, outcome, reason, row.settings[0], causes, batch.reason_code),
        evidence,
        row.warnings,
    )


def _observed(batch: Batch, observed: Observation | None) -> Observation:
    """Return what is observed of an account; a list that was not read counts as not available."""
    if batch.state is BatchState.REPORTED and (observed is None or observed.sent):
        before = observed.before if observed else AccountStatus.UNKNOWN
        return Observation(before, AccountStatus.UNKNOWN)
    if observed is None and batch.state is BatchState.RECONCILED:
        return Observation(after=AccountStatus.UNKNOWN)
    return observed or Observation()
