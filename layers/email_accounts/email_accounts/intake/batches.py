"""What each row of an upload is, and which accounts are sent together."""

from collections.abc import Generator, Iterator

from email_accounts.errors import FileRefusedError, ImporterError
from email_accounts.intake.accounts_file import AccountsFile, open_accounts_file
from email_accounts.intake.rows import Accepted, Rejected, RowResult
from email_accounts.intake.servers import ServerRecord
from email_accounts.models.account import Account
from email_accounts.models.imports import BatchRange, Import, Plan
from email_accounts.ports import Reports, Uploads


def validate_upload(uploads: Uploads, reports: Reports, imported: Import) -> Generator[RowResult]:
    """Validate each row of an upload, which is opened when the first row is read.

    Rows without servers get those of the import's record.
    """
    upload = imported.upload
    with uploads.open(upload) as stream:
        record = ServerRecord(reports, imported.id)
        yield from open_accounts_file(stream, record, uploads.options(upload)).rows


def plan(file: AccountsFile, batch_size: int) -> Plan:
    """Plan the batches of a file by reading it once.

    Raises:
        FileRefusedError: the file cannot be read to its end, or holds no rows.
    """
    batches: list[BatchRange] = []
    rows = rejected = duplicates = 0
    first = last = waiting = 0
    for examined in file.rows:
        rows += 1
        if isinstance(examined, Accepted):
            last = examined.row
            if not waiting:
                first = last
            waiting += 1
            if waiting == batch_size:
                batches.append(BatchRange(len(batches) + 1, first, last, waiting))
                waiting = 0
        elif isinstance(examined, Rejected):
            rejected += 1
        else:
            duplicates += 1
    if waiting:
        batches.append(BatchRange(len(batches) + 1, first, last, waiting))
    if not rows:
        raise FileRefusedError("It has no rows.", "Put one account per row below the header row.")
    return Plan(tuple(batches), rows, rejected, duplicates)


class UploadReader:
    """Hands out the accounts of an upload's batches in any order; ascending in one reading."""

    def __init__(self, uploads: Uploads, reports: Reports, imported: Import) -> None:
        """Read an upload, which is opened when the first accounts are asked for."""
        self._uploads = uploads
        self._reports = reports
        self._imported = imported
        self._begin()

    def _begin(self) -> None:
        self._examined = validate_upload(self._uploads, self._reports, self._imported)
        self._last = 0

    def accounts_of(self, batch: BatchRange) -> tuple[Account, ...]:
        """Return the accounts of a batch; see the function `accounts_of`."""
        if batch.number <= self._last:
            self.close()
            self._begin()
        self._last = batch.number
        return accounts_of(self._examined, batch)

    def close(self) -> None:
        """Close the upload."""
        self._examined.close()


def accounts_of(examined: Iterator[RowResult], batch: BatchRange) -> tuple[Account, ...]:
    """Return the accounts of a batch, reading on from those before it.

    Raises:
        ImporterError: the upload no longer reads as it did when it was planned.
    """
    accounts = []
    for row in examined:
        if not isinstance(row, Accepted):
            continue
        if row.row >= batch.first_row:
            accounts.append(row.account())
        if row.row >= batch.last_row:
            break
    if len(accounts) != batch.accounts:
        raise ImporterError(
            f"rows {batch.first_row} to {batch.last_row} hold {len(accounts)} accounts, "
            f"planned were {batch.accounts}"
        )
    return tuple(accounts)
