"""A deployment to look after, on AWS in this process."""

from collections.abc import Iterator

import pytest

from email_accounts_cli.stack import Stack
from tests.support.aws import aws
from tests.support.deployment import new_stack
from tests.support.fake_api import Server


@pytest.fixture(autouse=True)
def _aws() -> Iterator[None]:
    with aws():
        yield


@pytest.fixture
def stack(server: Server) -> Stack:
    """Give a deployment without functions."""
    return new_stack(server.url)
