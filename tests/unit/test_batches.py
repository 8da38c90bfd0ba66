"""What each row is, and which accounts are sent together."""

import gzip
from pathlib import Path

import pytest

from email_accounts.errors import FileRefusedError, ImporterError, UploadMissingError
from email_accounts.intake.batches import accounts_of, plan, validate_upload
from email_accounts.intake.rows import Accepted, Duplicate, Rejected, RowResult
from email_accounts.models.imports import BatchRange, Plan
from tests.support.fakes import World
from tests.support.files import accounts_file, opened, row

ROOT = Path(__file__).parents[2]
SAMPLE = (ROOT / "tests/samples/accounts.csv").read_bytes()
JSON_SAMPLE = (ROOT / "tests/samples/accounts.json").read_bytes()
DEFAULT_FILE = (ROOT / "events/accounts.csv").read_bytes()


def examined(content: bytes) -> list[RowResult]:
    """Validate all rows of a file."""
    return list(opened(content).rows)


def named(content: bytes, batch: BatchRange) -> list[str]:
    """Return the addresses of the accounts of one batch."""
    return [account.smtp.address for account in accounts_of(opened(content).rows, batch)]


def addresses(count: int) -> list[str]:
    """Make some addresses."""
    return [f"mailbox{at}@north.example" for at in range(count)]


def test_the_sample_is_judged_row_by_row() -> None:
    """Of 246 rows 5 are rejected, each for exactly one field, and 1 is a duplicate."""
    results = examined(SAMPLE)
    rejected = {
        one.row: [problem.field for problem in one.problems]
        for one in results
        if isinstance(one, Rejected)
    }
    assert rejected == {
        12: ["smtpEmailAddress"],
        52: ["smtpPort"],
        62: ["smtpPassword"],
        122: ["imapPort"],
        202: ["imapHost"],
    }
    duplicates = [one for one in results if isinstance(one, Duplicate)]
    assert duplicates == [Duplicate(247, "MAX.WOODS6@GETSOUTH.EXAMPLE", 7)]
    assert sum(isinstance(one, Accepted) for one in results) == 240


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
    results = examined(DEFAULT_FILE)
    accounts = [one.account() for one in results if isinstance(one, Accepted)]
    revealed = [account.smtp.password.reveal() for account in accounts]
    assert (len(results), len(accounts)) == (40, 38)
    assert (revealed.count("wrong-password"), revealed.count("imap-disabled")) == (1, 1)
    assert len(set(revealed)) == 38
    unreachable = [one for one in accounts if one.smtp.host.endswith(".unreachable.example")]
    assert len(unreachable) == 1
    (rejected,) = (one for one in results if isinstance(one, Rejected))
    assert (rejected.row, [problem.field for problem in rejected.problems]) == (29, ["smtpPort"])
    (duplicate,) = (one for one in results if isinstance(one, Duplicate))
    assert duplicate.address != duplicate.address.lower()
    assert all(account.smtp.address.endswith(".example") for account in accounts)


def test_an_upload_is_opened_when_its_first_row_is_asked_for() -> None:
    """Anyone who needs no row reads no file; one that is gone is told where it is read."""
    world = World()
    upload = world.uploads.put("uploads/a.csv", accounts_file("a@b.example", "c@d.example"))
    imported, _ = world.ledger.claim(upload, 0, 1)
    rows = validate_upload(world.uploads, world.reports, imported)
    assert [(one.row, one.address) for one in rows] == [(2, "a@b.example"), (3, "c@d.example")]
    world.uploads.delete_version(upload)
    gone = validate_upload(world.uploads, world.reports, imported)
    with pytest.raises(UploadMissingError):
        next(gone)


def test_a_file_whose_rows_are_all_rejected_has_no_batches() -> None:
    """It is planned anyway: each of its rows gets its outcome."""
    planned = plan(opened(accounts_file(row(""), row(""))), 100)
    assert (planned.batches, planned.rows, planned.accepted) == ((), 2, 0)


@pytest.mark.parametrize("content", [accounts_file(), accounts_file() + b"\n,,\n \n"])
def test_a_file_without_rows_is_refused(content: bytes) -> None:
    """Names of columns alone are no accounts."""
    with pytest.raises(FileRefusedError, match="It has no rows"):
        plan(opened(content), 100)


@pytest.mark.parametrize(
    "content", [SAMPLE + b'"', JSON_SAMPLE.rstrip().removesuffix(b"]"), gzip.compress(SAMPLE)[:-9]]
)
def test_a_file_that_breaks_off_is_refused_as_a_whole(content: bytes) -> None:
    """Nothing of a file is planned that cannot be read to its end."""
    with pytest.raises(FileRefusedError):
        plan(opened(content), 100)


@pytest.mark.parametrize("kept", [0, 1, 2, 3])
def test_an_upload_that_reads_otherwise_than_planned_is_an_error(kept: int) -> None:
    """Accounts are not sent under the number of a batch that they do not belong to."""
    batch = plan(opened(accounts_file(*addresses(4))), 4).batches[0]
    with pytest.raises(ImporterError, match=f"hold {kept} accounts, planned were 4"):
        named(accounts_file(*addresses(kept)), batch)
