"""What the sign-in check found of a mailbox, what it means, and the file that keeps it."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from email_accounts.errors import ReportMissingError
from email_accounts.models.account import Account
from email_accounts.models.causes import Cause, cause_of
from email_accounts.models.imports import Batch, SignIns
from email_accounts.ports import Reports
from email_accounts.text.spreadsheet import escape_formula, unescape_formula


class Verdict(StrEnum):
    """How an attempt to sign in ended."""

    SIGNED_IN = "signed_in"
    REFUSED = "refused"
    NO_PASSWORDS = "no_passwords"
    MISMATCH = "mismatch"
    CERTIFICATE = "certificate"
    NO_SUCH_HOST = "no_such_host"
    LATER = "later"
    NO_ANSWER = "no_answer"
    NOT_TRIED = "not_tried"


REFUSED_BY_SMTP = "the SMTP server refused the same credentials"
_COLUMNS = ("address", "side", "verdict", "said")
_ABOUT_THE_MAILBOX = frozenset(
    {Verdict.REFUSED, Verdict.NO_PASSWORDS, Verdict.MISMATCH, Verdict.NO_SUCH_HOST}
)
_GOOD = frozenset({Verdict.SIGNED_IN, Verdict.NOT_TRIED})


@dataclass(frozen=True, slots=True)
class Finding:
    """How the attempt at one side (`smtp` or `imap`) ended, and the server's words.

    Passwords and personal links are removed from the words.
    """

    side: str
    verdict: Verdict
    said: str


@dataclass(frozen=True, slots=True)
class MailboxFindings:
    """What was found at both sides of a mailbox."""

    smtp: Finding
    imap: Finding

    @property
    def failure(self) -> Finding | None:
        """The side that did not work, SMTP before IMAP; None where none is known not to."""
        return next((one for one in (self.smtp, self.imap) if one.verdict not in _GOOD), None)

    def proof(self, settings: tuple[str, ...]) -> Finding | None:
        """Return the side whose words prove that the mailbox cannot be connected as it is."""
        return next(
            (
                one
                for one in (self.smtp, self.imap)
                if one.verdict in _ABOUT_THE_MAILBOX and cause_of(one.said, settings).certain
            ),
            None,
        )

    def cause(self, settings: tuple[str, ...]) -> tuple[Cause, Finding] | None:
        """Return why the mailbox does not work, and the side that said it; a proof goes first."""
        found = self.proof(settings) or self.failure
        return (cause_of(found.said, settings), found) if found else None

    def count(self, settings: tuple[str, ...]) -> SignIns:
        """Count it."""
        if self.proof(settings):
            return SignIns(proven=1)
        if self.failure:
            return SignIns(unproven=1)
        return SignIns(signed_in=not self.not_tried)

    @property
    def not_tried(self) -> str:
        """Why a side was not tried though it should have been, or ""."""
        sides = (self.smtp, self.imap)
        reasons = [one.said for one in sides if one.verdict is Verdict.NOT_TRIED]
        return next((one for one in reasons if one != REFUSED_BY_SMTP), "")


def settings_of(account: Account) -> tuple[str, ...]:
    """Return the values of SETTINGS of an account."""
    sides = (account.smtp, account.imap)
    servers = ((one.host, str(one.port), one.encryption) for one in sides)
    return account.provider, *(value for server in servers for value in server)


FINDINGS = "signin/"
"""The folder of the files of what was found."""


def write_findings(
    reports: Reports, import_id: str, batch_number: int, findings: Mapping[str, MailboxFindings]
) -> None:
    """Write what was found of each address, given in lower case: a line for each side."""
    with reports.writer(import_id, _name(batch_number), "text/csv") as text:
        writer = csv.writer(text, lineterminator="\r\n")
        writer.writerow(_COLUMNS)
        for address, found in findings.items():
            for one in (found.smtp, found.imap):
                writer.writerow(
                    (escape_formula(address), one.side, one.verdict, escape_formula(one.said))
                )


def findings_of(reports: Reports, import_id: str, batch: Batch) -> dict[str, MailboxFindings]:
    """Return what was found of a batch, by addresses in lower case.

    All there is where the check was interrupted; nothing where it has expired.
    """
    if not batch.was_tried:
        return {}
    try:
        with reports.open(import_id, _name(batch.number)) as text:
            records = csv.reader(text)
            next(records)
            return {
                unescape_formula(smtp[0]): MailboxFindings(_read(smtp), _read(imap))
                for smtp, imap in zip(records, records, strict=True)
            }
    except ReportMissingError:
        return {}


def _name(batch_number: int) -> str:
    return f"{FINDINGS}batch-{batch_number:06d}.csv"


def _read(record: list[str]) -> Finding:
    _, side, verdict, said = record
    return Finding(side, Verdict(verdict), unescape_formula(said))
