"""The stand-in for the remote API as a running process."""

from collections.abc import Iterator

import pytest

from tests.standin import Server, start, stop


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One stand-in for the tests that do not restart it."""
    server = start(tmp_path_factory.mktemp("standin"))
    yield server
    stop(server)


@pytest.fixture
def server(running: Server) -> Server:
    """Give a stand-in that remembers nothing and completes requests at once."""
    running.control("POST", "/reset")
    running.behave(completion_seconds=0)
    return running
