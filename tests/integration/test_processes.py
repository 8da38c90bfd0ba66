"""Background processes are found again and stopped, and nobody else's."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from local import processes

# Starts a child; both ignore SIGTERM.
STUBBORN = """
import signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if len(sys.argv) == 1:
    print(subprocess.Popen([sys.executable, __file__, "child"]).pid, flush=True)
time.sleep(60)
"""


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Name a record, and stop what a failing test left in it."""
    monkeypatch.setattr(processes, "GRACE_SECONDS", 0.3)
    record = tmp_path / "processes.json"
    yield record
    processes.stop(record)


def start(record: Path, program: str) -> tuple[subprocess.Popen[bytes], str]:
    """Start a Python program in the background; return it and the first line that it printed."""
    script, log = record.with_name("program.py"), record.with_name("program.log")
    script.write_text(program)
    child = processes.start(
        record, [sys.executable, str(script)], log, dict(os.environ), record.parent
    )
    end = time.monotonic() + 10
    while "\n" not in log.read_text() and time.monotonic() < end:
        time.sleep(0.02)
    return child, log.read_text().strip()


def alive(pid: int) -> bool:
    """Whether a process runs; one that ended and that nobody has asked after does not."""
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_stop_ends_the_stubborn(record: Path) -> None:
    """A process that ignores SIGTERM is killed after the grace, its child with it."""
    child, grandchild = start(record, STUBBORN)
    assert processes.all_running(record)
    processes.stop(record)
    assert child.wait(5) < 0
    assert not alive(int(grandchild))
    assert not record.exists()


def test_orphans_are_found(record: Path) -> None:
    """What a process started is stopped even after the process itself was killed."""
    child, grandchild = start(record, STUBBORN)
    child.kill()
    child.wait()
    assert not processes.all_running(record)
    processes.stop(record)
    assert not alive(int(grandchild))


def test_a_stranger_with_the_same_number_lives(record: Path) -> None:
    """A process that got a recorded number later is neither taken for ours nor stopped."""
    stranger = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    created = psutil.Process(stranger.pid).create_time()
    record.write_text(json.dumps([[stranger.pid, created - 60]]))
    assert not processes.all_running(record)
    processes.stop(record)
    assert stranger.poll() is None
    stranger.communicate(b"\n")
