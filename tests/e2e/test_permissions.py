"""A permission taken from a function is missed."""

import json
from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError

from email_accounts.upload import import_id
from tests.e2e.conftest import SMALL, LocalCloud, Subscriber, wait_until
from tests.e2e.faults import impatient_queue

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def impatient(cloud: LocalCloud) -> Iterator[None]:
    """Have the state machine give up at the first failure: trying again changes no permission."""
    machines = cloud.client("stepfunctions")
    machine = {"stateMachineArn": cloud.environment["TRACK_IMPORT_STATE_MACHINE_ARN"]}
    deployed = machines.describe_state_machine(**machine)["definition"]
    definition = json.loads(deployed)
    for state in definition["States"].values():
        state.pop("Retry", None)
    machines.update_state_machine(**machine, definition=json.dumps(definition))
    yield
    machines.update_state_machine(**machine, definition=deployed)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("function", "action", "said"),
    [
        ("check_status", "dynamodb:UpdateItem", "check_status failed"),
        ("check_status", "s3:GetObjectVersion", "check_status failed"),
        ("deliver_report", "s3:PutObject", "Its reports could not be written either"),
    ],
)
def test_permission_is_needed(
    cloud: LocalCloud, subscriber: Subscriber, function: str, action: str, said: str
) -> None:
    """Without a permission the one answer says what failed; with it all ends well."""
    cloud.behave()
    with cloud.without(function, action):
        identity = cloud.upload("uploads/without.csv", SMALL)
        wait_until(lambda: bool(subscriber.about(identity)))
        without = subscriber.answer(identity)
    allowed = subscriber.answer(cloud.upload("uploads/allowed.csv", SMALL))

    assert without.subject == "without.csv: not finished, 3 unconfirmed"
    assert said in without.mail
    assert allowed.subject == "allowed.csv: 2 connected, 1 failed"


@pytest.mark.usefixtures("impatient")
def test_an_answer_that_cannot_be_sent_is_not_lost(
    cloud: LocalCloud, subscriber: Subscriber
) -> None:
    """Without the right to publish it waits in the queue of failures until it can be sent."""
    cloud.behave()
    with impatient_queue(cloud, "FAILURE"), cloud.without("deliver_report", "sns:Publish"):
        identity = cloud.upload("uploads/unsent.csv", SMALL)
        cloud.wait_for_end(identity)
        assert cloud.history(identity)[-1] == "ExecutionFailed"
        assert subscriber.about(identity) == []
    wait_until(lambda: bool(subscriber.about(identity)))
    assert subscriber.answer(identity).subject == "unsent.csv: not finished, 2 connected, 1 failed"


def test_an_uploader_can_put_and_nothing_else(cloud: LocalCloud, subscriber: Subscriber) -> None:
    """Who has the policy for uploaders drops a file, and can neither read nor list nor delete."""
    cloud.behave()
    inbox = cloud.environment["INBOX_BUCKET"]
    uploads = cloud.client_of_user("uploader", cloud.environment["UPLOADER_POLICY_ARN"], "s3")
    stored = uploads.put_object(Bucket=inbox, Key="uploads/dropped.csv", Body=SMALL)
    item = {"Bucket": inbox, "Key": "uploads/dropped.csv"}
    refused: list[tuple[str, dict[str, str]]] = [
        ("get_object", item),
        ("get_object", item | {"VersionId": stored["VersionId"]}),
        ("delete_object", item),
        ("list_objects_v2", {"Bucket": inbox}),
        ("get_bucket_policy", {"Bucket": inbox}),
        ("list_objects_v2", {"Bucket": cloud.environment["REPORTS_BUCKET"]}),
        ("put_object", {"Bucket": inbox, "Key": "elsewhere.csv"}),
    ]
    for call, arguments in refused:
        with pytest.raises(ClientError, match="AccessDenied"):
            getattr(uploads, call)(**arguments)
    identity = import_id(inbox, "uploads/dropped.csv", stored["VersionId"])
    assert subscriber.answer(identity).subject == "dropped.csv: 2 connected, 1 failed"
