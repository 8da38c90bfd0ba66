"""The browser that pages are opened in."""

import sys
from pathlib import Path

import pytest

from tests.support import chromium


def test_where_no_browser_can_be_had_one_sentence_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """`make test` ends with it; a download that fails ends nothing."""
    failing = tmp_path / "python"
    failing.write_text("#!/bin/sh\nexit 1\n")
    failing.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(failing))
    monkeypatch.setattr(chromium, "_paths", lambda: iter(()))
    chromium.find_browser.cache_clear()
    try:
        chromium.main()
    finally:
        chromium.find_browser.cache_clear()
    said = capsys.readouterr().out
    assert said.endswith("so the tests that open pages were skipped.\n")
    assert said.count(".") == 1
