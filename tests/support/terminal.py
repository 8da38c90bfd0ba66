"""A terminal of a given size, on which a command of this process prints."""

import os
import pty
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest

_CONTROLS = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def shown_on_terminal(run: Callable[[], object], columns: int, kind: str = "xterm") -> str:
    """Return the text a command prints on a terminal so wide; `kind` as in TERM."""
    screen, terminal = pty.openpty()
    with (
        ThreadPoolExecutor(1) as reader,
        open(terminal, "w", encoding="utf-8") as stdout,  # noqa: PTH123  a descriptor
        pytest.MonkeyPatch.context() as patched,
    ):
        patched.setenv("TERM", kind)
        patched.setenv("COLUMNS", str(columns))
        patched.setenv("LINES", "24")
        patched.setattr("sys.stdout", stdout)
        shown = reader.submit(written, screen)
        run()
    os.close(screen)
    return _CONTROLS.sub("", shown.result().decode()).replace("\r\n", "\n")


def written(screen: int) -> bytes:
    """Return what comes to a terminal until nobody has it open any more."""
    shown = b""
    with suppress(OSError):  # how a terminal ends that nobody writes to any more
        while more := os.read(screen, 1 << 16):
            shown += more
    return shown
