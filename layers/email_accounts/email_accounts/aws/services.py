"""The state machine, the event bus, the topic and the secret."""

import json
import math
import time
from typing import TYPE_CHECKING

from botocore.exceptions import ClientError

from email_accounts.errors import ApiKeyMissingError, EventRefusedError, WorkspaceUnknownError
from email_accounts.ports import Message, Step
from email_accounts.secret import Secret
from email_accounts.upload import DEFAULT_WORKSPACE, WORKSPACE_NAME

if TYPE_CHECKING:
    from mypy_boto3_events.client import EventBridgeClient
    from mypy_boto3_secretsmanager.client import SecretsManagerClient
    from mypy_boto3_sns.client import SNSClient
    from mypy_boto3_stepfunctions.client import SFNClient

EVENT_SOURCE = "email-accounts-importer"
IMPORT_COMPLETED = "Email Accounts Import Completed"
_MACHINE_PROTOCOLS = ("lambda", "sqs", "http", "https", "firehose")
_KEY_KEPT_FOR = 300.0
_NO_SECRET = ("ResourceNotFoundException", "InvalidRequestException")
"""What Secrets Manager says of a secret that is not there, or that is marked for deletion."""


def step_document(step: Step) -> dict[str, object]:
    """Return a step as the state machine reads it; it waits whole seconds, rounded up."""
    return {"next": step.next, "waitSeconds": math.ceil(step.wait_seconds)}


class TrackImport:
    """Starts executions of the state machine, each named by its import."""

    def __init__(self, client: "SFNClient", state_machine: str) -> None:
        """Use a state machine by its ARN; nothing is called yet."""
        self._client = client
        self._state_machine = state_machine

    def start(self, name: str, import_id: str, file: str, step: Step) -> None:
        """Start an execution of an import; a no-op when one of this name has been started."""
        document = {"importId": import_id, "file": file, **step_document(step)}
        try:
            self._client.start_execution(
                stateMachineArn=self._state_machine, name=name, input=json.dumps(document)
            )
        except self._client.exceptions.ExecutionAlreadyExists:
            return


class EventBus:
    """Tells other systems that an import is completed."""

    def __init__(self, client: "EventBridgeClient", bus: str) -> None:
        """Use a bus by its name; nothing is called yet."""
        self._client = client
        self._bus = bus

    def put(self, message: Message) -> None:
        """Put the event; EventRefusedError where the bus answers but does not take it."""
        answer = self._client.put_events(
            Entries=[
                {
                    "Source": EVENT_SOURCE,
                    "DetailType": IMPORT_COMPLETED,
                    "Detail": message.document,
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


def workspace_key(
    client: "SecretsManagerClient", workspaces: str, workspace: str
) -> "ApiKeySecret":
    """Return the API key of a workspace, whose secret lies under `workspaces`.

    The default workspace is part of the stack, though its secret may be empty; any other one is
    there when its secret is. WorkspaceUnknownError where it is not.
    """
    unknown = WorkspaceUnknownError(f"there is no workspace {workspace}")
    if not WORKSPACE_NAME.fullmatch(workspace):
        raise unknown
    key = ApiKeySecret(client, f"{workspaces}/{workspace}")
    if workspace != DEFAULT_WORKSPACE:
        try:
            key()
        except ApiKeyMissingError:
            raise unknown from None
        except ClientError as error:
            # Of a secret that is not there AWS says so to everyone who may not read all secrets.
            if error.response["Error"]["Code"] != "AccessDeniedException":
                raise
            raise unknown from None
    return key


class ApiKeySecret:
    """Fetches the API key and keeps it in memory for a few minutes."""

    def __init__(self, client: "SecretsManagerClient", name: str) -> None:
        """Use a secret by its name; nothing is called yet."""
        self._client = client
        self._name = name
        self._key: Secret | None = None
        self._fetched_at = 0.0

    def __call__(self) -> Secret:
        """Return the API key; ApiKeyMissingError where none has been put in."""
        if self._key is None or time.monotonic() - self._fetched_at > _KEY_KEPT_FOR:
            self._key = self._fetch()
            self._fetched_at = time.monotonic()
        return self._key

    def forget(self) -> None:
        """Fetch the key anew next time, because it was refused and may be mended by then."""
        self._key = None

    def _fetch(self) -> Secret:
        try:
            answer = self._client.get_secret_value(SecretId=self._name)
        except ClientError as error:
            if error.response["Error"]["Code"] not in _NO_SECRET:
                raise
            answer = None
        key = Secret(answer.get("SecretString", "").strip()) if answer else Secret("")
        if not _is_usable(key.reveal()):
            raise ApiKeyMissingError(
                f"no usable API key is in the secret {self._name}: put it there and drop again"
            )
        return key


def _is_usable(key: str) -> bool:
    """Say whether a text can be sent as a header."""
    return key != "" and key.isascii() and key.isprintable()
