"""AWS in this process for the adapters."""

from collections.abc import Iterator

import pytest

from tests.support.aws import aws


@pytest.fixture(scope="module", autouse=True)
def _aws() -> Iterator[None]:
    with aws():
        yield
