"""What holds for all tests: they hear Ctrl-C, print no secret, and open pages in one browser."""

import gc
import signal
from collections.abc import Generator, Iterator
from time import tzset
from typing import TYPE_CHECKING

import botocore.session
import pytest
from botocore.loaders import Loader, create_loader

from tests.support.files import small_tables
from tests.support.leaks import Finder

if TYPE_CHECKING:
    from playwright.sync_api import Browser

FINDER = Finder()


def pytest_configure() -> None:
    """Have Ctrl-C heard, here and by all that tests start.

    `make test` runs some tests in the background, where a shell has it ignored, and what ignores
    it hands that on to its children.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Keep modules and tests out of garbage collections: a tenth of the time goes into these."""
    gc.collect()
    gc.freeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test whose output holds a password or a key, and do not repeat it."""
    report = yield
    if found := FINDER.forms("\n".join(text for _, text in report.sections).encode()):
        report.outcome = "failed"
        report.longrepr = f"secrets in what it printed: {sorted(found)}"
        report.sections = []
    return report


@pytest.fixture(scope="session", autouse=True)
def _service_models_are_read_once() -> Iterator[None]:
    """Each session of boto3 finds and reads the models of its services: half of a test's time."""
    known: dict[object, object] = {}

    def loader_of(paths: str | None) -> Loader:
        loader = create_loader(paths)
        loader._cache = known  # type: ignore[attr-defined]  # noqa: SLF001  what its methods returned
        return loader

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(botocore.session, "create_loader", loader_of)
        yield


@pytest.fixture(scope="session", autouse=True)
def _tables_are_small() -> Iterator[None]:
    with small_tables():
        yield


@pytest.fixture(scope="module")
def browser() -> "Iterator[Browser]":
    """Run a browser; where none runs, the tests that open pages are skipped."""
    from tests.support import chromium  # noqa: PLC0415  most tests open no page

    path = chromium.find_browser()
    if not path:
        pytest.skip("no Chromium, Chrome or Edge runs here, so no page was opened in one")
    with chromium.browser(path) as running:
        yield running


@pytest.fixture
def in_tokyo() -> Iterator[None]:
    """Run in another time zone than UTC, and leave it for the tests that follow."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("TZ", "Asia/Tokyo")
        tzset()
        yield
    tzset()
