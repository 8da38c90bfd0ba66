"""The whole system on local clouds of the tests' own."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
import requests

ROOT = Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "tests/samples/accounts.csv"


@dataclass(frozen=True, slots=True)
class LocalCloud:
    """A local cloud and the ways to reach it."""

    state: Path

    def command(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run `python -m local.cloud` on it."""
        return subprocess.run(
            [sys.executable, "-m", "local.cloud", "--state", str(self.state), *arguments],
            cwd=ROOT,
            env=os.environ | environment,
            capture_output=True,
            text=True,
            check=False,
        )

    def up(self, *arguments: str, **environment: str) -> None:
        """Start it, or bring it up to date."""
        done = self.command("up", *arguments, **environment)
        assert done.returncode == 0, done.stdout + done.stderr

    def take(self, file: Path) -> str:
        """Take a file the whole way; return what the terminal showed."""
        done = self.command("run", str(file), "--patience", "60")
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    @property
    def environment(self) -> dict[str, str]:
        """What `.local/env` exports."""
        exports = (self.state / "env").read_text()
        return dict(re.findall(r"^export (\w+)='(.*)'$", exports, re.MULTILINE))

    def client(self, service: Any) -> Any:  # noqa: ANN401 - one of boto3's many clients
        """Speak to one of its services as its owner."""
        known = self.environment
        access: dict[str, Any] = {
            "endpoint_url": known["AWS_ENDPOINT_URL"],
            "region_name": known["AWS_REGION"],
            "aws_access_key_id": known["AWS_ACCESS_KEY_ID"],
            "aws_secret_access_key": known["AWS_SECRET_ACCESS_KEY"],
        }
        return boto3.client(service, **access)

    def calls(self, path: str) -> int:
        """Count the calls that the stand-in received at a path."""
        received = self.control("GET", "calls").json()
        return sum(call["path"] == path for call in received)

    def control(self, method: str, path: str, body: object = None) -> requests.Response:
        """Call the control endpoint of the stand-in."""
        address = self.environment["CONTROL_URL"]
        answer = requests.request(method, f"{address}/{path}", json=body, timeout=10)
        answer.raise_for_status()
        return answer


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """Run a cloud that holds functions to their permissions and waits 20 times shorter."""
    cloud = LocalCloud(tmp_path_factory.mktemp("cloud") / "state")
    try:
        cloud.up("--auth", "--wait-scale", "0.05", "--parameter", "CallsPerMinute=600")
        cloud.control("PUT", "behaviour", {"completion_seconds": 1})
        yield cloud
    finally:
        cloud.command("down")


@pytest.fixture
def second(tmp_path: Path) -> Iterator[LocalCloud]:
    """Name a cloud beside the first one, and stop it afterwards."""
    cloud = LocalCloud(tmp_path / "second")
    yield cloud
    cloud.command("down")
