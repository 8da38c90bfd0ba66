"""The browser that is driven for tests and pictures of pages: this computer's, else Playwright's.

    python -m tests.support.chromium

downloads Playwright's where this computer has none, and reports it where that is not possible.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from playwright.sync_api import Browser, Error, Page, ViewportSize, sync_playwright

Open = Callable[..., Page]
"""Opens a page from its HTML."""
DESKTOP: ViewportSize = {"width": 1200, "height": 900}

_DOWNLOADED = Path(__file__).parents[2] / ".venvs/browser"
_NAMES = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "microsoft-edge",
    "microsoft-edge-stable",
)
_APPLICATIONS = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "/Applications/Microsoft Edge.app/Contents/MacOS/Microsoft Edge",
)
_QUIET = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@cache
def find_browser() -> str:
    """Return the path of a Chromium, Chrome or Edge that opens pages, or '' where there is none."""
    return next(filter(_opens_pages, filter(os.path.exists, _paths())), "")


def _paths() -> Iterator[str]:
    yield from filter(None, map(shutil.which, _NAMES))
    yield from _APPLICATIONS
    os.environ["PLAYWRIGHT_BROWSERS_PATH"] = str(_DOWNLOADED)
    with sync_playwright() as playwright:
        path = playwright.chromium.executable_path
    yield path


def _opens_pages(path: str) -> bool:
    """Try it: there are those that lack a library, or may not see our files."""
    try:
        with browser(path) as running:
            running.new_page()
    except Error:
        return False
    return True


@contextmanager
def browser(path: str) -> Iterator[Browser]:
    """Run a browser with a profile of its own, which is thrown away."""
    with sync_playwright() as playwright:
        # The sandbox needs rights that root in a container lacks; only our own pages are opened.
        is_root = os.geteuid() == 0
        running = playwright.chromium.launch(
            executable_path=Path(path), args=_QUIET, chromium_sandbox=not is_root
        )
        with running:
            yield running


def main() -> None:
    """Have a browser that opens pages, or say in one sentence that there is none."""
    if find_browser():
        return
    sys.stderr.write(f"Setting up: {_DOWNLOADED}\n")
    download = [sys.executable, "-m", "playwright", "install", "--no-shell", "chromium"]
    subprocess.run(download, capture_output=True, check=False)
    find_browser.cache_clear()
    if not find_browser():
        sys.stdout.write(
            "No Chromium, Chrome or Edge runs on this computer and none could be downloaded, "
            "so the tests that open pages were skipped.\n"
        )


if __name__ == "__main__":
    main()
