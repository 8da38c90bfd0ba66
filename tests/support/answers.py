"""Answers to imports of every kind, as the use-cases themselves give them."""

import csv
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from email_accounts.delivery.deliverer import OUTCOME_NAME, PAGE_NAME, SUMMARY_NAME
from email_accounts.delivery.message import ImportResult, ImportStatus
from email_accounts.delivery.outcomes import Outcome, RowOutcome
from email_accounts.delivery.summary import Summary
from email_accounts.errors import ApiKeyRefusedError, OutcomeUnknownError
from email_accounts.models.account import problem
from email_accounts.models.causes import cause_of, rejection
from email_accounts.models.imports import Import, ImportState
from email_accounts.models.messages import Message
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
_REFUSED = "535 5.7.8 Username and Password not accepted"
_SAID_TO = {
    "wrong-password": f"Sign-in refused: {_REFUSED}",
    "imap-disabled": "IMAP access is switched off for this mailbox: NO [ALERT] IMAP is disabled",
}


@dataclass(frozen=True, slots=True)
class Told:
    """All that was written and sent about an upload."""

    upload: Upload
    message: Message
    page: str
    outcome: str
    summary: str


Kind = Callable[[World], Upload]


def told(prepare: Kind, *, link_hours: float = 0) -> Told:
    """Let an import run to its end."""
    world = World()
    world.clock.time = RECEIVED_AT
    world.policy = replace(world.policy, batch_size=100, largest_file=100_000_000)
    world.link_seconds = link_hours * 3600
    upload = prepare(world)
    world.deliverer().deliver(upload.import_id)
    (message,) = world.notifications.messages
    texts = world.reports.texts
    return Told(
        upload,
        message,
        texts[upload.import_id, PAGE_NAME],
        texts.get((upload.import_id, OUTCOME_NAME), ""),
        texts[upload.import_id, SUMMARY_NAME],
    )


def taken(world: World, content: bytes, name: str = "accounts.csv") -> Upload:
    """Take a file as many steps as it needs where nothing has to be waited for."""
    upload = world.uploads.put(f"uploads/{name}", content)
    step = world.receive(upload, lambda: 300.0)
    for _ in range(_STEPS):
        if not step or step.next == NextAction.DELIVER:
            break
        world.clock.advance(step.wait_seconds)
        work = world.submitter().submit if step.next == NextAction.SUBMIT else world.poller().poll
        step = work(upload.import_id, lambda: 300.0)
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


def stopped(world: World) -> Upload:
    """Have the API key refused at the second batch."""
    world.policy = replace(world.policy, batch_size=20)
    refusal = "the service refused the API key: Unauthorized (HTTP 401)"
    world.saleshandy.connect_errors.extend([None, ApiKeyRefusedError(refusal)])
    return clean(world)


def stuck(world: World) -> Upload:
    """Let a request run past the deadline, and lose the answer to another one."""
    world.policy = replace(world.policy, batch_size=10)
    world.saleshandy.running.add("request-2")
    world.saleshandy.connect_errors.extend([None, None, OutcomeUnknownError("no answer came")])
    upload = clean(world)
    world.clock.advance(world.policy.deadline)
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


def large(rows: int) -> ImportResult:
    """Make the answer to an import of many rows, one in twenty of which needs care."""
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
        {what: f"s3://{folder}/{name}" for what, name in names.items()},
        {what: f"https://console.example/{folder}/{name}" for what, name in names.items()},
    )
