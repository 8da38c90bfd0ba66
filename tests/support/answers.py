"""Results of imports that ended in every way, from the use cases themselves."""

import csv
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from email_accounts.delivery.outcomes import Outcome, RowOutcome
from email_accounts.delivery.result import ImportResult, ImportStatus
from email_accounts.delivery.summary import Summary
from email_accounts.errors import ApiKeyRefusedError, OutcomeUnknownError
from email_accounts.models.account import problem
from email_accounts.models.causes import cause_of, rejection
from email_accounts.models.imports import OUTCOME_NAME, PAGE_NAME, SUMMARY_NAME, Import, ImportState
from email_accounts.models.messages import IMPORT_ESTIMATED, Message
from email_accounts.models.steps import NextAction
from email_accounts.models.upload import Upload
from tests.support.fakes import World
from tests.support.files import PASSWORD, accounts_file, row

SAMPLE = Path(__file__).parents[1] / "samples" / "accounts.csv"
RECEIVED_AT = 1_795_354_800.0
"""A fixed moment, so that a page is the same each time."""

GOOGLE = ("gsuite", "smtp.gmail.com", "465", "ssl", "imap.gmail.com", "993", "ssl")
MICROSOFT = ("o365", "smtp.office365.com", "587", "tls", "outlook.office365.com", "993", "ssl")
OTHER = ("other", "mail.reach.example", "465", "ssl", "mail.reach.example", "993", "ssl")
_STEPS = 4
_INTERRUPTED = "check_status failed with States.Timeout"
_REFUSED = "535 5.7.8 Username and Password not accepted"
_SAID_TO = {
    "wrong-password": f"Sign-in refused: {_REFUSED}",
    "imap-disabled": "IMAP access is switched off for this mailbox: NO [ALERT] IMAP is disabled",
}


@dataclass(frozen=True, slots=True)
class Delivered:
    """All that was written and sent about an upload."""

    upload: Upload
    estimates: tuple[str, ...]
    message: Message
    page: str
    outcome: str
    summary: str


Kind = Callable[[World], Upload]


def delivered(prepare: Kind, *, link_hours: float = 0) -> Delivered:
    """Let an import run to its end."""
    world = World()
    world.clock.time = RECEIVED_AT
    world.policy = replace(world.policy, batch_size=100, largest_file=100_000_000)
    world.link_seconds = link_hours * 3600
    upload = prepare(world)
    failure = _INTERRUPTED if prepare is interrupted else ""
    world.deliverer().deliver(upload.import_id, failure)
    (message,) = world.notifications.messages
    texts = world.reports.texts
    return Delivered(
        upload,
        tuple(one.document for one in world.events.of(IMPORT_ESTIMATED)),
        message,
        *(
            texts.get((upload.import_id, name), "")
            for name in (PAGE_NAME, OUTCOME_NAME, SUMMARY_NAME)
        ),
    )


def taken(
    world: World, content: bytes, name: str = "accounts.csv", *, steps: int = _STEPS
) -> Upload:
    """Upload a file and take it so many steps; the default is enough if nothing has to wait."""
    upload = world.uploads.put(f"uploads/{name}", content)
    step = world.receive(upload)
    for _ in range(steps):
        if not step or step.next == NextAction.DELIVER:
            break
        world.clock.advance(step.wait_seconds)
        step = (world.submit if step.next == NextAction.SUBMIT else world.poll)(upload)
    return upload


def clean(world: World) -> Upload:
    """Connect every account of a file."""
    return taken(world, accounts_file(*(f"a{number}@reach.example" for number in range(40))))


def sample(world: World) -> Upload:
    """Import the sample, in which some rows are wrong and some accounts fail."""
    content = SAMPLE.read_bytes()
    for one in csv.DictReader(content.decode().splitlines()):
        said = _SAID_TO.get(one["smtpPassword"]) or _SAID_TO.get(one["imapPassword"])
        if one["smtpHost"].endswith("unreachable.example"):
            said = f"No answer from the SMTP server {one['smtpHost']}:587: connection timed out"
        if said:
            world.saleshandy.failing[one["smtpEmailAddress"]] = said
    return taken(world, content)


def refused(world: World) -> Upload:
    """Drop what is no file of accounts."""
    return taken(world, b"%PDF-1.7", "accounts.pdf")


def wrong_folder(world: World) -> Upload:
    """Upload a file to a folder that belongs to no workspace."""
    return taken(world, accounts_file("a1@reach.example"), "nroth/accounts.csv")


def rejected(world: World) -> Upload:
    """Import a file in which no row is valid."""
    rows = (row(f"a{number}@reach.example", smtpPort="0") for number in range(500))
    return taken(world, accounts_file(*rows))


def failed(world: World) -> Upload:
    """Have every account fail but the one that is a duplicate."""
    addresses = [f"a{number}@reach.example" for number in range(3)]
    world.saleshandy.failing |= dict.fromkeys(addresses, _REFUSED)
    return taken(world, accounts_file(*addresses, addresses[0]))


def unconfirmed(world: World) -> Upload:
    """Have the account list not show one of two accounts that were connected by the report."""
    world.policy = replace(world.policy, verify_connected=True)
    upload = taken(world, accounts_file("a1@reach.example", "a2@reach.example"), steps=0)
    world.saleshandy.accounts.pop()
    world.follow(upload)
    return upload


def stopped(world: World) -> Upload:
    """Have the API key refused at the second batch."""
    world.policy = replace(world.policy, batch_size=20)
    refusal = "Saleshandy refused the API key: Unauthorized (HTTP 401)"
    world.saleshandy.connect_errors.extend([None, ApiKeyRefusedError(refusal)])
    return clean(world)


def stopped_by_operator(world: World) -> Upload:
    """Stop an import before its first request."""
    upload = world.uploads.put(
        "uploads/accounts.csv", accounts_file("a1@reach.example", "a2@reach.example")
    )
    world.receive(upload, lambda: 0.0)
    assert world.submitter().stop(upload.import_id)
    return upload


def deleted(world: World) -> Upload:
    """Delete a file before its report is written."""
    upload = clean(world)
    world.uploads.delete_version(upload)
    return upload


def stuck(world: World) -> Upload:
    """Let a request run past the deadline, and lose the answer to another one."""
    world.policy = replace(world.policy, batch_size=10)
    world.saleshandy.running.add("request-2")
    world.saleshandy.connect_errors.extend([None, None, OutcomeUnknownError("no answer came")])
    upload = clean(world)
    world.clock.advance(world.policy.deadline)
    return upload


def without_progress(world: World) -> Upload:
    """Have Saleshandy accept a request and never finish it."""
    world.saleshandy.running.add("request-1")
    upload = taken(world, accounts_file("a1@reach.example", "a2@reach.example"), steps=0)
    world.saleshandy.accounts.clear()
    world.follow(upload)
    return upload


def interrupted(world: World) -> Upload:
    """Have the execution fail after the first request."""
    upload = world.uploads.put(
        "uploads/accounts.csv", accounts_file("a1@reach.example", "a2@reach.example")
    )
    world.policy = replace(world.policy, batch_size=1)
    left = iter([300.0, 300.0, 0.0])
    world.receive(upload, lambda: next(left, 0.0))
    return upload


def hostile(world: World) -> Upload:
    """Put into names, addresses, columns and reasons what could do harm."""
    turned = "\u202emoc.live\u202c \u200f\x00\x1b[31mred\x07\r\nSubject: no\u2028end"
    script = "<script>document.title='run'</script><img src=x onerror=\"document.title='run'\">"
    world.saleshandy.failing |= {
        "a1@reach.example": f'=HYPERLINK("https://evil.example","x") {script}',
        "a2@reach.example": turned,
        "+a3@reach.example": "x" * 10_000,
        "a4@reach.example": "</style></script>{{ 7 * 7 }}{% raw %}--><!--;=1+1\n=2+2",
    }
    rows = [
        row("a1@reach.example", fromFirstName="N" * 10_000),
        *map(row, world.saleshandy.failing),
        row("a5@reach.example", emailServiceProvider=script, **{f"{script}{'C' * 10_000}": "x"}),
        row("a6@reach.example", **{"\u202eevil": PASSWORD}),
    ]
    return taken(world, accounts_file(*rows), f"=1+1 {script.replace('/', '')}\u202e.csv")


ENDINGS: tuple[Kind, ...] = (
    *(clean, sample, failed, rejected, unconfirmed),
    *(refused, wrong_folder),
    *(stopped, stopped_by_operator, deleted),
    *(stuck, without_progress, interrupted),
    hostile,
)
"""Every way in which an import ends."""
WITH_PAGE = tuple(kind for kind in ENDINGS if kind is not deleted)


def large(rows: int) -> ImportResult:
    """Make the result of an import of many rows, one in twenty of which needs attention."""
    summary = Summary()
    port = rejection(problem("port_invalid", "smtpPort"))
    for number in range(2, rows + 2):
        address = f"robin.stone{number}@team{number % 1500}.example"
        settings = (GOOGLE, MICROSOFT, OTHER)[number % 3]
        provider = settings[0]
        if number % 20:
            summary.add(RowOutcome(number, address, Outcome.CONNECTED, "", provider))
        elif number % 60 == 0:
            said = "smtpPort: not a port"
            summary.add(RowOutcome(number, address, Outcome.REJECTED, said, causes=(port,)))
        else:
            cause = cause_of(_REFUSED, settings)
            outcome = RowOutcome(number, address, Outcome.FAILED, _REFUSED, provider, (cause,))
            summary.add(outcome)
    return answer(summary, "uploads/many accounts.csv")


def answer(
    summary: Summary,
    key: str = "uploads/accounts.csv",
    status: ImportStatus = ImportStatus.PARTIAL,
    failure_reason: str = "",
    unknown_columns: tuple[str, ...] = (),
) -> ImportResult:
    """Make an answer of counts."""
    upload = Upload("inbox", key, "v1", 54_208)
    imported = Import(
        upload.import_id,
        upload,
        ImportState.PLANNED,
        RECEIVED_AT,
        RECEIVED_AT,
        deadline=0.0,
        lease_until=0.0,
        unknown_columns=unknown_columns,
    )
    folder = f"reports/imports/{imported.id}"
    names = {"page": PAGE_NAME, "outcome": OUTCOME_NAME, "summary": SUMMARY_NAME}
    return ImportResult(
        imported,
        status,
        summary,
        failure_reason,
        None,
        {what: f"s3://{folder}/{name}" for what, name in names.items()},
        {what: f"https://console.example/{folder}/{name}" for what, name in names.items()},
    )
