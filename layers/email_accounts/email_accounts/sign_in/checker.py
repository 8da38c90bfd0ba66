"""The sign-in check of an import: which mailboxes will not work is known before they are sent.

If it fails, the import continues: rows that were not checked are sent.
"""

import json
import logging
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass

from email_accounts.errors import LedgerConflictError, UploadMissingError
from email_accounts.intake.batches import UploadReader
from email_accounts.models.account import Account
from email_accounts.models.imports import Batch, Import, SignIns
from email_accounts.models.messages import SIGN_INS_CHECKED, Event, file_document
from email_accounts.models.policy import Policy, SignInCheck
from email_accounts.models.steps import NextAction, TaskResult
from email_accounts.ports import Clock, Events, Ledger, Reports, Uploads
from email_accounts.saleshandy.account_list import AccountList
from email_accounts.sign_in.due import is_sign_in_due, tried_until
from email_accounts.sign_in.findings import (
    FINDINGS,
    MailboxFindings,
    settings_of,
    write_findings,
)

TrySignIns = Callable[[Sequence[Account], float], Generator[dict[str, MailboxFindings]]]
"""Tries the mailboxes of accounts, and begins no attempt at the given time or later; yields what
was found, by addresses in lower case: `Gate.check_all`."""

_log = logging.getLogger(__name__)

_SCHEMA = 1
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
    events: Events
    policy: Policy
    try_all: TrySignIns
    now: Clock

    def check(self, import_id: str, time_left: Callable[[], float]) -> TaskResult:
        """Try what is to be tried and what the time allows; at the end, put the event.

        `time_left` gives the seconds this invocation may still run.
        """
        imported = self.ledger.get(import_id)
        try:
            is_over = self._check_batches(imported, time_left)
        except (LedgerConflictError, UploadMissingError) as error:
            _log.warning("the sign-in check was interrupted: %s", error)
            is_over = True
        if not is_over:
            return TaskResult(NextAction.SIGN_IN)
        self._tell(imported)
        return TaskResult(NextAction.SUBMIT)

    def _check_batches(self, imported: Import, time_left: Callable[[], float]) -> bool:
        """Check one batch after the other; return False where some are left for want of time."""
        connected: set[str] | None = None
        with closing(UploadReader(self.uploads, self.reports, imported)) as reader:
            for batch in self.ledger.batches(imported.id):
                if not is_sign_in_due(imported, batch, self.policy, self.now()):
                    continue
                if self.ledger.get(imported.id).stopped:
                    return True
                if time_left() < _ENOUGH_FOR_A_BATCH:
                    return False
                if connected is None:
                    connected = self._connected(imported)
                accounts = {
                    address: one
                    for one in reader.accounts_of(batch.range)
                    if (address := one.smtp.address.lower()) not in connected
                }
                until = min(tried_until(imported), self.now() + time_left() - _MARGIN)
                self._check_batch(imported, batch, accounts, until)
        return True

    def _check_batch(
        self, imported: Import, batch: Batch, accounts: dict[str, Account], until: float
    ) -> None:
        """Check a batch, and write down every second what was found: a kill loses no more."""
        batch = self.ledger.save(imported.id, batch, batch.trying())
        found: dict[str, MailboxFindings] = {}
        with closing(self.try_all([*accounts.values()], until)) as slices:
            for some in slices:
                found |= some
                write_findings(self.reports, imported.id, batch.number, found)
                counts = (one.count(settings_of(accounts[at])) for at, one in found.items())
                total = sum(counts, SignIns())
                batch = self.ledger.save(imported.id, batch, batch.found(total))
        self.ledger.save(imported.id, batch, batch.checked())

    def _connected(self, imported: Import) -> set[str]:
        """Return the addresses that will be skipped because they are connected already."""
        if not self.policy.skip_connected or self.uploads.options(imported.upload).resend:
            return set()
        return self.account_list.connected(imported.upload.workspace)

    def _tell(self, imported: Import) -> None:
        """Put the event; without it the import continues."""
        found = sum((batch.sign_ins for batch in self.ledger.batches(imported.id)), SignIns())
        findings = self.reports.address(imported.id, FINDINGS)
        result = document(imported, found, self.policy.sign_in_check, findings)
        try:
            self.events.put(Event(SIGN_INS_CHECKED, json.dumps(result)))
        except Exception:  # noqa: BLE001  whatever it is, the import does not depend on it
            _log.exception("the event cannot be put")


def document(
    imported: Import, found: SignIns, check: SignInCheck, findings: str
) -> dict[str, object]:
    """Return what was found of an import as plain data; `findings` is where the details are."""
    counts = asdict(found)
    return {
        "schema": _SCHEMA,
        "importId": imported.id,
        "workspace": imported.upload.workspace,
        "check": check.value,
        "file": file_document(imported.upload),
        "counts": {
            "accounts": imported.accepted,
            **counts,
            "not_tried": imported.accepted - sum(counts.values()),
        },
        "findings": findings,
    }
