"""The outcome of each row."""

import io
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime
from itertools import product

import pytest

from email_accounts.delivery.outcomes import (
    BatchRecords,
    Evidence,
    Finding,
    Outcome,
    RowOutcome,
    outcome_of,
    outcomes,
)
from email_accounts.intake.accounts_file import open_accounts_file
from email_accounts.intake.batches import plan
from email_accounts.models.causes import NOT_WORKING
from email_accounts.models.imports import (
    NO_PROGRESS,
    Batch,
    BatchRange,
    BatchState,
    ReasonCode,
    SignInState,
)
from email_accounts.models.service import AccountStatus
from email_accounts.saleshandy.reconciliation import Observation
from email_accounts.saleshandy.report import Verdict
from email_accounts.sign_in.findings import REFUSED_BY_SMTP, MailboxFindings
from email_accounts.sign_in.findings import Finding as SideFinding
from email_accounts.sign_in.findings import Verdict as SignInVerdict
from tests.support.files import accounts_file, row

ENDED_EARLY = "the deadline passed"


def outcomes_of(
    content: bytes,
    batches: Iterable[Batch],
    verdicts: dict[int, dict[str, Verdict]] | None = None,
    observed: dict[int, dict[str, Observation]] | None = None,
    found: dict[int, dict[str, MailboxFindings]] | None = None,
) -> list[RowOutcome]:
    """Return the outcome of each row, with what is known on each batch by its number."""
    known = (
        (
            one,
            BatchRecords(
                (verdicts or {})[one.number] if one.report else {},
                (observed or {})[one.number] if one.reconciliation else {},
                (found or {})[one.number] if one.was_tried else {},
            ),
        )
        for one in batches
    )
    return list(outcomes(open_accounts_file(io.BytesIO(content)).rows, known, ENDED_EARLY))


def one_batch(
    state: BatchState, reason: str = "", *, report: bool = False, reconciliation: bool = False
) -> list[Batch]:
    """Make the only batch of a file with one row."""
    return [
        Batch(
            BatchRange(1, 2, 2, 1),
            state,
            request_id="r1",
            reason=reason,
            report=report,
            reconciliation=reconciliation,
        )
    ]


def the_one(
    batches: list[Batch],
    *verdicts: tuple[str, Verdict],
    observed: Observation | None = None,
) -> RowOutcome:
    """Return the outcome of the only row of a file."""
    observations = {"robin@north.example": observed} if observed else {}
    content = accounts_file("Robin@north.example")
    (outcome,) = outcomes_of(content, batches, {1: dict(verdicts)}, {1: observations})
    assert (outcome.row, outcome.address) == (2, "Robin@north.example")
    return outcome


@pytest.mark.parametrize(
    ("state", "said", "outcome", "reason", "codes"),
    [
        (BatchState.COMPLETED, "why", Outcome.CONNECTED, "", []),
        (
            BatchState.REFUSED,
            "why",
            Outcome.FAILED,
            "Saleshandy refused the request: why",
            ["request_refused"],
        ),
        (BatchState.UNCONFIRMED, "why", Outcome.UNCONFIRMED, "why", ["unconfirmed"]),
        (BatchState.PLANNED, "why", Outcome.NOT_SENT, ENDED_EARLY, ["not_sent"]),
        # What ended the import early is the reason of a batch under way, which has none itself.
        (BatchState.SENDING, "", Outcome.UNCONFIRMED, ENDED_EARLY, ["unconfirmed"]),
        (BatchState.SUBMITTED, "", Outcome.UNCONFIRMED, ENDED_EARLY, ["unconfirmed"]),
    ],
)
def test_the_state_of_a_batch_decides_about_its_rows(
    state: BatchState, said: str, outcome: Outcome, reason: str, codes: list[str]
) -> None:
    """Sent and complete is connected; what may have been sent is never called failed.

    Every outcome that is not good has a cause, and with it something to do.
    """
    got = the_one(one_batch(state, said))
    assert (got.outcome, got.reason) == (outcome, reason)
    assert [cause.code for cause in got.causes] == codes
    assert bool(got.what_to_do) == bool(codes)


@pytest.mark.parametrize(
    ("verdict", "outcome", "reason"),
    [
        (Verdict(connected=True, reason="fine"), Outcome.CONNECTED, ""),
        (Verdict(connected=False, reason="535 refused"), Outcome.FAILED, "535 refused"),
        (
            Verdict(connected=False, reason="Email already exists"),
            Outcome.ALREADY_CONNECTED,
            "Email already exists",
        ),
    ],
)
def test_a_report_decides_about_the_rows_it_names(
    verdict: Verdict, outcome: Outcome, reason: str
) -> None:
    """The address is looked for but for its case."""
    got = the_one(one_batch(BatchState.COMPLETED, report=True), ("robin@north.example", verdict))
    assert (got.outcome, got.reason) == (outcome, reason)


def test_a_row_that_a_report_of_failures_does_not_name_is_connected() -> None:
    """The report names what went wrong."""
    other = ("toni@north.example", Verdict(connected=False, reason="535"))
    got = the_one(one_batch(BatchState.COMPLETED, report=True), other)
    assert got.outcome is Outcome.CONNECTED


GOOD = Verdict(connected=True, reason="Connected")
REFUSED = Verdict(connected=False, reason="535 refused")
EXISTS = Verdict(connected=False, reason="Email account already exists")
EVERY = tuple(AccountStatus)
NOT_ACTIVE = tuple(one for one in AccountStatus if one not in (EVERY[0], AccountStatus.UNKNOWN))
NEW_OR_NOT = (True, False)

TABLE = [
    # before, after, what the report says, whether created after sending → outcome and evidence
    (NOT_ACTIVE, "active", (None, GOOD), NEW_OR_NOT, "connected", "account list"),
    (NOT_ACTIVE, "active", (REFUSED,), NEW_OR_NOT, "unconfirmed", "none"),
    (["active"], "active", (None, GOOD), NEW_OR_NOT, "already_connected", "account list"),
    (["active"], "active", (REFUSED,), NEW_OR_NOT, "failed", "account list"),
    (["unknown"], "active", (None, GOOD), (True,), "connected", "account list"),
    (["unknown"], "active", (None, GOOD), (False,), "already_connected", "account list"),
    (["unknown"], "active", (REFUSED,), NEW_OR_NOT, "unconfirmed", "none"),
    (EVERY, "active", (EXISTS,), NEW_OR_NOT, "already_connected", "account list"),
    (EVERY, "inactive", (REFUSED, EXISTS), NEW_OR_NOT, "failed", "account list"),
    (EVERY, "inactive", (None, GOOD), NEW_OR_NOT, "failed", "account list"),
    (EVERY, "suspended", (None, GOOD, REFUSED, EXISTS), NEW_OR_NOT, "failed", "account list"),
    (EVERY, "absent", (REFUSED,), NEW_OR_NOT, "failed", "report"),
    (EVERY, "absent", (EXISTS,), NEW_OR_NOT, "failed", "report"),
    (EVERY, "absent", (None, GOOD), NEW_OR_NOT, "unconfirmed", "none"),
    (EVERY, "unknown", (REFUSED, EXISTS), NEW_OR_NOT, "failed", "report"),
    (EVERY, "unknown", (None, GOOD), NEW_OR_NOT, "unconfirmed", "none"),
    (EVERY, None, (None, GOOD), NEW_OR_NOT, "connected", "report"),
    (EVERY, None, (REFUSED,), NEW_OR_NOT, "failed", "report"),
    (EVERY, None, (EXISTS,), NEW_OR_NOT, "already_connected", "report"),
]


@pytest.mark.parametrize(("before", "after", "said", "is_new", "outcome", "evidence"), TABLE)
def test_the_list_and_the_report_decide_together(  # noqa: PLR0913, PLR0917  a line of the table
    before: Iterable[str],
    after: str | None,
    said: Iterable[Verdict | None],
    is_new: Iterable[bool],
    outcome: str,
    evidence: str,
) -> None:
    """Nothing is connected that the list, where it was asked, has not shown to be active."""
    status = AccountStatus(after) if after else None
    for was, verdict, new in product(before, said, is_new):
        observed = Observation(AccountStatus(was), status, new)
        assert outcome_of(observed, verdict)[:2] == (outcome, evidence), observed


def test_the_table_is_whole() -> None:
    """Each case is in exactly one line."""
    cases = Counter(
        case
        for before, after, said, is_new, *_ in TABLE
        for case in product(map(str, before), [after], said, is_new)
    )
    after = (*map(str, AccountStatus), None)
    assert set(cases) == set(
        product(map(str, EVERY), after, (None, GOOD, REFUSED, EXISTS), NEW_OR_NOT)
    )
    assert set(cases.values()) == {1}


@pytest.mark.parametrize(
    ("observed", "verdict", "reason"),
    [
        (Observation(after=AccountStatus.ACTIVE), None, "the new settings are not proven"),
        (
            Observation(AccountStatus.ACTIVE, AccountStatus.ACTIVE),
            REFUSED,
            "the old connection is still active, the new settings were refused: 535 refused",
        ),
        (
            Observation(AccountStatus.ABSENT, AccountStatus.ACTIVE),
            REFUSED,
            "the account list shows it as active, but the report says: 535 refused",
        ),
        (Observation(after=AccountStatus.INACTIVE), REFUSED, "535 refused"),
        (Observation(after=AccountStatus.INACTIVE), None, "saved it, but it is not connected"),
        (Observation(after=AccountStatus.INACTIVE), EXISTS, "had saved it before, and it is not"),
        (Observation(after=AccountStatus.SUSPENDED), None, "shows it as suspended"),
        (Observation(after=AccountStatus.ABSENT), EXISTS, "another Saleshandy account"),
        (Observation(after=AccountStatus.ABSENT), None, "the account list does not show it"),
        (Observation(after=AccountStatus.UNKNOWN), None, "reported, but not verified"),
        (Observation(AccountStatus.ABSENT, AccountStatus.ACTIVE), None, ""),
    ],
)
def test_a_row_says_what_it_rests_on(
    observed: Observation, verdict: Verdict | None, reason: str
) -> None:
    """Where list and report disagree, both are quoted."""
    batches = one_batch(BatchState.COMPLETED, report=True, reconciliation=True)
    said = [("robin@north.example", verdict)] if verdict else []
    got = the_one(batches, *said, observed=observed)
    assert reason in got.reason
    assert bool(reason) == bool(got.reason)


def test_an_account_that_exists_and_does_not_work_is_to_be_reconnected() -> None:
    """Uploading its fixed row again never helps."""
    batches = one_batch(BatchState.COMPLETED, report=True, reconciliation=True)
    observed = Observation(AccountStatus.INACTIVE, AccountStatus.INACTIVE)
    got = the_one(batches, ("robin@north.example", EXISTS), observed=observed)
    assert got.causes == (NOT_WORKING,)


def test_an_account_that_may_still_be_tried_has_not_failed() -> None:
    """The request made no progress for an hour: that it is inactive says nothing yet."""
    observed = Observation(AccountStatus.ABSENT, AccountStatus.INACTIVE)
    (batch,) = one_batch(BatchState.RECONCILED, NO_PROGRESS, reconciliation=True)
    batches = [replace(batch, reason_code=ReasonCode.NO_PROGRESS)]
    got = the_one(batches, observed=observed)
    assert (got.outcome, got.evidence) == (Outcome.UNCONFIRMED, Evidence.NONE)
    assert outcome_of(observed, REFUSED, may_be_tried=True)[0] is Outcome.FAILED


def test_a_report_that_names_successes_says_nothing_by_its_silence() -> None:
    """It is no list of failures, and may have been cut at the end of a line."""
    other = ("toni@north.example", GOOD)
    got = the_one(one_batch(BatchState.COMPLETED, report=True), other)
    assert (got.outcome, got.evidence) == (Outcome.UNCONFIRMED, Evidence.NONE)
    assert got.reason == Finding.NOT_NAMED


@pytest.mark.parametrize(("verdict", "outcome"), [(None, "unconfirmed"), (REFUSED, "failed")])
def test_what_was_reported_and_not_verified_is_not_connected(
    verdict: Verdict | None, outcome: str
) -> None:
    """The deadline came before the list was read."""
    said = [("robin@north.example", verdict)] if verdict else []
    for observed in (None, Observation(AccountStatus.ABSENT)):
        batches = one_batch(
            BatchState.REPORTED, report=bool(verdict), reconciliation=observed is not None
        )
        assert the_one(batches, *said, observed=observed).outcome == outcome


@pytest.mark.parametrize("state", BatchState)
def test_what_was_connected_before_is_so_whatever_became_of_its_batch(state: BatchState) -> None:
    """An address that was skipped was not sent, so that no answer to its batch is about it."""
    refused = ("robin@north.example", Verdict(connected=False, reason="535"))
    batches = one_batch(state, "why", report=True, reconciliation=True)
    seen_at = datetime(2026, 11, 26, 9, 30, tzinfo=UTC).timestamp()
    observed = Observation(AccountStatus.ACTIVE, sent=False, seen_at=seen_at)
    got = the_one(batches, refused, observed=observed)
    assert (got.outcome, got.reason) == (
        Outcome.ALREADY_CONNECTED,
        "already connected at 2026-11-26 09:30 UTC: not sent, and its settings were not changed",
    )
    earlier = the_one(batches, refused, observed=replace(observed, seen_at=0.0))
    assert (earlier.outcome, earlier.reason) == (Outcome.ALREADY_CONNECTED, "")


def test_each_row_is_judged_by_its_own_batch() -> None:
    """Rejected and double rows between and around the batches do not shift them."""
    bad = row("bad@north.example", smtpPort="0", imapHost="imap")
    names = [f"m{at}@north.example" for at in range(5)]
    content = accounts_file(
        bad, names[0], names[0], names[1], bad, names[2], names[3].upper(), names[4], names[4], bad
    )
    ranges = plan(open_accounts_file(io.BytesIO(content)), 2).batches
    refused = Verdict(connected=False, reason="535")
    got = outcomes_of(
        content,
        [
            Batch(ranges[0], BatchState.COMPLETED, report=True),
            Batch(ranges[1], BatchState.COMPLETED, report=True),
            Batch(ranges[2], BatchState.RECONCILED, reason="lost", reconciliation=True),
        ],
        {1: {names[1]: refused, names[2]: refused}, 2: {names[3]: refused}},
        {3: {names[0]: Observation(after=AccountStatus.ACTIVE)}},
    )
    assert [one.row for one in got] == list(range(2, 12))
    assert [one.outcome for one in got] == [
        Outcome.REJECTED,
        Outcome.CONNECTED,
        Outcome.DUPLICATE,
        Outcome.FAILED,
        Outcome.REJECTED,
        Outcome.CONNECTED,
        Outcome.FAILED,
        Outcome.UNCONFIRMED,
        Outcome.DUPLICATE,
        Outcome.REJECTED,
    ]


def test_a_rejected_row_names_all_its_fields_and_cures() -> None:
    """Anyone who fixes the row needs to fix it once only."""
    (got,) = outcomes_of(accounts_file(row("bad@north.example", smtpPort="0", imapHost="imap")), [])
    assert got.reason == ("smtpPort: not a port; imapHost: not the name of a mail server")
    assert [cause.code for cause in got.causes] == ["port_invalid", "host_invalid"]
    assert got.what_to_do.startswith("Enter a number from 1 to 65535")
    assert "Enter its full name, such as smtp.gmail.com" in got.what_to_do


def test_a_cure_that_helps_twice_is_told_once() -> None:
    """Both ports are fixed alike."""
    (got,) = outcomes_of(accounts_file(row("bad@north.example", smtpPort="0", imapPort="0")), [])
    assert got.what_to_do.count("Enter a number") == 1


def test_a_duplicate_names_the_row_that_is_sent() -> None:
    """Its owner finds the other one by it."""
    got = outcomes_of(accounts_file("a@b.example", "A@b.example"), one_batch(BatchState.COMPLETED))
    assert (got[1].outcome, got[1].reason) == (Outcome.DUPLICATE, "the same address as in row 2")


def test_a_file_without_accounts_needs_no_batches() -> None:
    """All its rows are rejected."""
    got = outcomes_of(accounts_file(row(""), row("")), [])
    assert [one.outcome for one in got] == [Outcome.REJECTED, Outcome.REJECTED]


def test_a_failure_is_understood_by_the_settings_of_its_row() -> None:
    """The same words mean another thing at another provider."""
    refused = Verdict(connected=False, reason="535 authentication failed")
    for provider, code in (
        ("gsuite", "google_app_password"),
        ("o365", "microsoft_sign_in"),
        ("other", "wrong_password"),
    ):
        (got,) = outcomes_of(
            accounts_file(row("a@b.example", emailServiceProvider=provider)),
            one_batch(BatchState.COMPLETED, report=True),
            {1: {"a@b.example": refused}},
        )
        assert (got.provider, [cause.code for cause in got.causes]) == (provider, [code])
        assert got.reason == "535 authentication failed"
        assert got.what_to_do


def test_the_settings_of_short_and_padded_rows_are_known() -> None:
    """Blanks around cells and cells that are missing do not change a provider."""
    content = b"email,password,provider,note\n a@gmail.com , x , google \nb@outlook.com,y\n"
    got = outcomes_of(content, [Batch(BatchRange(1, 2, 3, 2), BatchState.COMPLETED)])
    assert [one.provider for one in got] == ["gmail", "microsoft"]


# The sign-in check


def one_checked_batch(sign_in: SignInState, state: BatchState = BatchState.COMPLETED) -> Batch:
    """Make the only batch of a file with one row, as the sign-in check left it."""
    return replace(one_batch(state)[0], sign_in=sign_in)


REFUSING = SideFinding("smtp", SignInVerdict.REFUSED, "535 5.7.8 authentication failed")
UNTRIED = SideFinding("imap", SignInVerdict.NOT_TRIED, REFUSED_BY_SMTP)
WORKS = SideFinding("smtp", SignInVerdict.SIGNED_IN, "")
CLOSED = SideFinding("imap", SignInVerdict.NOT_TRIED, "3 sign-ins in a row were refused")
ADDRESS = "a@x.example"
UNCHECKED = "sent without a sign-in check: "


@pytest.mark.parametrize("state", [BatchState.COMPLETED, BatchState.REPORTED])
@pytest.mark.parametrize(
    ("findings", "reason", "cause"),
    [
        (
            {ADDRESS: MailboxFindings(REFUSING, UNTRIED)},
            "the sign-in check: SMTP: 535 5.7.8 authentication failed",
            "google_app_password",
        ),
        (
            {},
            "the sign-in check proved that it does not work; what it found is no longer kept",
            "unknown",
        ),
    ],
)
def test_a_row_that_was_held_back_is_rejected_in_the_words_of_its_server(
    state: BatchState, findings: dict[str, MailboxFindings], reason: str, cause: str
) -> None:
    """Whatever happened to its batch, and whether or not the words are still there."""
    batch = replace(one_checked_batch(SignInState.CHECKED, state), reconciliation=True)
    observed = {1: {ADDRESS: Observation(sent=False, held=True)}}
    (row,) = outcomes_of(accounts_file(ADDRESS), [batch], observed=observed, found={1: findings})
    assert (row.outcome, row.evidence, row.reason) == (Outcome.REJECTED, Evidence.SIGN_IN, reason)
    assert [one.code for one in row.causes] == [cause]
    assert row.what_to_do


def test_a_row_that_was_sent_is_not_called_held_back_afterwards() -> None:
    """Findings may be written while the batch is sent; a row that was never sent keeps them."""
    found = {1: {ADDRESS: MailboxFindings(REFUSING, UNTRIED)}}
    (row,) = outcomes_of(
        accounts_file(ADDRESS), [one_checked_batch(SignInState.TRYING)], found=found
    )
    assert row.outcome is Outcome.CONNECTED
    never = one_checked_batch(SignInState.TRYING, BatchState.PLANNED)
    (row,) = outcomes_of(accounts_file(ADDRESS), [never], found=found)
    assert row.outcome is Outcome.NOT_SENT
    assert [one.code for one in row.causes] == ["not_sent", "google_app_password"]


@pytest.mark.parametrize(
    ("sign_in", "findings", "says"),
    [
        (SignInState.NONE, {}, ""),
        (SignInState.TRYING, {}, f"{UNCHECKED}the check was interrupted"),
        (
            SignInState.SKIPPED,
            {},
            f"{UNCHECKED}the time for sign-in checks was over, or the check failed",
        ),
        (SignInState.CHECKED, {}, "what the sign-in check found is no longer kept"),
        (SignInState.TRYING, {ADDRESS: MailboxFindings(REFUSING, UNTRIED)}, ""),
        (SignInState.CHECKED, {ADDRESS: MailboxFindings(REFUSING, UNTRIED)}, ""),
        (
            SignInState.CHECKED,
            {ADDRESS: MailboxFindings(WORKS, CLOSED)},
            f"{UNCHECKED}{CLOSED.said}",
        ),
    ],
)
def test_a_row_that_is_sent_untried_says_so(
    sign_in: SignInState, findings: dict[str, MailboxFindings], says: str
) -> None:
    """Not one whose IMAP server was spared because SMTP had refused the same credentials."""
    found = {1: findings}
    (row,) = outcomes_of(accounts_file(ADDRESS), [one_checked_batch(sign_in)], found=found)
    assert row.outcome is Outcome.CONNECTED
    untried = [one.message for one in row.warnings if one.code == "sign_in_not_tried"]
    assert untried == [says] * bool(says)


def test_a_row_that_is_skipped_is_not_called_sent_untried() -> None:
    """It is connected already, and was not sent at all."""
    batch = replace(one_checked_batch(SignInState.SKIPPED), reconciliation=True)
    observed = {1: {ADDRESS: Observation(sent=False)}}
    (row,) = outcomes_of(accounts_file(ADDRESS), [batch], observed=observed)
    assert row.outcome is Outcome.ALREADY_CONNECTED
    assert "sign_in_not_tried" not in {one.code for one in row.warnings}


def test_a_finding_gives_a_row_of_unknown_cause_its_cause() -> None:
    """A cause that is known already stays."""
    found = {1: {ADDRESS: MailboxFindings(REFUSING, UNTRIED)}}
    batch = replace(one_checked_batch(SignInState.CHECKED), report=True)
    codes = {
        reason: [
            cause.code
            for row in outcomes_of(
                accounts_file(ADDRESS),
                [batch],
                {1: {ADDRESS: Verdict(connected=False, reason=reason)}},
                found=found,
            )
            for cause in row.causes
        ]
        for reason in ("something went wrong", "account suspended")
    }
    assert codes == {
        "something went wrong": ["google_app_password"],
        "account suspended": ["mailbox_locked"],
    }
