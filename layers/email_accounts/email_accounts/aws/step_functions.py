"""The state machine."""

import json
import math
from typing import TYPE_CHECKING

from email_accounts.models.steps import TaskResult

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions.client import SFNClient


def result_document(result: TaskResult) -> dict[str, object]:
    """Return a result as the state machine reads it; it waits whole seconds, rounded up."""
    return {"next": result.next, "waitSeconds": math.ceil(result.wait_seconds)}


class TrackImport:
    """Starts executions of the state machine, each named by its import."""

    def __init__(self, client: "SFNClient", state_machine: str) -> None:
        """Use a state machine by its ARN; nothing is called yet."""
        self._client = client
        self._state_machine = state_machine

    def start(self, name: str, import_id: str, file: str, first: TaskResult) -> None:
        """Start an execution of an import; a no-op when one of this name has been started."""
        document = {"importId": import_id, "file": file, **result_document(first)}
        try:
            self._client.start_execution(
                stateMachineArn=self._state_machine, name=name, input=json.dumps(document)
            )
        except self._client.exceptions.ExecutionAlreadyExists:
            return
