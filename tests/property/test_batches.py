"""Every row ends in one place, however a file is put together."""

from hypothesis import given
from hypothesis import strategies as st

from email_accounts.intake.batches import accounts_of, plan
from email_accounts.intake.rows import Accepted, Duplicate, Rejected
from tests.support.files import accounts_file, opened, row

KINDS = st.tuples(st.sampled_from(["good", "GOOD", "bad", "nameless", "long"]), st.integers(0, 9))


def content_of(kinds: list[tuple[str, int]]) -> bytes:
    """Make a file of good, bad and double rows."""
    rows = []
    for kind, name in kinds:
        address = f"mailbox{name}@north.example"
        changed = {"smtpPort": "none"} if kind == "bad" else {}
        named = {"GOOD": address.upper(), "nameless": ""}.get(kind, address)
        rows.append(row(named, **changed))
    columns, *lines = accounts_file(*rows).decode().splitlines()
    long = (kind == "long" for kind, _ in kinds)
    lines = [f"{line},x" if too_long else line for line, too_long in zip(lines, long, strict=True)]
    return "\n".join([columns, *lines]).encode()


@given(st.lists(KINDS, min_size=1, max_size=30), st.integers(1, 7), st.data())
def test_a_plan_covers_every_accepted_row_once_and_in_order(
    kinds: list[tuple[str, int]], batch_size: int, data: st.DataObject
) -> None:
    """The counts add up, and each batch, read again, is made of exactly its accounts."""
    content = content_of(kinds)
    results = list(opened(content).rows)
    assert [one.row for one in results] == list(range(2, len(kinds) + 2))
    accepted = [one for one in results if isinstance(one, Accepted)]
    names = {name for kind, name in kinds if kind in ("good", "GOOD")}
    assert len(accepted) == len(names)
    assert len({one.address.lower() for one in accepted}) == len(accepted)

    planned = plan(opened(content), batch_size)
    assert planned.rows == len(kinds)
    assert planned.accepted == len(accepted) == sum(one.accounts for one in planned.batches)
    assert planned.rejected == sum(isinstance(one, Rejected) for one in results)
    assert planned.duplicates == sum(isinstance(one, Duplicate) for one in results)
    assert [one.number for one in planned.batches] == list(range(1, len(planned.batches) + 1))
    assert all(one.accounts == batch_size for one in planned.batches[:-1])
    ends = [at for one in planned.batches for at in (one.first_row, one.last_row)]
    assert ends == sorted(ends)

    due = [one for one in planned.batches if data.draw(st.booleans())]
    rows = opened(content).rows
    for batch in due:
        before = sum(one.accounts for one in planned.batches[: batch.number - 1])
        mine = accepted[before : before + batch.accounts]
        assert (mine[0].row, mine[-1].row) == (batch.first_row, batch.last_row)
        assert accounts_of(rows, batch) == tuple(one.account() for one in mine)


@given(st.lists(KINDS, min_size=1, max_size=30))
def test_a_duplicate_names_an_accepted_row_above_it(kinds: list[tuple[str, int]]) -> None:
    """Anyone who looks there finds the row that is sent."""
    accepted: dict[int, str] = {}
    for one in opened(content_of(kinds)).rows:
        if isinstance(one, Accepted):
            accepted[one.row] = one.address.lower()
        elif isinstance(one, Duplicate):
            assert accepted[one.first_row] == one.address.lower()
