"""The event bus and the topic."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from email_accounts.errors import ImporterError
from email_accounts.models.messages import Event, Message

if TYPE_CHECKING:
    from mypy_boto3_events.client import EventBridgeClient
    from mypy_boto3_sns.client import SNSClient


EVENT_SOURCE = "email-accounts-importer"
_MACHINE_PROTOCOLS = ("lambda", "sqs", "http", "https", "firehose")


ClientOf = Callable[..., Any]
"""Makes the client of a service. These are made when the first message is sent, which is the last
thing that a function does: each would take a twentieth of a cold start."""


class EventBus:
    """Publishes events about imports."""

    def __init__(self, client_of: ClientOf, bus: str) -> None:
        """Use a bus by its name; nothing is called yet."""
        self._client_of = client_of
        self._bus = bus

    def put(self, event: Event) -> None:
        """Put the event; ImporterError where the bus answers but does not take it."""
        client: EventBridgeClient = self._client_of("events")
        answer = client.put_events(
            Entries=[
                {
                    "Source": EVENT_SOURCE,
                    "DetailType": event.kind,
                    "Detail": event.document,
                    "EventBusName": self._bus,
                }
            ]
        )
        if answer["FailedEntryCount"]:
            (entry,) = answer["Entries"]
            said = f"{entry.get('ErrorCode')}: {entry.get('ErrorMessage')}"
            raise ImporterError(f"the event bus {self._bus} refuses the event: {said}")


class NotificationTopic:
    """Sends messages: a mail to people, JSON to machines."""

    def __init__(self, client_of: ClientOf, topic: str) -> None:
        """Use a topic by its ARN; nothing is called yet."""
        self._client_of = client_of
        self._topic = topic

    def publish(self, message: Message) -> None:
        """Send the message to all who subscribed."""
        texts = {"default": message.mail} | dict.fromkeys(_MACHINE_PROTOCOLS, message.document)
        client: SNSClient = self._client_of("sns")
        client.publish(
            TopicArn=self._topic,
            Subject=message.subject,
            MessageStructure="json",
            Message=json.dumps(texts),
            MessageAttributes={
                name: {
                    "DataType": "Number" if isinstance(value, int) else "String",
                    "StringValue": str(value),
                }
                for name, value in message.attributes.items()
            },
        )
