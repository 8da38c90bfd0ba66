"""Unit tests reach no network."""

import pytest


@pytest.fixture(autouse=True)
def _sockets_off(socket_disabled: None) -> None:
    """Turn every attempt to open a socket into an error."""
