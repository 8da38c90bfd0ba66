"""Two workspaces on one stack: each with its own API key, its share of the inbox and its budget."""

import email
import email.policy
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests

from tests.support.cloud import SMALL, LocalCloud, Subscriber, wait_until
from tests.support.files import api_key

pytestmark = pytest.mark.e2e

CONNECT = "/v1/email-accounts/connect"
KEY = api_key("north")
DEFAULT = 1  # the fake API's name of the tenant with the first key
CONNECTED = "2 connected, 1 failed"
LIMIT = 20


@pytest.fixture(scope="module", autouse=True)
def _north(cloud: LocalCloud) -> Iterator[None]:
    behaving(cloud)
    cloud.operate("workspace", "add", "north", given=KEY)
    yield
    cloud.client("secretsmanager").delete_secret(SecretId="email-accounts/workspaces/north")


def behaving(cloud: LocalCloud, **switches: object) -> int:
    """Have the fake API begin again with a second key; return the tenant of it."""
    cloud.behave(**switches)
    return int(cloud.control("POST", "keys", {"key": KEY}).json()["tenant"])


def connects(cloud: LocalCloud) -> Counter[tuple[int, int]]:
    """Count the requests with accounts that were received, by tenant and status."""
    calls = cloud.control("GET", "calls").json()
    return Counter((one["tenant"], one["status"]) for one in calls if one["path"] == CONNECT)


def test_each_file_goes_to_the_key_of_its_folder(
    cloud: LocalCloud, subscriber: Subscriber, tmp_path: Path
) -> None:
    """Accounts under uploads/north/ are connected with its key, those under uploads/ are not."""
    north = behaving(cloud)
    file = tmp_path / "theirs.csv"
    file.write_bytes(SMALL)
    [dropped] = cloud.operate("drop", "--workspace", "north", file)
    theirs, ours = dropped["importId"], cloud.upload("uploads/ours.csv", SMALL)
    answers = {name: subscriber.answer(name) for name in (theirs, ours)}

    assert dropped["key"] == "uploads/north/theirs.csv"
    assert connects(cloud) == {(DEFAULT, 200): 1, (north, 200): 1}
    known = cloud.control("GET", "accounts").json()
    assert Counter(one["tenant"] for one in known) == {DEFAULT: 3, north: 3}
    assert answers[theirs].subject == f"[north] theirs.csv, 3 rows: {CONNECTED}"
    assert answers[ours].subject == f"[default] ours.csv, 3 rows: {CONNECTED}"
    assert answers[theirs].attributes["workspace"] == "north"
    assert answers[ours].attributes["workspace"] == "default"
    kept = answers[theirs].text + answers[theirs].mail + cloud.report(theirs, "summary.json")
    assert KEY[:20] not in kept


@pytest.fixture
def recipients(cloud: LocalCloud) -> Iterator[dict[str, str]]:
    """Notify one address of each workspace, for one test."""
    addresses = {name: f"{name}@mailbox.example" for name in ("north", "default")}
    for name, address in addresses.items():
        cloud.operate("workspace", "notify", name, address)
    yield addresses
    topics, topic = cloud.client("sns"), cloud.environment["NOTIFICATION_TOPIC_ARN"]
    for one in topics.list_subscriptions_by_topic(TopicArn=topic)["Subscriptions"]:
        if one["Endpoint"] in addresses.values():
            topics.unsubscribe(SubscriptionArn=one["SubscriptionArn"])


def test_each_workspace_has_its_own_recipients(
    cloud: LocalCloud, subscriber: Subscriber, recipients: dict[str, str]
) -> None:
    """Who is notified of one workspace gets its mail, and no other."""
    behaving(cloud)
    for name in recipients:
        subscriber.answer(cloud.upload(f"uploads/{name}/own.csv", SMALL))
    mails = [
        email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
        for file in (cloud.state / "emulator/mail").iterdir()
    ]
    received = [(one["To"], one["Subject"]) for one in mails if one["To"] in recipients.values()]
    assert sorted(received) == [
        (address, f"[{name}] own.csv, 3 rows: {CONNECTED}")
        for name, address in sorted(recipients.items())
    ]


def test_one_that_is_throttled_slows_no_other(cloud: LocalCloud, subscriber: Subscriber) -> None:
    """While the service refuses the calls of one key, files of another one are answered."""
    north = behaving(cloud, rate_limit_calls=LIMIT)
    address = cloud.environment["CONTROL_URL"].replace("/control", "/v1/email-accounts")
    for _ in range(LIMIT):  # another worker with the same key, who uses its limit up
        used = requests.post(address, json={}, headers={"x-api-key": KEY}, timeout=10)
        assert used.status_code == 200
    theirs = cloud.upload("uploads/north/slow.csv", SMALL)
    wait_until(lambda: connects(cloud)[north, 429] == 1)
    ours = cloud.upload("uploads/quick.csv", SMALL)
    assert subscriber.answer(ours).subject == f"[default] quick.csv, 3 rows: {CONNECTED}"
    assert connects(cloud) == {(DEFAULT, 200): 1, (north, 429): 1}
    assert "ExecutionSucceeded" not in cloud.history(theirs)

    # The limit is over, and nobody has to wait any longer for what the service said of it.
    cloud.control("DELETE", "calls")
    budget = {"pk": {"S": "BUDGET#north"}, "sk": {"S": "BUDGET"}}
    cloud.client("dynamodb").delete_item(TableName=cloud.environment["LEDGER_TABLE"], Key=budget)
    assert subscriber.answer(theirs).subject == f"[north] slow.csv, 3 rows: {CONNECTED}"
    assert connects(cloud) == {(north, 200): 1}


@pytest.mark.parametrize("name", ["nobody", "new + old"])
def test_a_folder_that_is_no_workspace(
    cloud: LocalCloud, subscriber: Subscriber, name: str
) -> None:
    """A file in it is answered with its name and with what to do, and nothing is sent."""
    cloud.behave()
    answer = subscriber.answer(cloud.upload(f"uploads/{name}/accounts.csv", SMALL))
    assert answer.subject == f"[{name}] accounts.csv: not imported, wrong folder"
    # No subscriber can filter by what no workspace can be called.
    workspace = {"workspace": name} if name == "nobody" else {}
    assert answer.attributes == {"status": "refused", "failed": "0"} | workspace
    assert f"There is no workspace '{name}'." in answer.mail
    assert "directly to uploads/" in answer.mail
    assert cloud.control("GET", "calls").json() == []


def test_a_removed_workspace_takes_no_more_files(cloud: LocalCloud, subscriber: Subscriber) -> None:
    """After its removal a file in its folder is refused, though AWS could bring its key back."""
    behaving(cloud)
    cloud.operate("workspace", "add", "south", given=KEY)
    cloud.operate("workspace", "remove", "south", "--yes")
    answer = subscriber.answer(cloud.upload("uploads/south/accounts.csv", SMALL))
    assert answer.attributes["status"] == "refused"
    assert "There is no workspace 'south'." in answer.mail
