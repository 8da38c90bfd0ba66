"""The most telling faults; `make reliability` runs into all of them."""

import pytest

from tests.reliability.cases import CASES, Case
from tests.reliability.reliability import run
from tests.support.cloud import LocalCloud, Subscriber

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=case.fault) for case in CASES if case.end_to_end]
)
def test_fault(cloud: LocalCloud, subscriber: Subscriber, case: Case) -> None:
    """It ends in the outcomes and messages it must, and no account is sent twice."""
    assert run(cloud, subscriber, case).problems == []
