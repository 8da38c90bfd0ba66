"""The fake API, started as a process of its own."""

from __future__ import annotations

import csv
import io
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import requests

from tests.support.files import MARK, row

ROOT = Path(__file__).parents[2]
API_KEY = "key-of-the-fake-api"
CONTROL_KEY = "of-its-switches"
APP_PASSWORD = MARK


def account(address: str = "robin@reach.example", /, **changed: object) -> dict[str, object]:
    """Return the fifteen fields of an account that can be signed in to."""
    fields: dict[str, object] = {**row(address, smtpPassword=MARK, imapPassword=MARK)}
    return fields | {"smtpPort": 465, "imapPort": 993} | changed


def failing(address: str = "failing@reach.example") -> dict[str, object]:
    """Return an account whose password is refused."""
    return account(address, smtpPassword="wrong-password", imapPassword="wrong-password")


@dataclass(frozen=True, slots=True)
class Server:
    """A running fake API and the calls the tests make to it."""

    process: subprocess.Popen[str]
    url: str

    def call(
        self,
        method: str,
        path: str,
        json: object = None,
        data: bytes | None = None,
        headers: dict[str, str | None] | None = None,
    ) -> requests.Response:
        """Call the service, with the right API key unless the headers say otherwise."""
        url = f"{self.url}/v1/email-accounts{path}"
        sent: dict[str, str | None] = {"x-api-key": API_KEY, **(headers or {})}
        return requests.request(method, url, json=json, data=data, headers=sent, timeout=10)

    def control(self, method: str, path: str, body: object = None) -> Any:  # noqa: ANN401 -- JSON
        """Call a control endpoint and return what it shows."""
        answer = self.try_control(method, path, body)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def try_control(self, method: str, path: str, body: object) -> requests.Response:
        """Call a control endpoint, whatever it answers."""
        sent = {"x-control-key": CONTROL_KEY}
        url = f"{self.url}/control{path}"
        return requests.request(method, url, json=body, headers=sent, timeout=10)

    def behave(self, **switches: object) -> None:
        """Set switches."""
        self.control("PUT", "/behaviour", switches)

    def fault(self, operation: str, fault: str, **rule: object) -> None:
        """Add a rule."""
        self.control("POST", "/faults", [{"operation": operation, "fault": fault, **rule}])

    def connect(self, *accounts: dict[str, object]) -> str:
        """Submit accounts and return the request id."""
        answer = self.call("POST", "/connect", json=accounts)
        assert answer.status_code == 200, answer.text
        return str(answer.json()["payload"]["requestId"])

    def status(self, request_id: str) -> dict[str, Any]:
        """Look at a request and return the answer's payload."""
        answer = self.call("GET", f"/connect/status/{request_id}")
        assert answer.status_code == 200, answer.text
        payload: dict[str, Any] = answer.json()["payload"]
        return payload

    def report(self, request_id: str) -> list[dict[str, str]]:
        """Fetch the report of a completed request."""
        answer = requests.get(self.status(request_id)["reportURL"], timeout=10)
        assert answer.status_code == 200, answer.text
        return list(csv.DictReader(io.StringIO(answer.text)))

    def emails(self, **query: object) -> list[dict[str, Any]]:
        """Fetch one page of the list."""
        answer = self.call("POST", "", json=query)
        assert answer.status_code == 200, answer.text
        emails: list[dict[str, Any]] = answer.json()["payload"]["emails"]
        return emails


def start(folder: Path) -> Server:
    """Start the fake API on a free port with its files in the folder."""
    key_file = folder / "api-key"
    key_file.write_text(f"{API_KEY}\n", encoding="utf-8")
    control_key_file = folder / "control-key"
    control_key_file.write_text(f"{CONTROL_KEY}\n", encoding="utf-8")
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "local.fake_api", "--port", "0"),
            *("--database", str(folder / "fake_api.sqlite")),
            *("--api-key-file", str(key_file)),
            *("--control-key-file", str(control_key_file)),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    line = process.stdout.readline()
    assert re.fullmatch(r"listening on http://127\.0\.0\.1:\d+\n", line)
    return Server(process, line.split()[-1])


def stop(server: Server) -> tuple[int, str]:
    """End the fake API with SIGTERM; return its exit status and all it still printed."""
    server.process.send_signal(signal.SIGTERM)
    printed = server.process.communicate(timeout=10)
    return server.process.returncode, "".join(printed)
