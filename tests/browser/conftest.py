"""Pages opened in a browser."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page

from tests.support.chromium import DESKTOP, Open


@pytest.fixture
def opened(browser: Browser, tmp_path: Path) -> Iterator[Open]:
    """Give what opens a page from a file, and fails the test if it asks for anything else."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []
    asked_for: list[str] = []
    file = tmp_path / "report.html"

    def open_page(html: str, *, may_complain: bool = False, **settings: Any) -> Page:  # noqa: ANN401  those of a browser's context
        file.write_text(html, encoding="utf-8")
        context = browser.new_context(**{"viewport": DESKTOP, "offline": True, **settings})
        contexts.append(context)
        page = context.new_page()
        if not may_complain:
            page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda asked: asked_for.append(asked.url))
        page.goto(file.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []
    assert set(asked_for) <= {file.as_uri()}
