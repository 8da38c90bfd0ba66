"""The local cloud is closed: to web pages, to anyone who has no key, and to other users."""

import json
import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import partial
from http.server import HTTPServer, SimpleHTTPRequestHandler
from pathlib import Path
from threading import Thread
from typing import Any

import boto3
import pytest
import requests
from botocore.config import Config
from botocore.exceptions import ClientError
from playwright.sync_api import Browser

from local import processes
from local.cloud import DEFAULTS, Cloud, State, _exports
from tests.support.fake_api import API_KEY
from tests.support.files import api_key, open_to_others

ROOT = Path(__file__).parents[2]
SERVE = """
import dataclasses, json, pathlib, sys
from local.cloud import DEFAULTS, State, serve
state = State(pathlib.Path(sys.argv[1]))
state.cloud.write_text(json.dumps(dataclasses.asdict(serve(state, DEFAULTS))))
"""
CONTENT = b"an uploaded password"
JSON = "application/x-amz-json-1.1"
needs_full = pytest.mark.skipif(
    not Path("/dev/full").exists(), reason="needs a device that is always full"
)
GET_SECRET = {"X-Amz-Target": "secretsmanager.GetSecretValue", "Content-Type": JSON}


def client(cloud: Cloud, service: Any, **changed: str) -> Any:  # noqa: ANN401  one of boto3's many clients
    """Speak to a service of the emulator as its owner, or with other keys."""
    known = cloud.aws | changed
    access: dict[str, Any] = {
        "endpoint_url": known["AWS_ENDPOINT_URL"],
        "region_name": known["AWS_REGION"],
        "aws_access_key_id": known["AWS_ACCESS_KEY_ID"],
        "aws_secret_access_key": known["AWS_SECRET_ACCESS_KEY"],
    }
    if service == "s3":  # whose links would be signed in the old way
        access["config"] = Config(signature_version="s3v4", s3={"addressing_style": "path"})
    return boto3.client(service, **access)


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """Run the emulator and the fake API, with an upload and an API key in them."""
    state = State(tmp_path_factory.mktemp("cloud"))
    try:
        # By a process of its own: what is started outlives who starts it.
        subprocess.run([sys.executable, "-c", SERVE, state.path], check=True, cwd=ROOT)
        known = json.loads(state.cloud.read_text(encoding="utf-8"))
        cloud = Cloud(**known | {"settings": DEFAULTS})
        client(cloud, "s3").create_bucket(Bucket="inbox")
        client(cloud, "s3").put_object(Bucket="inbox", Key="a.csv", Body=CONTENT)
        client(cloud, "secretsmanager").create_secret(Name="key", SecretString=API_KEY)
        yield cloud
    finally:
        processes.stop(state.record)


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Serve a web page from an origin of its own."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "index.html").write_text("<title>A page</title>", encoding="utf-8")
    serve_page = partial(SimpleHTTPRequestHandler, directory=str(folder))
    with HTTPServer(("127.0.0.1", 0), serve_page) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def attacks(cloud: Cloud) -> dict[str, tuple[str, dict[str, Any]]]:
    """Return what a web page would try to read: an address and how to fetch it."""
    control = cloud.control["CONTROL_URL"]
    return {
        "buckets": (cloud.endpoint, {}),
        "upload": (f"{cloud.endpoint}/inbox/a.csv", {}),
        "key": (
            cloud.endpoint,
            {"method": "POST", "headers": GET_SECRET, "body": '{"SecretId": "key"}'},
        ),
        "health": (f"{cloud.endpoint}/_ministack/health", {}),
        "reset of the emulator": (f"{cloud.endpoint}/_ministack/reset", {"method": "POST"}),
        "switches": (f"{control}/behaviour", {}),
        "accounts": (f"{control}/accounts", {}),
        "reset of the fake API": (f"{control}/reset", {"method": "POST"}),
        "list": (f"{cloud.api_base_url}/email-accounts", {"method": "POST", "body": "{}"}),
    }


def test_a_web_page_reads_nothing(cloud: Cloud, origin: str, browser: Browser) -> None:
    """Not even whether it was refused, and what it sends without asking changes nothing."""
    sent = {"x-control-key": cloud.control["CONTROL_KEY"]}
    switches = f"{cloud.control['CONTROL_URL']}/behaviour"
    requests.put(switches, json={"max_accounts": 7}, headers=sent, timeout=10).raise_for_status()
    page = browser.new_page()
    page.goto(origin)
    attempt = """async ([address, options]) => {
        try { const answer = await fetch(address, options); return await answer.text() }
        catch (error) { return null }
    }"""
    for name, (address, options) in attacks(cloud).items():
        assert page.evaluate(attempt, [address, options]) is None, name
        assert not page.evaluate(attempt, [address, options | {"mode": "no-cors", "headers": {}}])
    stored = client(cloud, "s3").get_object(Bucket="inbox", Key="a.csv")
    assert stored["Body"].read() == CONTENT
    kept = requests.get(switches, headers=sent, timeout=10).json()
    assert kept["max_accounts"] == 7


@pytest.mark.parametrize("headers", [{"origin": "null"}, {"host": "rebound.example"}], ids=str)
def test_what_a_page_sends_is_refused_even_with_the_keys(
    cloud: Cloud, headers: dict[str, str]
) -> None:
    """An origin, and a name that leads here, mean a web page: nothing is answered to it."""
    what = {"Bucket": "inbox", "Key": "a.csv"}
    link = client(cloud, "s3").generate_presigned_url("get_object", what)
    assert requests.get(link, timeout=10).content == CONTENT
    if name := headers.get("host"):
        signer = client(cloud, "s3", AWS_ENDPOINT_URL=f"http://{name}")
        signed = signer.generate_presigned_url("get_object", what)
        link = signed.replace(f"http://{name}", cloud.endpoint)
    assert requests.get(link, headers=headers, timeout=10).status_code == 403
    address = f"{cloud.control['CONTROL_URL']}/behaviour"
    key = {"x-control-key": cloud.control["CONTROL_KEY"]}
    assert requests.get(address, headers=key, timeout=10).status_code == 200
    assert requests.get(address, headers=key | headers, timeout=10).status_code == 403


def test_nothing_is_answered_without_a_key(cloud: Cloud) -> None:
    """Neither the emulator nor the fake API says anything to a program of another user."""
    for name, (address, options) in attacks(cloud).items():
        answer = requests.request(
            options.get("method", "GET"),
            address,
            headers=options.get("headers"),
            data=options.get("body"),
            timeout=10,
        )
        assert answer.status_code in {400, 401, 403}, name
        assert CONTENT.decode() not in answer.text
        assert API_KEY not in answer.text


@pytest.mark.parametrize(
    "keys",
    [
        {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"},
        {"AWS_ACCESS_KEY_ID": "000000000000", "AWS_SECRET_ACCESS_KEY": "test"},
        {"AWS_SECRET_ACCESS_KEY": "test"},
    ],
    ids=str,
)
def test_a_guessed_key_opens_nothing(cloud: Cloud, keys: dict[str, str]) -> None:
    """It is the secret that counts: the emulator's own well-known keys are refused."""
    for service, call, arguments in (
        ("s3", "get_object", {"Bucket": "inbox", "Key": "a.csv"}),
        ("secretsmanager", "get_secret_value", {"SecretId": "key"}),
        ("sqs", "list_queues", {}),
        ("iam", "list_users", {}),
    ):
        getattr(client(cloud, service), call)(**arguments)
        with pytest.raises(ClientError, match="the signature you provided"):
            getattr(client(cloud, service, **keys), call)(**arguments)


def test_a_user_of_the_cloud_has_a_key_of_their_own(cloud: Cloud) -> None:
    """Keys that were made in the cloud are taken as well."""
    people = client(cloud, "iam")
    people.create_user(UserName="u")
    key = people.create_access_key(UserName="u")["AccessKey"]
    theirs = {
        "AWS_ACCESS_KEY_ID": key["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"],
    }
    assert client(cloud, "s3", **theirs).list_buckets()["Buckets"]


# Other users of this computer


def test_a_shell_that_has_the_environment_has_the_command(tmp_path: Path) -> None:
    """Every page and mail writes `email-accounts` alone."""
    file = tmp_path / "env"
    file.write_text(_exports(Cloud(DEFAULTS, {}, "", {})))
    asked = ["/bin/sh", "-c", '. "$0"; command -v email-accounts; command -v ls', str(file)]
    found = subprocess.run(
        asked, env={"PATH": os.defpath}, capture_output=True, text=True, check=True
    )
    command, other = found.stdout.splitlines()
    assert command == str(Path(sys.executable).with_name("email-accounts"))
    assert other


def test_a_key_is_no_argument() -> None:
    """`make up` refuses an API key that every user can read in the list of processes."""
    key = api_key("an argument")
    command = ["make", "-n", "up", "API_BASE_URL=https://api.example/v1", f"API_KEY={key}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "API_KEY as an argument" in done.stderr
    assert key not in done.stdout + done.stderr
    given = subprocess.run(
        command[:-1], cwd=ROOT, env=os.environ | {"API_KEY": key}, capture_output=True, check=False
    )
    assert given.returncode == 0


@needs_full
@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize("word", ["status", "down"])
def test_output_that_cannot_be_written_is_one_line(
    tmp_path: Path, word: str, unbuffered: str
) -> None:
    """The commands of the local cloud end with 2 and one line, buffered or not."""
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "local.cloud", "--state", str(tmp_path / "state"), word],
            cwd=ROOT,
            env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
            stdout=full,
            stderr=subprocess.PIPE,
            check=False,
        )
    assert done.returncode == 2
    assert done.stderr == b"The output cannot be written: No space left on device.\n"


def test_a_directory_that_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    """What is in the way is named."""
    (tmp_path / "file").touch()
    done = subprocess.run(
        [sys.executable, "-m", "local.cloud", "--state", str(tmp_path / "file/state"), "up"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == f"{tmp_path}/file/state: Not a directory.\n"


@pytest.fixture
def opened() -> Iterator[Path]:
    """Give the directory of a cloud that every user can do everything with."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)  # as a working copy is
        state = Path(name, "state")
        (state / "emulator").mkdir(parents=True)
        for file in ("api-key", "emulator/mail.eml", "lock"):
            (state / file).write_text("secret", encoding="utf-8")
            (state / file).chmod(0o666)
        (state / "tool").touch()
        for path in (state, state / "emulator", state / "tool"):
            path.chmod(0o777)
        yield state


def test_a_directory_that_was_there_before_is_closed(opened: Path) -> None:
    """It and all in it are their owner's alone as soon as a cloud uses it."""
    assert len(open_to_others(opened)) == 6
    with State(opened).alone():
        assert open_to_others(opened) == []
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (opened, *opened.iterdir())}
    assert modes == {
        "state": 0o700,
        "emulator": 0o700,
        "api-key": 0o600,
        "lock": 0o600,
        "tool": 0o700,
    }


@pytest.mark.skipif(os.geteuid() != 0, reason="only the superuser can act as another user")
def test_another_user_reads_nothing(opened: Path) -> None:
    """What `nobody` could read before, nobody can read afterwards."""

    def read() -> str:
        done = subprocess.run(
            ["/bin/cat", str(opened / "api-key"), str(opened / "emulator/mail.eml")],
            user="nobody",
            extra_groups=[],
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout

    assert read() == "secretsecret"
    with State(opened).alone():
        assert read() == ""
