"""Try the mailboxes of a file at their own mail servers, from this computer's network.

It uses the code and the rate limits of the service. Memory does not grow with the file.
"""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from math import inf
from pathlib import Path

from email_accounts.intake.accounts_file import AccountsFile, open_accounts_file
from email_accounts.intake.rows import Accepted
from email_accounts.models.account import Account
from email_accounts.models.causes import Cause
from email_accounts.models.servers import ServersOf
from email_accounts.models.upload import NO_OPTIONS, UploadOptions
from email_accounts.sign_in.findings import MailboxFindings, settings_of
from email_accounts.sign_in.gate import Gate, LocalBrakes
from email_accounts_cli.terminal import (
    console,
    counted,
    print_json,
    printable,
    progress,
    table,
)

_AT_ONCE = 500
"""Mailboxes that are held in memory."""
_TABLE_WIDTH = 120
"""Columns that the table of failed sign-ins needs; narrower terminals get lines."""
_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Found:
    """What was found of a mailbox that did not sign in, or was not tried."""

    row: int
    address: str
    cause: Cause
    said: str


@dataclass(slots=True)
class SignIns:
    """How many mailboxes were tried, those that did not sign in, and why some were not tried."""

    tried: int = 0
    failed: list[Found] = field(default_factory=list)
    not_tried: Counter[str] = field(default_factory=Counter)


def try_sign_ins(  # noqa: PLR0913  options of the command
    name: str,
    accepted: int,
    sample: int | None,
    servers_of: ServersOf | None = None,
    *,
    as_json: bool,
    trusted_hosts: frozenset[str] = frozenset(),
    options: UploadOptions = NO_OPTIONS,
) -> bool:
    """Sign in to the mailboxes of a file, or to a sample; return whether all sign-ins worked.

    `accepted` is the number of accounts in the file; `servers_of` knows the servers of rows
    that name none.
    """
    wanted = min(accepted, sample or accepted)
    result = SignIns()
    gate = Gate(LocalBrakes(), time.time, inf, trusted_hosts)
    with Path(name).open("rb") as stream:
        file = open_accounts_file(stream, servers_of, options)
        chosen = _chosen(file, accepted, wanted)
        with progress("Signing in", wanted, in_bytes=False) as move:
            while chunk := list(islice(chosen, _AT_ONCE)):
                found: dict[str, MailboxFindings] = {}
                for some in gate.check_all([account for _, account in chunk]):
                    found |= some
                    move(advance=len(some))
                for row, account in chunk:
                    _add(result, row, account, found[account.smtp.address.lower()])
        _print(name, result, file, as_json=as_json)
    return not result.failed


def _chosen(file: AccountsFile, accepted: int, wanted: int) -> Iterator[tuple[int, Account]]:
    """Yield so many accounts, spread over the file."""
    rows = (row for row in file.rows if isinstance(row, Accepted))
    for number, row in enumerate(rows):
        if (number + 1) * wanted // accepted > number * wanted // accepted:
            yield row.row, row.account()


def _add(result: SignIns, row: int, account: Account, found: MailboxFindings) -> None:
    if found.not_tried:
        result.not_tried[found.not_tried] += 1
    else:
        result.tried += 1
    if known := found.cause(settings_of(account)):
        cause, finding = known
        said = f"{finding.side.upper()}: {finding.said}"
        result.failed.append(Found(row, account.smtp.address, cause, said))


def _print(name: str, result: SignIns, file: AccountsFile, *, as_json: bool) -> None:
    if as_json:
        findings = [
            {
                "row": one.row,
                "address": one.address,
                "cause": one.cause.code,
                "certain": one.cause.certain,
                "said": one.said,
                "fix": one.cause.fix,
            }
            for one in result.failed
        ]
        document = {"file": name, "signIns": result.tried, "notTried": dict(result.not_tried)}
        print_json(document | {"findings": findings})
        return
    screen = console()
    if result.failed:
        rows = (
            (file.shown(one.row), one.address, one.cause.title, one.said, one.cause.fix)
            for one in result.failed[:_SHOWN]
        )
        if screen.width >= _TABLE_WIDTH:
            screen.print(table(("Row", "Address", "Cause", "What the server said", "Fix"), rows))
        else:
            for row, address, *texts in rows:
                screen.print("\n  ".join((f"Row {row}, {address}", *texts)))
    if result.failed[_SHOWN:]:
        screen.print(f"and {len(result.failed) - _SHOWN:,} more; --json lists them all")
    for reason, count in result.not_tried.items():
        screen.print(f"{counted(count, 'row')} not tried: {reason}", style="yellow")
    tried = counted(result.tried, "sign-in")
    screen.print(f"{printable(name)}: {tried}, {len(result.failed):,} failed", style="bold")
    screen.print()
