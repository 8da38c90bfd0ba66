"""What becomes of each row."""

import io
from collections.abc import Iterable

import pytest

from email_accounts.delivery.outcomes import Outcome, RowOutcome, outcomes
from email_accounts.intake.accounts_file import open_accounts_file
from email_accounts.intake.batches import plan
from email_accounts.models.imports import Batch, BatchRange, BatchState
from email_accounts.saleshandy.reconciliation import AccountStatus
from email_accounts.saleshandy.report import Verdict
from tests.support.files import accounts_file, row

TROUBLE = "the deadline passed"


def told(
    content: bytes,
    batches: Iterable[Batch],
    verdicts: dict[int, dict[str, Verdict]] | None = None,
    statuses: dict[int, dict[str, AccountStatus]] | None = None,
) -> list[RowOutcome]:
    """Return the outcome of each row, with what is known on each batch by its number."""
    read = outcomes(
        open_accounts_file(io.BytesIO(content)).rows,
        iter(batches),
        lambda batch: (verdicts or {})[batch.number],
        lambda batch: (statuses or {})[batch.number],
        TROUBLE,
    )
    return list(read)


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
    account_status: AccountStatus | None = None,
) -> RowOutcome:
    """Return the outcome of the only row of a file."""
    statuses = {"robin@north.example": account_status} if account_status else {}
    content = accounts_file("Robin@north.example")
    (outcome,) = told(content, batches, {1: dict(verdicts)}, {1: statuses})
    assert (outcome.row, outcome.address) == (2, "Robin@north.example")
    return outcome


@pytest.mark.parametrize(
    ("state", "outcome", "reason"),
    [
        (BatchState.COMPLETED, Outcome.CONNECTED, ""),
        (BatchState.REFUSED, Outcome.FAILED, "the service refused the request: why"),
        (BatchState.UNCONFIRMED, Outcome.UNCONFIRMED, "why"),
        (BatchState.PLANNED, Outcome.FAILED, f"not sent: {TROUBLE}"),
    ],
)
def test_the_state_of_a_batch_decides_about_its_rows(
    state: BatchState, outcome: Outcome, reason: str
) -> None:
    """Sent and complete is connected; what may have been sent is never called failed."""
    got = the_one(one_batch(state, "why"))
    assert (got.outcome, got.reason) == (outcome, reason)


@pytest.mark.parametrize("state", [BatchState.SENDING, BatchState.SUBMITTED])
def test_what_was_not_finished_is_unconfirmed(state: BatchState) -> None:
    """A batch under way has no reason of its own: what ended the import early is its reason."""
    got = the_one(one_batch(state))
    assert (got.outcome, got.reason) == (Outcome.UNCONFIRMED, TROUBLE)


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


@pytest.mark.parametrize(
    ("account_status", "outcome", "reason"),
    [
        (AccountStatus.CONNECTED, Outcome.CONNECTED, ""),
        (
            AccountStatus.NOT_WORKING,
            Outcome.FAILED,
            "the service has saved it, but it does not work there",
        ),
        (None, Outcome.UNCONFIRMED, "no answer came; the account list does not show it"),
        (AccountStatus.CONNECTED_BEFORE, Outcome.ALREADY_CONNECTED, ""),
    ],
)
def test_the_account_list_decides_about_the_rows_of_a_listed_batch(
    account_status: AccountStatus | None, outcome: Outcome, reason: str
) -> None:
    """What nothing but the list can tell is told by it; the address is looked for but for case."""
    batches = one_batch(BatchState.RECONCILED, "no answer came", reconciliation=True)
    got = the_one(batches, account_status=account_status)
    assert (got.outcome, got.reason) == (outcome, reason)


@pytest.mark.parametrize("state", BatchState)
def test_what_was_connected_before_is_so_whatever_became_of_its_batch(state: BatchState) -> None:
    """An address that was left out was not sent, so that no answer to its batch is about it."""
    refused = ("robin@north.example", Verdict(connected=False, reason="535"))
    batches = one_batch(state, "why", report=True, reconciliation=True)
    got = the_one(batches, refused, account_status=AccountStatus.CONNECTED_BEFORE)
    assert (got.outcome, got.reason) == (Outcome.ALREADY_CONNECTED, "")


def test_a_report_goes_before_the_account_list() -> None:
    """Of a completed batch the list tells no more than what was left out of it."""
    refused = ("robin@north.example", Verdict(connected=False, reason="535"))
    batches = one_batch(BatchState.COMPLETED, report=True, reconciliation=True)
    assert the_one(batches, refused, account_status=AccountStatus.CONNECTED).reason == "535"


def test_each_row_is_judged_by_its_own_batch() -> None:
    """Rejected and double rows between and around the batches do not shift them."""
    bad = row("bad@north.example", smtpPort="0", imapHost="imap")
    names = [f"m{at}@north.example" for at in range(5)]
    content = accounts_file(
        bad, names[0], names[0], names[1], bad, names[2], names[3].upper(), names[4], names[4], bad
    )
    ranges = plan(open_accounts_file(io.BytesIO(content)), 2).batches
    refused = Verdict(connected=False, reason="535")
    got = told(
        content,
        [
            Batch(ranges[0], BatchState.COMPLETED, report=True),
            Batch(ranges[1], BatchState.COMPLETED, report=True),
            Batch(ranges[2], BatchState.RECONCILED, reason="lost", reconciliation=True),
        ],
        {1: {names[1]: refused, names[2]: refused}, 2: {names[3]: refused}},
        {3: {names[0]: AccountStatus.CONNECTED}},
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
    """Whoever mends the row needs to mend it once only."""
    (got,) = told(accounts_file(row("bad@north.example", smtpPort="0", imapHost="imap")), [])
    assert got.reason == (
        "smtpPort: this is not a port; imapHost: this is not the name of a mail server"
    )
    assert [cause.code for cause in got.causes] == ["port_invalid", "host_invalid"]
    assert got.what_to_do.startswith("Give a number from 1 to 65535")
    assert "Give its full name such as smtp.gmail.com" in got.what_to_do


def test_a_cure_that_helps_twice_is_told_once() -> None:
    """Both ports are mended alike."""
    (got,) = told(accounts_file(row("bad@north.example", smtpPort="0", imapPort="0")), [])
    assert got.what_to_do.count("Give a number") == 1


def test_a_duplicate_names_the_row_that_is_sent() -> None:
    """Its owner finds the other one by it."""
    got = told(accounts_file("a@b.example", "A@b.example"), one_batch(BatchState.COMPLETED))
    assert (got[1].outcome, got[1].reason) == (Outcome.DUPLICATE, "the same address as in row 2")


def test_a_file_without_accounts_needs_no_batches() -> None:
    """All its rows are rejected."""
    got = told(accounts_file(row(""), row("")), [])
    assert [one.outcome for one in got] == [Outcome.REJECTED, Outcome.REJECTED]


def test_a_failure_is_understood_by_the_settings_of_its_row() -> None:
    """The same words mean another thing at another provider."""
    refused = Verdict(connected=False, reason="535 authentication failed")
    for provider, code in (
        ("gsuite", "google_app_password"),
        ("o365", "microsoft_sign_in"),
        ("other", "wrong_password"),
    ):
        (got,) = told(
            accounts_file(row("a@b.example", emailServiceProvider=provider)),
            one_batch(BatchState.COMPLETED, report=True),
            {1: {"a@b.example": refused}},
        )
        assert (got.provider, [cause.code for cause in got.causes]) == (provider, [code])
        assert got.reason == "535 authentication failed"
        assert got.what_to_do


@pytest.mark.parametrize(
    ("state", "codes"),
    [
        (BatchState.COMPLETED, []),
        (BatchState.REFUSED, ["request_refused"]),
        (BatchState.UNCONFIRMED, ["unconfirmed"]),
        (BatchState.PLANNED, ["not_sent"]),
        (BatchState.SUBMITTED, ["unconfirmed"]),
    ],
)
def test_every_outcome_that_is_not_good_has_a_cause(state: BatchState, codes: list[str]) -> None:
    """And with it something to do."""
    got = the_one(one_batch(state, "why"))
    assert [cause.code for cause in got.causes] == codes
    assert bool(got.what_to_do) == bool(codes)


def test_the_settings_of_short_and_padded_rows_are_known() -> None:
    """Blanks around cells and cells that are missing do not change a provider."""
    content = b"email,password,provider,note\n a@gmail.com , x , google \nb@outlook.com,y\n"
    got = told(content, [Batch(BatchRange(1, 2, 3, 2), BatchState.COMPLETED)])
    assert [one.provider for one in got] == ["gmail", "microsoft"]
