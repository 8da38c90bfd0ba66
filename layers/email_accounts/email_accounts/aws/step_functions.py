"""The state machine."""

import json
import math
from typing import TYPE_CHECKING

from email_accounts.models.steps import Step

if TYPE_CHECKING:
    from mypy_boto3_stepfunctions.client import SFNClient


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
