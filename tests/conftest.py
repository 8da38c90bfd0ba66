"""What holds for all tests: they hear Ctrl-C, and print no secret."""

import signal
from collections.abc import Generator

import pytest

from tests.support.leaks import Finder

FINDER = Finder()


def pytest_configure() -> None:
    """Have Ctrl-C heard, here and by all that tests start.

    `make test` runs some tests in the background, where a shell has it ignored, and what ignores
    it hands that on to its children.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Fail a test whose output holds a password or a key, and do not repeat it."""
    report = yield
    if found := FINDER.forms("\n".join(text for _, text in report.sections).encode()):
        report.outcome = "failed"
        report.longrepr = f"secrets in what it printed: {sorted(found)}"
        report.sections = []
    return report
