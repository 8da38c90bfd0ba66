"""The sign-in check of an import: which mailboxes will not work is known before they are sent.

If it fails, the import continues: rows that were not checked are sent.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from email_accounts.errors import LedgerConflictError, UploadMissingError
from email_accounts.intake.batches import UploadReader
from email_accounts.models.account import Account
from email_accounts.models.imports import Batch, Import
from email_accounts.models.policy import Policy, SignInCheck
from email_accounts.models.steps import NextAction, TaskResult
from email_accounts.ports import Clock, Ledger, Reports, Uploads
from email_accounts.saleshandy.account_list import AccountList
from email_accounts.sign_in.due import is_sign_in_due, tried_until
from email_accounts.sign_in.findings import (
    MailboxFindings,
    findings_name,
    settings_of,
    write_findings,
)

TrySignIns = Callable[[Sequence[Account], float], Mapping[str, MailboxFindings]]
"""Tries the mailboxes of accounts, and begins no attempt at the given time or later; returns what
was found by addresses in lower case: `Gate.check_all`."""

_log = logging.getLogger(__name__)

_ENOUGH_FOR_A_BATCH = 300.0
_MARGIN = 45.0
"""Seconds that are left when the last attempt begins: it may take 25, and is written down."""


@dataclass(frozen=True, slots=True)
class SignInChecker:
    """Tries the mailboxes of an import at their own servers, one batch after the other."""

    ledger: Ledger
    uploads: Uploads
    reports: Reports
    account_list: AccountList
    policy: Policy
    try_all: TrySignIns
    now: Clock

    def check(self, import_id: str, time_left: Callable[[], float]) -> TaskResult:
        """Try what is to be tried and what the time allows.

        `time_left` gives the seconds this invocation may still run.
        """
        imported = self.ledger.get(import_id)
        done = TaskResult(NextAction.SUBMIT)
        connected: set[str] | None = None
        try:
            with closing(UploadReader(self.uploads, self.reports, imported)) as reader:
                for batch in self.ledger.batches(import_id):
                    if not is_sign_in_due(imported, batch, self.policy, self.now()):
                        continue
                    if self.ledger.get(import_id).stopped:
                        return done
                    if time_left() < _ENOUGH_FOR_A_BATCH:
                        return TaskResult(NextAction.SIGN_IN)
                    if connected is None:
                        connected = self._connected(imported)
                    accounts = [
                        one
                        for one in reader.accounts_of(batch.range)
                        if one.smtp.address.lower() not in connected
                    ]
                    until = min(tried_until(imported), self.now() + time_left() - _MARGIN)
                    self._check_batch(imported, batch, accounts, until)
        except (LedgerConflictError, UploadMissingError) as error:
            _log.warning("the sign-in check was interrupted: %s", error)
        return done

    def _check_batch(
        self, imported: Import, batch: Batch, accounts: list[Account], until: float
    ) -> None:
        batch = self.ledger.save(imported.id, batch, batch.trying())
        found = self._with_held(accounts, self.try_all(accounts, until))
        with self.reports.writer(imported.id, findings_name(batch.number), "text/csv") as text:
            write_findings(text, found)
        self.ledger.save(imported.id, batch, batch.checked())

    def _with_held(
        self, accounts: list[Account], found: Mapping[str, MailboxFindings]
    ) -> dict[str, MailboxFindings]:
        """Hold back what is proven not to work, if that is wanted."""
        if self.policy.sign_in_check is not SignInCheck.STRICT:
            return dict(found)
        settings = {one.smtp.address.lower(): settings_of(one) for one in accounts}
        return {
            address: replace(one, held=one.proof(settings[address]) is not None)
            for address, one in found.items()
        }

    def _connected(self, imported: Import) -> set[str]:
        """Return the addresses that will be skipped because they are connected already."""
        if not self.policy.skip_connected or self.uploads.options(imported.upload).resend:
            return set()
        return self.account_list.connected(imported.upload.workspace)
