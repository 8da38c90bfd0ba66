"""Background processes that outlive the command that started them, and are surely stopped later.

A record (one JSON file) names them. Each leads a session of its own, so all it starts can be
found again, even after it died itself.
"""

import contextlib
import json
import os
import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil

GRACE_SECONDS = 10
# The start of a process is computed from the clock, which may have been set since.
CLOCK_TOLERANCE_SECONDS = 2


def start(
    record: Path, command: Sequence[str], log: Path, environment: Mapping[str, str], cwd: Path
) -> subprocess.Popen[bytes]:
    """Start `command` in the background, its output in `log`, and add it to the record."""
    with log.open("wb") as output:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=cwd,
            start_new_session=True,
        )
    created = psutil.Process(child.pid).create_time()
    record.write_text(json.dumps([*_read(record), [child.pid, created]]))
    return child


def all_running(record: Path) -> bool:
    """Whether there is a record and every process in it lives."""
    started = _read(record)
    return bool(started) and all(
        any(member.pid == pid for member in _session(pid, created)) for pid, created in started
    )


def stop(record: Path) -> None:
    """Stop all processes of the record, and all that they started."""
    started = _read(record)
    for send in (psutil.Process.terminate, psutil.Process.kill):
        for process in _members(started):
            with contextlib.suppress(psutil.NoSuchProcess):
                send(process)
        end = time.monotonic() + GRACE_SECONDS
        while _members(started) and time.monotonic() < end:
            time.sleep(0.05)
    record.unlink(missing_ok=True)


def _members(started: list[tuple[int, float]]) -> list[psutil.Process]:
    return [process for pid, created in started for process in _session(pid, created)]


def _read(record: Path) -> list[tuple[int, float]]:
    return json.loads(record.read_text()) if record.exists() else []


def _session(pid: int, created: float) -> list[psutil.Process]:
    """All living processes of the session that `pid` leads or led."""
    with contextlib.suppress(psutil.NoSuchProcess):
        if abs(psutil.Process(pid).create_time() - created) > CLOCK_TOLERANCE_SECONDS:
            return []  # The number went to a stranger.
    return [process for process in psutil.process_iter() if _belongs(process, pid)]


def _belongs(process: psutil.Process, session: int) -> bool:
    with contextlib.suppress(OSError, psutil.Error):
        return os.getsid(process.pid) == session and process.status() != psutil.STATUS_ZOMBIE
    return False
