"""A write is carried out, its answer is lost, botocore repeats it, and its condition fails.

Anyone who made it must not take it for another's. Held on the real ledger, moto and botocore's own
retries.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ReadTimeoutError
from moto.core.models import botocore_stubber

from email_accounts.aws.dynamodb import DynamoLedger
from email_accounts.errors import ThrottledError
from email_accounts.models.imports import BatchState, ImportState
from email_accounts.models.steps import NextAction
from email_accounts.models.upload import Upload
from tests.support.aws import new_table
from tests.support.fakes import World
from tests.support.files import accounts_file

ADDRESSES = ("a0@x.example", "a1@x.example")


class LossyWorld(World):
    """A world whose ledger is real, and loses the answer to a write that says `needle`."""

    def __init__(self) -> None:
        """Lose nothing yet."""
        super().__init__()
        config = Config(retries={"mode": "standard", "max_attempts": 4})
        client = boto3.client("dynamodb", config=config)
        self.real = DynamoLedger(client, new_table(), 86_400)
        self.ledger = self.real  # type: ignore[assignment]
        self.account_list = replace(self.account_list, ledger=self.real)
        self.lost: list[str] = []
        self.needle = ""
        client.meta.events.register_first("before-send.dynamodb.*", self._send)

    def lose(self, needle: str) -> None:
        """Lose the answer to the next write that says this."""
        self.needle = needle

    def _send(self, request: Any, **_: object) -> None:  # noqa: ANN401  one of botocore's own
        target = request.headers["X-Amz-Target"]
        body = request.body
        target, body = (one.decode() if isinstance(one, bytes) else one for one in (target, body))
        operation = target.rsplit(".", 1)[-1]
        if self.needle and self.needle in body and operation in ("PutItem", "UpdateItem"):
            self.needle = ""
            self.lost.append(operation)
            botocore_stubber(f"before-send.dynamodb.{operation}", request)
            raise ReadTimeoutError(endpoint_url="dynamodb", error=None)


@pytest.fixture
def world() -> Iterator[LossyWorld]:
    """Give a world, and see that an answer was lost in it."""
    world = LossyWorld()
    yield world
    assert len(world.lost) == 1


def two(world: World) -> Upload:
    """Upload a file of two accounts, which is one batch."""
    return world.uploads.put("uploads/a.csv", accounts_file(*ADDRESSES))


@pytest.mark.parametrize(
    "needle",
    [
        "received_at",
        ":add_attempts",
        '"planned"}, ":new_rows',
        '"sending"}',
        '"request-1"',
        '":new_lease_until": {"N": "0"}',
    ],
    ids=["claim", "lease", "plan", "sending", "submitted", "release"],
)
def test_an_upload_is_submitted_all_the_same(world: LossyWorld, needle: str) -> None:
    """Whichever write it is, the one batch is sent once and has its request id."""
    upload = two(world)
    world.lose(needle)
    result = world.receive(upload)
    assert result
    assert result.next == NextAction.CHECK
    (batch,) = world.real.batches(upload.import_id)
    assert (batch.state, batch.sent) == (BatchState.SUBMITTED, 1)
    assert list(world.saleshandy.requests.values()) == [ADDRESSES]
    imported = world.real.get(upload.import_id)
    assert (imported.attempts, imported.lease_until) == (0, 0)


def test_a_throttled_batch_is_withdrawn(world: LossyWorld) -> None:
    """The batch is planned again, and is known not to have arrived."""
    upload = two(world)
    world.saleshandy.connect_errors.append(ThrottledError(7.0))
    world.lose('":new_state": {"S": "planned"}, ":new_request_id')
    result = world.receive(upload)
    assert result
    assert result.next == NextAction.SUBMIT
    (batch,) = world.real.batches(upload.import_id)
    assert (batch.state, batch.sent) == (BatchState.PLANNED, 0)


@pytest.mark.parametrize("needle", ['"delivering"}', '"notified"}'])
def test_an_import_is_answered_once(world: LossyWorld, needle: str) -> None:
    """The deliverer has its lease, and its message is known to be sent."""
    upload = two(world)
    world.receive(upload)
    world.lose(needle)
    assert world.deliverer().deliver(upload.import_id, "aborted", best_effort=True)
    assert world.real.get(upload.import_id).state is ImportState.NOTIFIED
    assert len(world.notifications.messages) == 1


def test_an_import_is_restarted_once(world: LossyWorld) -> None:
    """Anyone who restarted it is told so, and its new execution has begun."""
    upload = two(world)
    world.receive(upload)
    world.deliverer().deliver(upload.import_id)
    world.lose(":new_resumed")
    assert world.submitter().restart(upload.import_id)
    assert world.real.get(upload.import_id).resumed == 1
    assert len(world.executions.started) == 2
