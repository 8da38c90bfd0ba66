"""The event bus and the topic."""

import json
from typing import TYPE_CHECKING

from email_accounts.errors import EventRefusedError
from email_accounts.models.messages import Event, Message

if TYPE_CHECKING:
    from mypy_boto3_events.client import EventBridgeClient
    from mypy_boto3_sns.client import SNSClient


EVENT_SOURCE = "email-accounts-importer"
_MACHINE_PROTOCOLS = ("lambda", "sqs", "http", "https", "firehose")


class EventBus:
    """Tells other systems about imports."""

    def __init__(self, client: "EventBridgeClient", bus: str) -> None:
        """Use a bus by its name; nothing is called yet."""
        self._client = client
        self._bus = bus

    def put(self, event: Event) -> None:
        """Put the event; EventRefusedError where the bus answers but does not take it."""
        answer = self._client.put_events(
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
            raise EventRefusedError(f"the event bus {self._bus} refuses the event: {said}")


class NotificationTopic:
    """Sends messages: a mail to people, JSON to machines."""

    def __init__(self, client: "SNSClient", topic: str) -> None:
        """Use a topic by its ARN; nothing is called yet."""
        self._client = client
        self._topic = topic

    def publish(self, message: Message) -> None:
        """Send the message to all who subscribed."""
        texts = {"default": message.mail} | dict.fromkeys(_MACHINE_PROTOCOLS, message.document)
        self._client.publish(
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
