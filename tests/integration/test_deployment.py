"""An update that is watched, as far as it can be seen without a stack."""

from typing import Any

import boto3
import pytest
from botocore.handlers import BUILTIN_HANDLERS

from deployment import guarded

ALARM = "arn:aws:cloudwatch:us-east-1:123456789012:alarm:x"


class Seen(Exception):  # noqa: N818  it ends the call where all has been seen
    """The request as it would have been sent."""


def seen(params: dict[str, Any], **_: object) -> None:
    """Stop the request."""
    raise Seen(params["body"])


@pytest.mark.parametrize(("alarms", "watched"), [([ALARM], True), ([], False)])
def test_the_request_names_the_alarms(
    monkeypatch: pytest.MonkeyPatch,
    alarms: list[str],
    watched: bool,  # noqa: FBT001  a case
) -> None:
    """Whoever asks for a change set after the handler was added, asks for a watched one."""
    monkeypatch.setattr(guarded, "alarms", lambda _: alarms)
    BUILTIN_HANDLERS.append(guarded.HANDLER)
    try:
        session = boto3.Session("none", "none", region_name="us-east-1")
        client = session.client("cloudformation")
        client.meta.events.register("before-call.cloudformation.CreateChangeSet", seen)
        with pytest.raises(Seen) as caught:
            client.create_change_set(StackName="stack", ChangeSetName="changes")
    finally:
        BUILTIN_HANDLERS.remove(guarded.HANDLER)
    (body,) = caught.value.args
    trigger = "RollbackConfiguration.RollbackTriggers.member.1"
    assert (body.get(f"{trigger}.Arn") == ALARM) is watched
    assert (f"{trigger}.Type" in body) is watched
