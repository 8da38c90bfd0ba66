"""A service that repeats a password or the API key: in each way, in each place where it could go.

The real client, submitter, poller and deliverer, against a server that answers as configured.
"""

import base64
import csv
import html
import io
import json
import logging
import unicodedata
from collections.abc import Callable
from dataclasses import replace

import pytest

from email_accounts.models.steps import NextAction
from email_accounts.models.upload import Upload
from email_accounts.saleshandy.client import SaleshandyClient
from email_accounts.text.secret import HIDDEN
from local.echoes import ECHOES
from tests.support.fakes import FakeApiKey, World
from tests.support.files import PASSWORDS, accounts_file, row
from tests.support.service import Answer, Service, said

KEY = "key-5d1c<0e>9b7a&!"
SECRETS = (*PASSWORDS, KEY)
ADDRESSES = tuple(f"a{at}@reach.example" for at in range(len(SECRETS)))
ROWS = [
    row(address, smtpPassword=password, imapPassword=password)
    for address, password in zip(ADDRESSES, (*PASSWORDS, "another one"), strict=True)
]

Echoed = dict[str, str]
"""What the service repeats, by the secret that it is."""


@pytest.fixture(params=ECHOES)
def echoed(request: pytest.FixtureRequest) -> Echoed:
    """Write each secret in one way."""
    return {secret: ECHOES[request.param](secret) for secret in SECRETS}


def world_of(service: Service, batch_size: int) -> World:
    """Give fakes of all but the service."""
    world = World()
    world.policy = replace(world.policy, batch_size=batch_size)
    world.remote_of = lambda workspace: SaleshandyClient(  # type: ignore[method-assign]  # noqa: ARG005
        service.url, FakeApiKey([KEY]), frozenset({"127.0.0.1"}), world.clock
    )
    return world


def submitted(world: World, service: Service, *answers: Answer) -> Upload:
    """Submit all accounts while the service answers like this."""
    service.answers.extend(answers)
    upload = world.uploads.put("uploads/accounts.csv", accounts_file(*ROWS))
    world.submitter().start_import(upload)
    result = world.submit(upload)
    for _ in answers[1:]:
        if result.next is not NextAction.DELIVER and service.answers:
            world.clock.advance(600)
            result = world.submit(upload)
    return upload


def cells_of(text: str) -> str:
    """Return what a program reads in a CSV, a line for each cell."""
    return "\n".join(cell for line in csv.reader(io.StringIO(text, newline="")) for cell in line)


def values_of(text: str) -> str:
    """Return the texts in a JSON document, a line for each."""
    found: list[str] = []
    json.loads(text, object_pairs_hook=lambda pairs: found.extend(str(one) for one in pairs))
    return "\n".join(found) + text


def places(world: World, upload: Upload, log: str) -> dict[str, str]:
    """Deliver the answer; return all that is written anywhere, as its readers see it."""
    world.deliverer().deliver(upload.import_id)
    (message,) = world.notifications.messages
    files = {name: text for (_, name), text in world.reports.texts.items()}
    known = [world.ledger.get(upload.import_id), *world.ledger.batches(upload.import_id)]
    return {
        "mail": f"{message.subject}\n{message.mail}",
        "SNS JSON": values_of(message.document) + repr(message.attributes),
        "events": "\n".join(values_of(event.document) for event in world.events.events),
        "page": html.unescape(files.pop("report.html")),
        "summary.json": values_of(files.pop("summary.json")),
        "outcome.csv": cells_of(files.pop("outcome.csv")),
        "copies": "\n".join(map(cells_of, files.values())),
        "ledger": "\n".join(f"{one}\n{getattr(one, 'reason', '')}" for one in known),
        "log": log,
    }


def found(written: dict[str, str], echoed: Echoed) -> set[tuple[str, str]]:
    """Return which secrets are in which places, as they are or as they were echoed."""
    return {
        (place, secret)
        for place, text in written.items()
        for secret, echo in echoed.items()
        if secret in text or echo in text
    }


REPORTS: dict[str, Callable[[str], str]] = {
    "text": lambda echo: f"sign-in with {echo} failed",
    "cell": lambda echo: echo,
    "JSON": lambda echo: json.dumps({"error": f"sign-in with {echo} failed"}),
    "JSON as it came": lambda echo: f'{{"error":"sign-in with {echo} failed"}}',
    "base64": lambda echo: base64.b64encode(f"sign-in with {echo} failed".encode()).decode(),
    "NFD": lambda echo: unicodedata.normalize("NFD", f"sign-in with {echo} failed"),
}


@pytest.mark.parametrize("form", REPORTS)
def test_what_a_report_repeats_is_written_nowhere(
    service: Service, echoed: Echoed, form: str, caplog: pytest.LogCaptureFixture
) -> None:
    """In a reason, alone in a cell, or in an answer of the API that a cell holds."""
    caplog.set_level(logging.DEBUG)
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(("Email", "Status", "Error"))
    for address, echo in zip(ADDRESSES, echoed.values(), strict=True):
        writer.writerow((address, "Failed", REPORTS[form](echo)))
    world = world_of(service, len(ROWS))
    upload = submitted(world, service, said(200, {"requestId": "r1"}))
    link = f"{service.url}/report"
    service.answers += (
        said(200, {"isCompleted": True, "reportURL": link}),
        said(200, text.getvalue().encode()),
    )
    world.clock.advance(world.policy.initial_poll_delay)
    assert world.poll(upload).next is NextAction.DELIVER
    written = places(world, upload, caplog.text)
    assert not found(written, echoed)
    assert written["outcome.csv"].count(HIDDEN) == len(ROWS)
    assert f"{len(ROWS)} failed" in written["mail"]


@pytest.mark.parametrize("status", [400, 500])
def test_what_an_error_repeats_is_written_nowhere(
    service: Service, echoed: Echoed, status: int, caplog: pytest.LogCaptureFixture
) -> None:
    """Whether the request was refused, or may have arrived."""
    caplog.set_level(logging.DEBUG)
    world = world_of(service, 1)
    errors = [said(status, {"message": f"invalid: {echo}"}) for echo in echoed.values()]
    upload = submitted(world, service, *errors)
    world.clock.advance(world.policy.deadline)
    written = places(world, upload, caplog.text)
    assert not service.answers
    assert not found(written, echoed)
    assert HIDDEN in written["outcome.csv"]
    assert HIDDEN in written["ledger"]


@pytest.mark.parametrize("secret", [KEY, PASSWORDS[0]])
def test_what_the_refusal_of_a_key_repeats_is_written_nowhere(
    service: Service, echoed: Echoed, secret: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The import stops, and the reason is told everywhere but for what it repeats."""
    caplog.set_level(logging.DEBUG)
    world = world_of(service, len(ROWS))
    refusal = said(401, {"message": f"Unauthorized: {echoed[secret]}"})
    written = places(world, submitted(world, service, refusal), caplog.text)
    assert not found(written, echoed)
    assert "Saleshandy refused the API key: *** (HTTP 401)" in written["mail"]
