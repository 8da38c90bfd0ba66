"""The topic: what subscribers get."""

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import boto3
import pytest
from moto.sns.models import sns_backends

from email_accounts.aws.messaging import NotificationTopic
from email_accounts.delivery.message import message_of
from email_accounts.delivery.outcomes import Outcome, RowOutcome
from email_accounts.delivery.result import ImportResult, ImportStatus, Link
from email_accounts.delivery.summary import Summary
from email_accounts.intake.rows import WarningCount
from email_accounts.models.account import WarningCode
from email_accounts.models.causes import Cause
from email_accounts.models.messages import Message
from tests.support import answers
from tests.support.aws import ACCOUNT, REGION, new_topic, received
from tests.support.fakes import FakeNotifications, Journal

if TYPE_CHECKING:
    from email_accounts.ports import Notifications

MESSAGE = Message(
    subject="accounts.csv: 2 connected, 1 failed",
    mail='accounts.csv: 2 connected\n\nOf 3 rows\n  "zoë" …\n',
    document=json.dumps({"schema": 1, "headline": 'a "b" é.csv'}),
    attributes={"status": "partial", "workspace": "default", "failed": 1},
)


def topic() -> tuple[str, str, NotificationTopic]:
    """Make a topic with a queue behind it."""
    arn, queue = new_topic()
    return arn, queue, NotificationTopic(boto3.client, arn)


def test_the_fake_sends_what_it_is_given() -> None:
    """Each message is sent once, in its order."""
    fake = FakeNotifications(Journal())
    notifications: Notifications = fake
    notifications.publish(MESSAGE)
    assert fake.messages == [MESSAGE]


def test_a_machine_gets_the_document() -> None:
    """A queue gets one message: the subject, and the JSON document alone.

    Attributes are texts and numbers, so that a filter can say `failed > 0`.
    """
    _, queue, notifications = topic()
    notifications.publish(MESSAGE)
    (message,) = received(queue)
    assert message["Subject"] == MESSAGE.subject
    assert message["Message"] == MESSAGE.document
    assert message["MessageAttributes"] == {
        "status": {"Type": "String", "Value": "partial"},
        "workspace": {"Type": "String", "Value": "default"},
        "failed": {"Type": "Number", "Value": "1"},
    }


@pytest.mark.parametrize(("failed", "messages"), [(1, 1), (0, 0)])
def test_a_filter_on_a_number_holds(failed: int, messages: int) -> None:
    """Who wants to hear of failures alone hears of nothing else."""
    arn, queue, notifications = topic()
    sns = boto3.client("sns")
    (subscription,) = sns.list_subscriptions_by_topic(TopicArn=arn)["Subscriptions"]
    sns.set_subscription_attributes(
        SubscriptionArn=subscription["SubscriptionArn"],
        AttributeName="FilterPolicy",
        AttributeValue=json.dumps({"failed": [{"numeric": [">", 0]}]}),
    )
    attributes = MESSAGE.attributes | {"failed": failed}
    notifications.publish(Message(MESSAGE.subject, MESSAGE.mail, MESSAGE.document, attributes))
    assert len(received(queue)) == messages


def test_a_person_gets_the_mail_and_every_machine_the_document() -> None:
    """Mail gets the text, each protocol of machines the document, whatever else the text."""
    arn, _, notifications = topic()
    notifications.publish(MESSAGE)
    ((_, sent, subject, *_),) = sns_backends[ACCOUNT][REGION].topics[arn].sent_notifications
    texts = json.loads(sent)
    assert subject == MESSAGE.subject
    assert texts.pop("default") == MESSAGE.mail
    assert texts == dict.fromkeys(("lambda", "sqs", "http", "https", "firehose"), MESSAGE.document)


@pytest.mark.parametrize("char", ["x", "€", "🙂", '"', "\\", "\x01", "\u202e", "\ud800"])
def test_the_largest_message_fits(char: str) -> None:
    """SNS takes 256 KB: with long names and many causes in any characters, it says what lacks."""
    arn, _, notifications = topic()
    message = message_of(largest(char))
    notifications.publish(message)
    ((_, sent, *_),) = sns_backends[ACCOUNT][REGION].topics[arn].sent_notifications
    attributes = sum(len(f"{name}String{value}") for name, value in message.attributes.items())
    assert len(sent.encode()) + len(message.subject) + attributes <= 256 << 10
    document = json.loads(message.document)
    assert len(document["causes"]) + document["moreCauses"] == 300
    assert len(document["warnings"]) + document["moreWarnings"] == 40
    assert len(document["causes"]) > 0


def largest(char: str) -> ImportResult:
    """Return an answer in which everything that comes from outside is as long as it can be."""
    size = len(char.encode("utf-8", "replace"))
    key = "uploads/" + (char * (1016 // size)).encode("utf-8", "replace").decode()
    made = answers.answer(
        Summary(), key, ImportStatus.STOPPED, char * 100_000, tuple([char * 100] * 21)
    )
    for number in range(300):
        cause = Cause(f"cause_{number}", char * 10_000, "x" * 500, "y" * 500)
        made.summary.add(
            RowOutcome(10**9 + number, "a@x.example", Outcome.FAILED, char * 500, "other", (cause,))
        )
    made.summary.notes = [WarningCount(WarningCode.COLUMN_NEAR, char * 10_000)] * 40
    url = f"https://reports.example/{'s' * 2000}"
    link = Link(url, url, 1_795_354_800.0)
    return replace(made, link=link, imported=replace(made.imported, resumed=9))
