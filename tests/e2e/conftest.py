"""The whole system on local clouds of the tests' own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cloud import QUICK, LocalCloud, Subscriber, subscribed, wait_until
from tests.support.leaks import hunted, searched


@pytest.fixture(autouse=True)
def _rest(request: pytest.FixtureRequest) -> Iterator[None]:
    """Hold each test to leave nothing on the cloud that continues beside the next one."""
    cloud = request.getfixturevalue("cloud") if "cloud" in request.fixturenames else None
    yield
    if cloud:
        wait_until(cloud.is_at_rest)


@pytest.fixture
def subscriber(cloud: LocalCloud) -> Iterator[Subscriber]:
    """Subscribe a queue to the topic for one test."""
    with subscribed(cloud) as subscriber:
        yield subscriber


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    """Run a cloud that holds functions to their permissions and waits 20 times shorter.

    At its end no secret is anywhere but where it may be.
    """
    cloud = LocalCloud(tmp_path_factory.mktemp("cloud") / "state")
    try:
        cloud.up(*QUICK)
        cloud.control("PUT", "behaviour", {"completion_seconds": 1})
        with hunted(cloud):
            yield cloud
    finally:
        cloud.command("down")


@pytest.fixture
def second(tmp_path: Path) -> Iterator[LocalCloud]:
    """Name a cloud beside the first one; search it as well, and stop it afterwards."""
    cloud = LocalCloud(tmp_path / "second")
    try:
        yield cloud
        searched(cloud)
    finally:
        cloud.command("down")
