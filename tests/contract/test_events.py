"""The event bus: what rules match, and what targets get."""

import json
import re
from typing import TYPE_CHECKING

import boto3
import pytest
from botocore.stub import Stubber

from email_accounts.aws.messaging import EventBus
from email_accounts.errors import ImporterError
from email_accounts.models.messages import Message
from tests.support import answers
from tests.support.aws import new_bus, received
from tests.support.fakes import FakeEvents, Journal
from tools.docs.examples import DOCS

if TYPE_CHECKING:
    from email_accounts.ports import Events

DOCUMENT = {"schema": 1, "status": "partial", "counts": {"failed": 1}, "headline": 'a "b" é.csv'}
MESSAGE = Message("subject", "mail", json.dumps(DOCUMENT), {"status": "partial"})


def test_the_fake_puts_what_it_is_given() -> None:
    """Each event is put once, in its order."""
    fake = FakeEvents(Journal())
    events: Events = fake
    events.put(MESSAGE.event)
    assert fake.events == [MESSAGE.event]


@pytest.mark.parametrize("name", ["default", "of-its-own"])
def test_a_rule_matches_and_its_target_gets_the_document(name: str) -> None:
    """Source and type are the ones documented; the detail is the message's document."""
    queue = new_bus(name, {"detail-type": ["Email Accounts Import Completed"]})
    EventBus(boto3.client, name).put(MESSAGE.event)
    (event,) = received(queue)
    assert event["source"] == "email-accounts-importer"
    assert event["detail-type"] == "Email Accounts Import Completed"
    assert event["detail"] == DOCUMENT


@pytest.mark.parametrize(("kind", "events"), [(answers.sample, 1), (answers.clean, 0)])
def test_the_pattern_of_the_docs_chooses(kind: answers.Kind, events: int) -> None:
    """It lets through what is really put of an import with failures, and no other."""
    text = (DOCS / "events.md").read_text(encoding="utf-8")
    (shown,) = re.findall(r"```json\n(\{\n  \"source\".+?)```", text, re.DOTALL)
    answer = answers.delivered(kind)
    pattern = json.loads(shown.replace("<InboxBucketName>", answer.upload.bucket))
    queue = new_bus(kind.__name__, pattern)
    EventBus(boto3.client, kind.__name__).put(answer.message.event)
    assert len(received(queue)) == events
    pattern["detail"]["file"]["bucket"] = ["another"]
    of_another = new_bus(f"{kind.__name__}-of-another", pattern)
    EventBus(boto3.client, f"{kind.__name__}-of-another").put(answer.message.event)
    assert received(of_another) == []


def test_an_event_that_is_not_taken_raises() -> None:
    """EventBridge answers 200 where an entry failed; that is no success."""
    client = boto3.client("events")
    with Stubber(client) as stubber:
        failed = {"ErrorCode": "InternalFailure", "ErrorMessage": "try again"}
        stubber.add_response("put_events", {"FailedEntryCount": 1, "Entries": [failed]})
        with pytest.raises(ImporterError, match=r"bus own .*: InternalFailure: try again"):
            EventBus(lambda _: client, "own").put(MESSAGE.event)
