"""Files validated on this computer."""

import io
import re
import sys
from pathlib import Path

import pytest

from email_accounts_cli import validation
from tests.support.files import accounts_file


class Terminal(io.StringIO):
    """Something that a person looks at."""

    def isatty(self) -> bool:
        """Say that it is."""
        return True


def test_the_bar_counts_the_bytes_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The size of the file is the length of the bar, which grows as the file is read."""
    file = tmp_path / "accounts.csv"
    file.write_bytes(accounts_file(*(f"a{number}@n.example" for number in range(3_000))))
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setattr(validation, "_SECONDS_WITHOUT_BAR", 0)
    monkeypatch.setenv("TERM", "xterm")
    found = validation.validate(str(file), 0, list[object]().append)
    assert found.plan.accepted == 3_000
    size = f"{file.stat().st_size / 1000:.1f}"
    drawn = re.findall(rf"([0-9.]+)/{re.escape(size)} kB", terminal.getvalue())
    assert float(drawn[-1]) > float(size) / 2
