"""The command line on a local cloud, as on AWS."""

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Self

import pytest

from email_accounts.models.upload import import_id
from tests.support.cloud import SMALL, LocalCloud
from tools.docs.commands import PAGE, masked, record, recordings_of

pytestmark = pytest.mark.e2e

COMMAND = Path(sys.executable).with_name("email-accounts")
FILES = 4


@pytest.mark.long
def test_the_page_shows_what_the_commands_do(second: LocalCloud) -> None:
    """docs/cli.md shows what a run shows, but for ids and times: `make docs ALL=1` renews it."""
    second.up("--wait-scale", "0.05")
    shown = record(second.environment, (second.state / "api-key").read_text())
    page = recordings_of(PAGE.read_text(encoding="utf-8"))
    assert {step: masked(text) for step, text in shown.items()} == {
        step: masked(text) for step, text in page.items()
    }


class Terminal:
    """A command on a terminal of its own."""

    def __init__(self, cloud: LocalCloud, *arguments: str | Path) -> None:
        """Start it."""
        self.screen, terminal = pty.openpty()
        environment = os.environ | cloud.environment
        self.process = subprocess.Popen(
            [COMMAND, *arguments],
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,  # or a prompt would go to the terminal of the tests
            env=environment | {"TERM": "xterm-256color", "COLUMNS": "160", "LINES": "50"},
        )
        os.close(terminal)
        self.shown = ""

    def __enter__(self) -> Self:
        """Give the command."""
        return self

    def __exit__(self, *_: object) -> None:
        """Leave no command behind that has not ended."""
        self.process.kill()
        self.process.wait()
        os.close(self.screen)

    def until(self, text: str, seconds: float) -> None:
        """Read what it shows until something is there."""
        end = time.monotonic() + seconds
        while not re.search(text, self.shown):
            assert time.monotonic() < end, self.shown[-3000:]
            self._read()

    def end(self, seconds: float) -> int:
        """Read what it shows until it ends; return the exit code."""
        end = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < end, self.shown[-3000:]
            self._read()
        self._read()
        return self.process.returncode

    def _read(self) -> None:
        if select.select([self.screen], [], [], 0.2)[0]:
            try:
                self.shown += os.read(self.screen, 1 << 16).decode(errors="replace")
            except OSError:
                return


def test_a_key_is_typed_unseen(cloud: LocalCloud) -> None:
    """On a terminal the key is asked for, is not shown, and works afterwards."""
    cloud.behave()
    key = (cloud.state / "api-key").read_text()
    with Terminal(cloud, "workspace", "add", "typed") as adding:
        adding.until(r"API key \(not shown\): ", 60)
        os.write(adding.screen, f"{key}\n".encode())
        assert adding.end(60) == 0
    assert key not in adding.shown
    with Terminal(cloud, "workspace", "test", "typed") as trying:
        assert trying.end(60) == 0
    assert "The key of the workspace typed works." in trying.shown


def test_an_interruption_harms_no_import(cloud: LocalCloud, tmp_path: Path) -> None:
    """Of many files followed in a terminal and left by Ctrl-C, `watch` tells the rest."""
    cloud.behave(completion_seconds=10)
    files = [tmp_path / f"many-{number}.csv" for number in range(FILES)]
    for file in files:
        file.write_bytes(SMALL)
    with Terminal(cloud, "drop", "--yes", "--follow", *files) as following:
        following.until(r"0 of 1 batch processed", 120)
        following.process.send_signal(signal.SIGINT)
        assert following.end(30) == 130
    assert re.search(r"Stopped watching; \d+ imports continue", following.shown)
    assert "To watch again: email-accounts watch" in following.shown
    assert "Traceback" not in following.shown

    versions = cloud.client("s3").list_object_versions(
        Bucket=cloud.environment["INBOX_BUCKET"], Prefix="uploads/many-"
    )["Versions"]
    ids = [
        import_id(cloud.environment["INBOX_BUCKET"], one["Key"], one["VersionId"])
        for one in versions
    ]
    assert len(ids) == FILES
    with Terminal(cloud, "watch", *ids) as watching:
        assert watching.end(300) == 1  # each file has a row that is refused
    for file in files:
        assert f"{file.name}, 3 rows: 2 connected, 1 failed" in watching.shown
    assert f" of {FILES} imports ended" in watching.shown
