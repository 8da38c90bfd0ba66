"""The browser of this computer, driven for tests and pictures of pages."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from playwright.sync_api import Browser, Page, ViewportSize, sync_playwright

Open = Callable[..., Page]
"""Opens a page from its HTML."""
DESKTOP: ViewportSize = {"width": 1200, "height": 900}

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


def find_browser() -> str:
    """Return the path of a Chromium, Chrome or Edge, or '' where there is none."""
    on_path = filter(None, map(shutil.which, _NAMES))
    return next(on_path, next(filter(os.path.exists, _APPLICATIONS), ""))


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
