"""Servers to speak to: the fake API, and one that answers as configured."""

import time
from collections.abc import Iterator

import pytest

from tests.support.fake_api import Server, start, stop
from tests.support.service import Service, serving


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One fake API for the tests that do not restart it."""
    server = start(tmp_path_factory.mktemp("fake-api"))
    yield server
    stop(server)


@pytest.fixture
def server(running: Server) -> Server:
    """Give a fake API that remembers nothing and completes requests at once."""
    running.control("POST", "/reset")
    running.behave(completion_seconds=0)
    return running


@pytest.fixture
def service() -> Iterator[Service]:
    """Give a server that has no answers yet."""
    with serving() as service:
        yield service


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Sleep through no wait; give their seconds."""
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    return slept
