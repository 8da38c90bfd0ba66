"""The local cloud itself: what it starts, what it leaves behind, what it says."""

import email
import email.policy
import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from botocore.exceptions import ClientError

from tests.support.cloud import QUICK, ROOT, SAMPLE, SMALL, LocalCloud, wait_until
from tests.support.files import api_key, open_to_others

pytestmark = pytest.mark.e2e

KEY = api_key("another API")


def processes_of(cloud: LocalCloud) -> list[str]:
    """Every process that has to do with the cloud's directory, by its command line."""
    commands = [process.info["cmdline"] or [] for process in psutil.process_iter(["cmdline"])]
    return [" ".join(words) for words in commands if any(str(cloud.state) in w for w in words)]


def test_mail_is_written(cloud: LocalCloud) -> None:
    """A mail subscription gets a letter with its text; one whose filter does not match, none."""
    topics = cloud.client("sns")
    topic = topics.create_topic(Name="letters", Attributes={"DisplayName": "Letters"})["TopicArn"]
    topics.subscribe(TopicArn=topic, Protocol="email", Endpoint="a@mailbox.example")
    topics.subscribe(
        TopicArn=topic,
        Protocol="email",
        Endpoint="b@mailbox.example",
        Attributes={"FilterPolicy": json.dumps({"status": ["failed"]})},
    )
    sent = topics.publish(
        TopicArn=topic,
        Subject="All well",
        MessageStructure="json",
        Message=json.dumps({"default": "{}", "email": "Grüße,\nall well."}),
        MessageAttributes={"status": {"DataType": "String", "StringValue": "completed"}},
    )
    [file] = (cloud.state / "emulator/mail").glob(f"{sent['MessageId']}-*.eml")
    letter = email.message_from_bytes(file.read_bytes(), policy=email.policy.default)
    body = letter.get_body()
    assert (letter["To"], letter["Subject"]) == ("a@mailbox.example", "All well")
    assert body is not None
    assert body.get_content().rstrip() == "Grüße,\nall well."


def test_range_of_a_version(cloud: LocalCloud) -> None:
    """A part of an old version is that part, as of the newest one; beyond its end is refused."""
    store, inbox = cloud.client("s3"), cloud.environment["INBOX_BUCKET"]
    item = {"Bucket": inbox, "Key": "parts.txt"}
    version = store.put_object(**item, Body=b"0123456789")["VersionId"]
    store.put_object(**item, Body=b"abcdefghij")

    def part(wanted: str, **which: str) -> tuple[bytes, str]:
        answer = store.get_object(**item, **which, Range=wanted)
        return answer["Body"].read(), answer["ContentRange"]

    assert part("bytes=2-4", VersionId=version) == (b"234", "bytes 2-4/10")
    assert part("bytes=8-99", VersionId=version) == (b"89", "bytes 8-9/10")
    assert part("bytes=2-4") == (b"cde", "bytes 2-4/10")
    assert store.get_object(**item, VersionId=version)["Body"].read() == b"0123456789"
    with pytest.raises(ClientError, match="InvalidRange"):
        part("bytes=10-", VersionId=version)


def test_up_twice_is_up_once(cloud: LocalCloud) -> None:
    """A cloud that runs and is up to date is left as it is, at once."""
    before = cloud.environment
    began = time.monotonic()
    cloud.up(*QUICK)
    assert time.monotonic() - began < 5
    assert cloud.environment == before


@pytest.mark.parametrize(
    ("file", "reason"), [("missing.csv", "does not exist"), ("", "not a file")]
)
def test_what_is_no_file_is_refused(second: LocalCloud, file: str, reason: str) -> None:
    """A missing file or a folder is refused in one line, and no cloud is started for it."""
    done = second.command("run", str(second.state.parent / file))
    assert done.returncode == 2
    assert reason in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not second.state.exists()


def test_interrupted_up_leaves_nothing(second: LocalCloud) -> None:
    """An `up` that is ended half-way stops what it has started and forgets its key."""
    up = subprocess.Popen(
        [sys.executable, "-m", "local.cloud", "--state", str(second.state), "up"],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
    )
    while not (second.state / "sam-build.log").exists():
        time.sleep(0.05)
    up.send_signal(signal.SIGTERM)
    assert up.wait(30) == 1
    assert processes_of(second) == []
    assert not (second.state / "api-key").exists()


def test_its_files_are_its_owners_alone(cloud: LocalCloud) -> None:
    """Whatever the cloud, its functions and the SAM CLI have written."""
    assert (cloud.state / "cloud.json").exists()
    assert open_to_others(cloud.state) == []


def test_keys_of_functions_are_no_common_knowledge(cloud: LocalCloud) -> None:
    """They cannot be worked out from the names of a function and its role."""
    cloud.upload("uploads/keys.csv", SMALL)
    functions = cloud.client("lambda")
    name = f"{cloud.environment['STACK_NAME']}-check_status"
    wait_until(cloud.is_at_rest)
    known = functions.get_function_configuration(FunctionName=name)
    digest = hashlib.sha256(f"{known['FunctionArn']}:{known['Role']}".encode()).hexdigest()
    secret, token = (
        hashlib.sha256(f"{what}:{digest}".encode()).hexdigest() for what in ("secret", "token")
    )
    guess = {
        "AWS_ACCESS_KEY_ID": f"ASIA{digest[:16].upper()}",
        "AWS_SECRET_ACCESS_KEY": secret,
        "AWS_SESSION_TOKEN": token,
    }
    with pytest.raises(ClientError, match="security token"):
        cloud.client("sts", by=guess).get_caller_identity()


@pytest.mark.long
def test_another_api(cloud: LocalCloud, second: LocalCloud, tmp_path: Path) -> None:
    """With an address and a key of an API there is no fake API, and the key is the stack's.

    The key is wrong there: the import is answered so, after a call or two. Afterwards `down`
    leaves no process, no address and no password, and reports it. The SAM CLI has left nothing in
    the home.
    """
    api = cloud.environment["CONTROL_URL"].replace("/control", "/v1")
    home = tmp_path / "home"
    home.mkdir()
    second.up("--api-base-url", api, given=KEY, HOME=str(home))

    def stored() -> str:
        store = second.client("secretsmanager")
        found = store.get_secret_value(SecretId="email-accounts/workspaces/default")
        return str(found["SecretString"])

    assert stored() == KEY
    second.up("--api-base-url", api, API_KEY=api_key("another key"), HOME=str(home))
    assert stored() == api_key("another key")
    assert not (second.state / "fake-api.log").exists()
    assert "CONTROL_URL" not in second.environment
    running = processes_of(second)
    assert running
    assert KEY not in " ".join(running)

    cloud.control("DELETE", "calls")
    assert "API key" in second.take(SAMPLE)
    assert 1 <= len(cloud.control("GET", "calls").json()) <= 2

    assert second.command("down").stdout == "Stopped.\n"
    assert processes_of(second) == []
    left = {path.name for path in second.state.iterdir()}
    assert not left & {"emulator", "env", "cloud.json", "processes.json"}
    assert not (home / ".aws-sam").exists()
    assert second.command("down").stdout == "No local cloud is running.\n"


@pytest.mark.long
def test_a_cloud_for_one_file_is_stopped_and_says_so(second: LocalCloud) -> None:
    """The commands that its mail names need a cloud that stays."""
    shown = second.take(SAMPLE)
    assert "email-accounts failed" in shown
    assert shown.splitlines()[-1].startswith("The cloud and its imports are gone.")
    assert processes_of(second) == []


def test_another_api_needs_its_key(second: LocalCloud) -> None:
    """An address of an API without its key is refused before anything starts."""
    environment = {name: value for name, value in os.environ.items() if name != "API_KEY"}
    done = second.command("up", "--api-base-url", "https://api.example/v1", **environment)
    assert done.returncode == 1
    assert "API_KEY" in done.stderr
    assert not second.state.exists()
