"""The counts of an import."""

import pytest

from email_accounts.delivery.outcomes import Outcome, RowOutcome
from email_accounts.delivery.summary import ROWS_KEPT, Summary, most_frequent
from email_accounts.intake.values import GOOGLE_SIGN_IN, NAME_NOT_UTF_8
from email_accounts.models.causes import UNKNOWN, WRONG_PASSWORD, Cause


def failed(row: int, reason: str = "535", cause: Cause = WRONG_PASSWORD) -> RowOutcome:
    """Make a row that failed."""
    return RowOutcome(row, f"a{row}@b.example", Outcome.FAILED, reason, "gsuite", (cause,))


def test_outcomes_are_counted_by_provider_and_domain() -> None:
    """Where neither is known a row counts in the whole only."""
    summary = Summary()
    summary.add(RowOutcome(2, "a@B.example", Outcome.CONNECTED, "", "gsuite"))
    summary.add(RowOutcome(3, "b@b.example", Outcome.FAILED, "535", "o365", (WRONG_PASSWORD,)))
    summary.add(RowOutcome(4, "", Outcome.REJECTED, "no address"))
    assert summary.outcomes == {Outcome.CONNECTED: 1, Outcome.FAILED: 1, Outcome.REJECTED: 1}
    assert summary.providers == {"gsuite": {Outcome.CONNECTED: 1}, "o365": {Outcome.FAILED: 1}}
    assert summary.domains == {"b.example": {Outcome.CONNECTED: 1, Outcome.FAILED: 1}}
    assert summary.needs_attention == 2


def test_causes_are_grouped_the_most_frequent_first() -> None:
    """A group keeps its first rows and quotes the first."""
    summary = Summary()
    port = Cause("port_invalid", "smtpPort: not a port", "", "Give a number.")
    host = Cause("host_invalid", "smtpHost: no", "", "Name it.")
    summary.add(RowOutcome(2, "", Outcome.REJECTED, "why", causes=(port, host)))
    for row in range(3, 12):
        summary.add(failed(row, f"535 at {row}"))
    summary.add(RowOutcome(12, "", Outcome.REJECTED, "why", causes=(port,)))
    groups = [(one.cause, one.outcome, one.rows, one.first_rows) for one in summary.groups]
    assert groups == [
        (WRONG_PASSWORD, Outcome.FAILED, 9, [3, 4, 5, 6, 7]),
        (port, Outcome.REJECTED, 2, [2, 12]),
        (host, Outcome.REJECTED, 1, [2]),
    ]
    assert summary.groups[0].reason == "535 at 3"


@pytest.mark.parametrize(
    ("outcome", "codes"),
    [
        (Outcome.CONNECTED, ["name_not_utf_8"]),
        (Outcome.ALREADY_CONNECTED, ["google_sign_in", "name_not_utf_8"]),
        (Outcome.FAILED, ["google_sign_in", "name_not_utf_8"]),
    ],
)
def test_a_connected_mailbox_has_no_warning_about_its_sign_in(
    outcome: Outcome, codes: list[str]
) -> None:
    """It has worked; a wrong name has not."""
    summary = Summary()
    summary.add(RowOutcome(2, "", outcome, "", warnings=(GOOGLE_SIGN_IN, NAME_NOT_UTF_8)))
    assert [one.code for one in summary.warnings] == codes


def test_duplicates_are_counted_but_need_no_attention() -> None:
    """They have no cause."""
    summary = Summary()
    summary.add(RowOutcome(2, "a@b.example", Outcome.DUPLICATE, "the same"))
    assert (summary.outcomes[Outcome.DUPLICATE], summary.groups, summary.rows) == (1, [], [])


def test_unknown_reasons_are_kept_apart() -> None:
    """But for the addresses and numbers in them."""
    summary = Summary()
    reasons = [*["bad 1 a@b.example", "bad 2 c@d.example"] * 20, "worse"]
    for row, reason in enumerate(reasons, 2):
        summary.add(failed(row, reason, UNKNOWN))
    assert [(one.reason, one.rows) for one in summary.groups] == [
        ("bad 1 a@b.example", 40),
        ("worse", 1),
    ]


def test_a_summary_does_not_grow_with_the_file() -> None:
    """Ever new reasons, domains and rows do not pile up, and every row is counted."""
    summary = Summary()
    for row in range(20_000):
        address, said = f"a@d{row if row < 19_999 else 0}.example", "x" * (row % 300)
        summary.add(RowOutcome(row, address, Outcome.FAILED, said, "gsuite", (UNKNOWN,)))
    assert summary.outcomes[Outcome.FAILED] == 20_000
    assert [one.row for one in summary.rows] == list(range(ROWS_KEPT))
    assert len(summary.groups) <= 25
    assert sum(one.rows for one in summary.groups) == 20_000
    assert len(summary.domains) == 1_000
    assert summary.domains["d0.example"] == {Outcome.FAILED: 2}
    assert summary.other_domains == {Outcome.FAILED: 18_999}


@pytest.mark.parametrize(("many", "names"), [(2, ["bad", "big"]), (9, ["bad", "big", "small"])])
def test_what_needs_attention_comes_first(many: int, names: list[str]) -> None:
    """Then what is large."""
    summary = Summary()
    for name, outcome, rows in (
        ("small", Outcome.CONNECTED, 1),
        ("big", Outcome.CONNECTED, 9),
        ("bad", Outcome.REJECTED, 1),
    ):
        for _ in range(rows):
            summary.add(RowOutcome(2, f"a@{name}", outcome, ""))
    assert [name for name, _ in most_frequent(summary.domains, many)] == names
