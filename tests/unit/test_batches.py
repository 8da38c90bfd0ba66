"""What each row is, and which accounts are sent together."""

import io
from pathlib import Path

import pytest

from email_accounts.account import ADDRESS_FIELD
from email_accounts.batches import (
    Accepted,
    BatchRange,
    BatchReader,
    Duplicate,
    Examined,
    Plan,
    Rejected,
    examine,
    plan,
)
from email_accounts.errors import FileRefusedError, ImporterError
from email_accounts.reading import AccountsFile, open_accounts_file
from tests.files import PASSWORD, accounts_file, row

ROOT = Path(__file__).parents[2]
SAMPLE = (ROOT / "tests/samples/accounts.csv").read_bytes()
DEFAULT_FILE = (ROOT / "events/accounts.csv").read_bytes()


def opened(content: bytes) -> AccountsFile:
    """Open a file that is already in memory."""
    return open_accounts_file(io.BytesIO(content))


def examined(content: bytes) -> list[Examined]:
    """Judge all rows of a file."""
    return list(examine(opened(content)))


def reader(content: bytes) -> BatchReader:
    """Read a file again for its batches."""
    return BatchReader(examine(opened(content)))


def named(content: bytes, batch: BatchRange) -> list[str]:
    """Return the addresses of the accounts of one batch."""
    return [account.smtp.address for account in reader(content).accounts_of(batch)]


def addresses(count: int) -> list[str]:
    """Make some addresses."""
    return [f"mailbox{at}@north.example" for at in range(count)]


def test_the_sample_is_judged_row_by_row() -> None:
    """Of 246 rows 5 are rejected, each for exactly one field, and 1 is a duplicate."""
    judged = examined(SAMPLE)
    rejected = {
        one.row: [problem.field for problem in one.problems]
        for one in judged
        if isinstance(one, Rejected)
    }
    assert rejected == {
        12: ["smtpEmailAddress"],
        52: ["smtpPort"],
        62: ["smtpPassword"],
        122: ["imapEncryption"],
        202: ["imapHost"],
    }
    duplicates = [one for one in judged if isinstance(one, Duplicate)]
    assert duplicates == [Duplicate(247, "MAX.WOODS6@GETSOUTH.EXAMPLE", 7)]
    assert sum(isinstance(one, Accepted) for one in judged) == 240


def test_the_sample_is_planned_in_three_batches() -> None:
    """240 accounts go as 100, 100 and 40; the row ranges step over what is not sent."""
    planned = plan(opened(SAMPLE), 100)
    assert planned == Plan(
        batches=(
            BatchRange(1, 2, 104, 100),
            BatchRange(2, 105, 206, 100),
            BatchRange(3, 207, 246, 40),
        ),
        rows=246,
        rejected=5,
        duplicates=1,
    )
    assert planned.accepted == 240


def test_the_default_file_shows_every_judgement_in_small() -> None:
    """The file of a first run has good rows, the three failing kinds, a bad and a double one."""
    judged = examined(DEFAULT_FILE)
    accounts = [one.account() for one in judged if isinstance(one, Accepted)]
    revealed = [account.smtp.password.reveal() for account in accounts]
    assert (len(judged), len(accounts)) == (40, 38)
    assert (revealed.count("wrong-password"), revealed.count("imap-disabled")) == (1, 1)
    assert len(set(revealed)) == 38
    unreachable = [one for one in accounts if one.smtp.host.endswith(".unreachable.example")]
    assert len(unreachable) == 1
    (rejected,) = (one for one in judged if isinstance(one, Rejected))
    assert (rejected.row, [problem.field for problem in rejected.problems]) == (29, ["smtpPort"])
    (duplicate,) = (one for one in judged if isinstance(one, Duplicate))
    assert duplicate.address != duplicate.address.lower()
    assert all(account.smtp.address.endswith(".example") for account in accounts)


def test_a_duplicate_is_the_second_of_two_addresses_but_for_case() -> None:
    """It names the row that is sent; a third one names the same row."""
    content = accounts_file("a@b.example", "c@d.example", "A@B.example", "a@B.EXAMPLE")
    assert examined(content)[2:] == [
        Duplicate(4, "A@B.example", 2),
        Duplicate(5, "a@B.EXAMPLE", 2),
    ]


def test_the_twin_of_a_rejected_row_is_no_duplicate() -> None:
    """Of two rows with one address the good one is sent, in whatever order they stand."""
    bad = row("a@b.example", smtpPort="none")
    kinds = [type(one) for one in examined(accounts_file(bad, "a@b.example", bad))]
    assert kinds == [Rejected, Accepted, Duplicate]


def test_rows_without_an_address_are_no_duplicates_of_each_other() -> None:
    """Two rows that lack it are both rejected."""
    content = accounts_file(row(""), row(""), row("not-an-address"))
    assert [type(one) for one in examined(content)] == [Rejected, Rejected, Rejected]


def test_an_unreadable_row_is_rejected_with_its_reason() -> None:
    """A row that is no row has a problem of its own, and shows nothing of its cells."""
    content = accounts_file("a@b.example") + b",".join([PASSWORD.encode()] * 16) + b"\n"
    rejected = examined(content)[1]
    assert isinstance(rejected, Rejected)
    assert (rejected.row, rejected.address) == (3, "")
    (problem,) = rejected.problems
    assert (problem.field, problem.code) == ("unreadable", "row_unreadable")
    assert PASSWORD not in repr(rejected)


def test_a_rejected_row_shows_no_password_in_the_place_of_its_address() -> None:
    """Where columns are shifted, nothing is shown that is no address."""
    (rejected,) = examined(accounts_file(row("a@b.example", **{ADDRESS_FIELD: PASSWORD})))
    assert isinstance(rejected, Rejected)
    assert PASSWORD not in repr(rejected)


@pytest.mark.parametrize(
    ("count", "sizes"), [(1, [1]), (2, [2]), (3, [2, 1]), (4, [2, 2]), (5, [2, 2, 1])]
)
def test_batches_are_filled_before_the_next_one_begins(count: int, sizes: list[int]) -> None:
    """Only the last batch may be smaller; none is empty."""
    batches = plan(opened(accounts_file(*addresses(count))), 2).batches
    assert [batch.accounts for batch in batches] == sizes
    assert [batch.number for batch in batches] == list(range(1, len(sizes) + 1))


def test_a_file_whose_rows_are_all_rejected_has_no_batches() -> None:
    """It is planned all the same: each of its rows gets its outcome."""
    planned = plan(opened(accounts_file(row(""), row(""))), 100)
    assert (planned.batches, planned.rows, planned.accepted) == ((), 2, 0)


@pytest.mark.parametrize("content", [accounts_file(), accounts_file() + b"\n,,\n \n"])
def test_a_file_without_rows_is_refused(content: bytes) -> None:
    """Names of columns alone are no accounts."""
    with pytest.raises(FileRefusedError, match="It holds no rows"):
        plan(opened(content), 100)


def test_a_file_that_breaks_off_is_refused_as_a_whole() -> None:
    """Nothing of a file is planned that cannot be read to its end."""
    with pytest.raises(FileRefusedError):
        plan(opened(SAMPLE + b"\xff"), 100)


def test_each_batch_gets_its_accounts_in_order() -> None:
    """Read anew, the ranges of the plan name the accounts that they were made of."""
    names = addresses(5)
    content = accounts_file(row(""), *names[:3], names[0], *names[3:], row(""))
    first, second, third = plan(opened(content), 2).batches
    again = reader(content)
    assert [one.smtp.address for one in again.accounts_of(first)] == names[:2]
    assert [one.smtp.address for one in again.accounts_of(second)] == names[2:4]
    assert [one.smtp.address for one in again.accounts_of(third)] == names[4:]


def test_batches_may_be_left_out() -> None:
    """Those sent before are stepped over."""
    content = accounts_file(*addresses(6))
    batches = plan(opened(content), 2).batches
    assert named(content, batches[2]) == addresses(6)[4:]
    again = reader(content)
    again.accounts_of(batches[0])
    assert [one.smtp.address for one in again.accounts_of(batches[2])] == addresses(6)[4:]


@pytest.mark.parametrize("kept", [0, 1, 2, 3])
def test_an_upload_that_reads_otherwise_than_planned_is_an_error(kept: int) -> None:
    """Accounts are not sent under the number of a batch that they do not belong to."""
    batch = plan(opened(accounts_file(*addresses(4))), 4).batches[0]
    with pytest.raises(ImporterError, match=f"hold {kept} accounts, planned were 4"):
        named(accounts_file(*addresses(kept)), batch)
