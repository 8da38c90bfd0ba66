"""Unit tests reach no network, and share one world."""

import pytest

from tests.support.fakes import World


@pytest.fixture(autouse=True)
def _sockets_off(socket_disabled: None) -> None:
    """Turn every attempt to open a socket into an error."""


@pytest.fixture
def world() -> World:
    """Give a world in which nothing has happened; a batch has two accounts."""
    return World()
