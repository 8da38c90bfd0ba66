"""The counts of an import."""

import pytest

from email_accounts.causes import UNKNOWN, WRONG_PASSWORD, Cause
from email_accounts.outcomes import Outcome, RowOutcome
from email_accounts.tally import ROWS_KEPT, Tally, most_frequent


def failed(row: int, reason: str = "535", cause: Cause = WRONG_PASSWORD) -> RowOutcome:
    """Make a row that failed."""
    return RowOutcome(row, f"a{row}@b.example", Outcome.FAILED, reason, "gsuite", (cause,))


def test_outcomes_are_counted_by_provider_and_domain() -> None:
    """Where neither is known a row counts in the whole only."""
    tally = Tally()
    tally.add(RowOutcome(2, "a@B.example", Outcome.CONNECTED, "", "gsuite"))
    tally.add(RowOutcome(3, "b@b.example", Outcome.FAILED, "535", "o365", (WRONG_PASSWORD,)))
    tally.add(RowOutcome(4, "", Outcome.REJECTED, "no address"))
    assert tally.outcomes == {Outcome.CONNECTED: 1, Outcome.FAILED: 1, Outcome.REJECTED: 1}
    assert tally.providers == {"gsuite": {Outcome.CONNECTED: 1}, "o365": {Outcome.FAILED: 1}}
    assert tally.domains == {"b.example": {Outcome.CONNECTED: 1, Outcome.FAILED: 1}}
    assert tally.to_look_after == 2


def test_causes_are_grouped_the_most_frequent_first() -> None:
    """A group keeps its first rows and the very words of the first."""
    tally = Tally()
    port = Cause("port_invalid", "smtpPort: this is not a port", "", "Give a number.")
    host = Cause("host_invalid", "smtpHost: no", "", "Name it.")
    tally.add(RowOutcome(2, "", Outcome.REJECTED, "why", causes=(port, host)))
    for row in range(3, 12):
        tally.add(failed(row, f"535 at {row}"))
    tally.add(RowOutcome(12, "", Outcome.REJECTED, "why", causes=(port,)))
    groups = [(one.cause, one.outcome, one.rows, one.first_rows) for one in tally.groups]
    assert groups == [
        (WRONG_PASSWORD, Outcome.FAILED, 9, [3, 4, 5, 6, 7]),
        (port, Outcome.REJECTED, 2, [2, 12]),
        (host, Outcome.REJECTED, 1, [2]),
    ]
    assert tally.groups[0].reason == "535 at 3"


def test_duplicates_are_counted_but_are_no_trouble() -> None:
    """Nobody has to look after them."""
    tally = Tally()
    tally.add(RowOutcome(2, "a@b.example", Outcome.DUPLICATE, "the same"))
    assert (tally.outcomes[Outcome.DUPLICATE], tally.groups, tally.rows) == (1, [], [])


def test_unknown_reasons_are_kept_apart() -> None:
    """But for the addresses and numbers in them."""
    tally = Tally()
    for row, reason in enumerate(["bad 1 a@b.example", "bad 2 c@d.example", "worse"], 2):
        tally.add(failed(row, reason, UNKNOWN))
    assert [(one.reason, one.rows) for one in tally.groups] == [
        ("bad 1 a@b.example", 2),
        ("worse", 1),
    ]


def test_a_tally_does_not_grow_with_the_file() -> None:
    """Ever new reasons, domains and rows do not pile up, and every row is counted."""
    tally = Tally()
    for row in range(20_000):
        address, said = f"a@d{row}.example", "x" * (row % 300)
        tally.add(RowOutcome(row, address, Outcome.FAILED, said, "gsuite", (UNKNOWN,)))
    assert tally.outcomes[Outcome.FAILED] == 20_000
    assert [one.row for one in tally.rows] == list(range(ROWS_KEPT))
    assert len(tally.groups) <= 25
    assert sum(one.rows for one in tally.groups) == 20_000
    assert len(tally.domains) == 1_000
    assert tally.other_domains == {Outcome.FAILED: 19_000}


@pytest.mark.parametrize(("many", "names"), [(2, ["bad", "big"]), (9, ["bad", "big", "small"])])
def test_what_needs_care_comes_first(many: int, names: list[str]) -> None:
    """Then what is large."""
    tally = Tally()
    for name, outcome, rows in (
        ("small", Outcome.CONNECTED, 1),
        ("big", Outcome.CONNECTED, 9),
        ("bad", Outcome.REJECTED, 1),
    ):
        for _ in range(rows):
            tally.add(RowOutcome(2, f"a@{name}", outcome, ""))
    assert [name for name, _ in most_frequent(tally.domains, many)] == names
