"""Saleshandy's API: what the domain relies on, held against the fake and the real client.

The real client speaks to the fake API, a process of its own.
"""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from time import time

import pytest

from email_accounts.errors import ReportUnavailableError, RequestNotFoundError
from email_accounts.models.service import (
    AccountStatus,
    ListedAccount,
    ListQuery,
    Order,
    RequestStatus,
)
from email_accounts.ports import Saleshandy
from email_accounts.saleshandy.client import SaleshandyClient
from email_accounts.saleshandy.report import verdicts
from tests.support.fake_api import API_KEY, Server, start, stop
from tests.support.fakes import FakeApiKey, FakeClock, FakeRemote, Journal
from tests.support.files import account

NEWEST_FIRST = ListQuery(order=Order.NEWEST_FIRST)
GOOD = account("robin@reach.example")
FAILING = account("kim@reach.example", smtpPassword="wrong-password", imapPassword="wrong-password")


@dataclass(frozen=True, slots=True)
class Service:
    """A remote, and the hand that keeps its requests running or lets them be."""

    saleshandy: Saleshandy
    keep_running: Callable[[], None]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Start the fake API."""
    server = start(tmp_path_factory.mktemp("fake-api"))
    yield server
    stop(server)


@pytest.fixture(params=["fake", "http"])
def service(request: pytest.FixtureRequest) -> Service:
    """Give a remote of either kind, which completes requests at once."""
    if request.param == "fake":
        fake = FakeRemote(
            Journal(), FakeClock(time()), failing={"kim@reach.example": "Sign-in refused"}
        )
        return Service(fake, lambda: fake.running.update({"request-1", "request-2"}))
    server: Server = request.getfixturevalue("server")
    server.control("POST", "/reset")
    server.behave(completion_seconds=0)
    saleshandy = SaleshandyClient(
        f"{server.url}/v1", FakeApiKey([API_KEY]), frozenset({"127.0.0.1"}), lambda: 0.0
    )
    return Service(saleshandy, lambda: server.behave(completion_seconds=60))


def test_each_request_has_an_id_of_its_own(service: Service) -> None:
    """Two requests, even of the same accounts, have two ids."""
    ids = [service.saleshandy.connect([GOOD]) for _ in range(2)]
    assert len(set(ids)) == 2
    assert all(ids)


def test_a_request_that_runs_is_not_complete(service: Service) -> None:
    """While it runs there is no link."""
    service.keep_running()
    request_id = service.saleshandy.connect([GOOD, FAILING])
    assert service.saleshandy.status(request_id) == RequestStatus(completed=False)


def test_a_request_without_failures_has_no_link(service: Service) -> None:
    """Complete without a link."""
    request_id = service.saleshandy.connect([GOOD])
    assert service.saleshandy.status(request_id) == RequestStatus(completed=True)


def test_a_request_with_failures_has_a_report_of_them(service: Service) -> None:
    """The report behind the link names the failed account alone, with a reason."""
    status = service.saleshandy.status(service.saleshandy.connect([GOOD, FAILING]))
    assert status.completed
    assert status.report_link
    with service.saleshandy.report(status.report_link) as chunks:
        report = b"".join(chunks).decode()
    found = verdicts(io.StringIO(report))
    assert found.keys() == {"kim@reach.example"}
    assert "Sign-in refused" in found["kim@reach.example"].reason


def test_a_request_nobody_made_is_not_found(service: Service) -> None:
    """An id that was never given is unknown."""
    with pytest.raises(RequestNotFoundError):
        service.saleshandy.status("never-given")


def test_a_report_nobody_wrote_is_unavailable(service: Service) -> None:
    """A link that leads nowhere leads to no report."""
    with (
        pytest.raises(ReportUnavailableError),
        service.saleshandy.report("http://127.0.0.1:9/request-99"),
    ):
        pytest.fail("there was a report")


def test_an_account_is_listed_as_it_stands(service: Service) -> None:
    """What was connected works, what could not be is there but does not; the newest come first."""
    began = time()
    service.saleshandy.connect([GOOD])
    service.saleshandy.connect([FAILING])
    listed = list(service.saleshandy.listed(NEWEST_FIRST))
    assert [replace(one, created_at=None, id="") for one in listed] == [
        ListedAccount("kim@reach.example", AccountStatus.INACTIVE, created_at=None),
        ListedAccount("robin@reach.example", AccountStatus.ACTIVE, created_at=None),
    ]
    assert all(one.created_at and abs(one.created_at - began) < 60 for one in listed)


def test_a_list_ends_with_an_empty_page(service: Service) -> None:
    """There are pages until there are no more accounts; before the first account there is none."""
    assert list(service.saleshandy.listed(NEWEST_FIRST)) == []
    accounts = [account(f"m{number}@reach.example") for number in range(130)]
    for some in (accounts[:100], accounts[100:]):
        service.saleshandy.connect(some)
    pages = [
        list(service.saleshandy.listed(replace(NEWEST_FIRST, page=page))) for page in (1, 2, 3)
    ]
    assert [len(page) for page in pages] == [100, 30, 0]
    assert len({one.address for page in pages for one in page}) == 130


def test_an_answer_that_allows_further_calls_closes_nothing(service: Service) -> None:
    """Usually the next call may be made at once."""
    service.saleshandy.connect([GOOD])
    assert service.saleshandy.closed_for() == 0
