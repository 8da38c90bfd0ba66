"""Fetching a link that another worker gave: what is refused, and what a good one gets."""

import gzip
import socket
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import certifi
import pytest
import urllib3.util.connection

from email_accounts.errors import ReportUnavailableError
from email_accounts.saleshandy.safe_fetch import fetch
from tests.support.service import (
    Answer,
    Handler,
    Service,
    closed_port,
    dripping,
    dripping_head,
    reset_after_reading,
    said,
    silent,
    speak_tls,
    truncated,
)

pytestmark = pytest.mark.usefixtures("naps")

NAME = "reports.example"
LINK = f"https://{NAME}/report.csv?signed=1"
BARE, BARE_6 = "93.184.216.35", "2606:2800:21f:cb07:6820:80da:af6b:8b2d"
PUBLIC, PUBLIC_6 = "93.184.216.34", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"


def fetched(link: str, *trusted: str) -> bytes:
    """Fetch a link to its end."""
    with fetch(link, frozenset(trusted)) as chunks:
        return b"".join(chunks)


# A world in which the server of the tests has public addresses


@dataclass(frozen=True, slots=True)
class World:
    """What names resolve to, one list of addresses for each time they are asked; who was called."""

    names: dict[str, list[list[str]]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    called: list[tuple[str, int]] = field(default_factory=list)

    def resolve(self, host: str, port: int, *_: object, **__: object) -> list[tuple[Any, ...]]:
        """Stand for `socket.getaddrinfo`."""
        self.asked.append(host)
        answers = self.names[host]
        found = answers.pop(0) if len(answers) > 1 else answers[0]
        return [
            (
                socket.AF_INET6 if ":" in one else socket.AF_INET,
                socket.SOCK_STREAM,
                6,
                "",
                (one, port),
            )
            for one in found
        ]


@pytest.fixture
def world(service: Service, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """Let every address lead to a server that can prove to be `NAME` or `BARE`, not `PUBLIC`."""
    world = World()
    certificate = speak_tls(service, tmp_path, NAME, BARE, BARE_6)

    def call(address: tuple[str, int], timeout: float, **_: object) -> socket.socket:
        world.called.append(address)
        wire = socket.socket()
        wire.settimeout(timeout)
        wire.connect(("127.0.0.1", service.server_port))
        return wire

    with monkeypatch.context() as patched:
        patched.setattr(certifi, "where", lambda: str(certificate))
        patched.setattr(socket, "getaddrinfo", world.resolve)
        patched.setattr(urllib3.util.connection, "create_connection", call)
        yield world


@pytest.mark.parametrize(
    ("link", "called", "host"),
    [
        (LINK, (PUBLIC, 443), NAME),
        (f"https://{NAME}:8443/x", (PUBLIC, 8443), f"{NAME}:8443"),
        (f"HTTPS://{NAME.upper()}/x", (PUBLIC, 443), NAME),
        (f"https://{BARE}/x", (BARE, 443), BARE),
        (f"https://[{BARE_6}]/x", (BARE_6, 443), f"[{BARE_6}]"),
        (f"https://{NAME}/a b?c=d é#part", (PUBLIC, 443), NAME),
    ],
)
def test_every_spelling_of_a_good_link_is_fetched(
    world: World, service: Service, link: str, called: tuple[str, int], host: str
) -> None:
    """Ports, capitals, bare public addresses, blanks and letters of any script.

    The checked address is called; certificate, SNI and Host are the name's.
    """
    world.names.update({NAME: [[PUBLIC]], BARE: [[BARE]], BARE_6: [[BARE_6]]})
    service.answers.append(said(200, b"found"))
    assert fetched(link) == b"found"
    assert world.called == [called]
    assert service.calls[0].headers["host"] == host


def test_a_name_is_resolved_once(world: World, service: Service) -> None:
    """A name server that answers with a private address the second time is not asked again."""
    world.names[NAME] = [[PUBLIC], ["169.254.169.254"]]
    service.answers.extend([said(503, b""), said(200, b"found")])
    assert fetched(LINK) == b"found"
    assert world.asked == [NAME]
    assert world.called == [(PUBLIC, 443)] * 2


def test_the_second_attempt_goes_to_the_next_address(world: World, service: Service) -> None:
    """A name with several addresses is not lost because one of them is."""
    world.names[NAME] = [[PUBLIC_6, PUBLIC]]
    service.answers.extend([reset_after_reading, said(200, b"found")])
    assert fetched(LINK) == b"found"
    assert world.called == [(PUBLIC_6, 443), (PUBLIC, 443)]


def test_a_redirect_is_judged_and_resolved_for_itself(world: World, service: Service) -> None:
    """The same name may lead elsewhere the second time it is named: that is refused."""
    world.names[NAME] = [[PUBLIC], ["10.0.0.1"]]
    service.answers.append(said(302, b"", location=LINK))
    with pytest.raises(ReportUnavailableError, match="public"):
        fetched(LINK)
    assert world.called == [(PUBLIC, 443)]


@pytest.mark.parametrize("link", [f"http://{NAME}/x", f"http://{BARE}/x"])
def test_a_redirect_away_from_https_is_refused(world: World, service: Service, link: str) -> None:
    """What began encrypted does not go on in the open."""
    world.names.update({NAME: [[PUBLIC]], BARE: [[BARE]]})
    service.answers.append(said(302, b"", location=link))
    with pytest.raises(ReportUnavailableError, match="not https"):
        fetched(LINK)
    assert len(world.called) == 1


def test_a_server_that_cannot_prove_its_name_is_not_asked(world: World, service: Service) -> None:
    """A certificate for another name ends it before the link has been sent."""
    world.names["other.example"] = [[PUBLIC]]
    service.answers.extend([said(200, b"found")] * 2)
    with pytest.raises(ReportUnavailableError, match="not answered"):
        fetched("https://other.example/report.csv?signed=1")
    assert service.calls == []


def test_a_link_with_a_user_name_is_refused(world: World) -> None:
    """What is before an @ has misled many a reader of addresses, and is not sent on."""
    world.names[NAME] = [[PUBLIC]]
    with pytest.raises(ReportUnavailableError, match="user name") as caught:
        fetched(f"https://user:hidden@{NAME}/x")
    assert "hidden" not in str(caught.value)
    assert world.called == []


# Where no link leads

PRIVATE = [
    *("0.0.0.0", "10.0.0.1", "100.64.0.1", "127.0.0.1", "127.8.8.8"),  # noqa: S104  nothing listens
    *("169.254.169.254", "169.254.170.2", "172.16.0.1", "172.31.255.255", "192.0.2.1"),
    *("192.168.1.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"),
    *("::", "::1", "::7f00:1", "::ffff:10.0.0.1", "::ffff:93.184.216.34", "64:ff9b::a00:1"),
    *("64:ff9b:1::a00:1", "100::1", "2001::1", "2001:0:5ef5:79fb:0:0:f5ff:fffe", "2001:db8::1"),
    *("2002:a00:1::1", "2002:7f00:1::", "fc00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0"),
    *("fec0::1", "ff02::1"),
]


@pytest.mark.parametrize("address", PRIVATE)
def test_a_name_that_leads_to_no_public_address_is_refused(world: World, address: str) -> None:
    """Private, loopback, link-local, metadata, shared, multicast, and IPv4 dressed as IPv6."""
    world.names[NAME] = [[address]]
    with pytest.raises(ReportUnavailableError, match="public"):
        fetched(LINK)
    assert world.called == []


@pytest.mark.parametrize("addresses", [[PUBLIC, "10.0.0.1"], ["10.0.0.1", PUBLIC], []])
def test_all_addresses_of_a_name_must_be_public(world: World, addresses: list[str]) -> None:
    """One private address among public ones is enough, and none at all is too few."""
    world.names[NAME] = [addresses]
    with pytest.raises(ReportUnavailableError, match="public"):
        fetched(LINK)
    assert world.called == []


@pytest.mark.parametrize(
    "link",
    [
        "",
        "report.csv",
        "/report.csv",
        "//127.0.0.1/x",
        "ftp://reports.example/x",
        "file:///etc/passwd",
        "gopher://127.0.0.1:6379/_INFO",
        "data:text/csv,a",
        "javascript:alert(1)",
        "http://",
        "https://",
        "https://[::1",
        "https://x.example:99999/",
        "http://reports.example/x",
        "https://localhost/x",
        "https://127.0.0.1/x",
        "https://127.1/x",
        "https://127.0.0.1./x",
        "https://2130706433/x",
        "https://0x7f.1/x",
        "https://0x7f000001/x",
        "https://0177.0.0.1/x",
        "https://017700000001/x",
        "https://0/x",
        "https://10.0.0.1/x",
        "https://169.254.169.254/latest/meta-data",
        "https://2852039166/latest/meta-data",
        "https://①②⑦.⓪.⓪.①/x",
        "https://127。0。0。1/x",
        "https://%31%32%37.0.0.1/x",
        "https://[::1]/x",
        "https://[::]/x",
        "https://[0:0:0:0:0:0:0:1]/x",
        "https://[::ffff:10.0.0.1]/x",
        "https://[::ffff:7f00:1]/x",
        "https://[fe80::1%25lo]/x",
        "https://[fd00:ec2::254]/x",
        "https://user:hidden@127.0.0.1/x",
        "https://user:hidden@reports.example/x",
        "https://reports.example@127.0.0.1/x",
        "https://127.0.0.1#@reports.example/x",
        "https://127.0.0.1\\@reports.example/x",
        "https://127.0.0.1 .reports.example/x",
        "https://127.0.0.1\t/x",
        "https://127.0.0.1\r\nhost: x/x",
        "https://nowhere.invalid/x",
        "https://a..b/x",
        f"https://{'a' * 64}.example/x",
    ],
)
def test_a_link_that_leads_nowhere_public_is_refused(
    monkeypatch: pytest.MonkeyPatch, link: str
) -> None:
    """With the resolver of this computer, and every way to write an address that it knows."""
    called: list[object] = []
    monkeypatch.setattr(urllib3.util.connection, "create_connection", called.append)
    with pytest.raises(ReportUnavailableError) as caught:
        fetched(link)
    assert called == []
    assert "hidden" not in str(caught.value)


# The one exemption: hosts that are trusted by name


def from_service(service: Service, *answers: Answer, trusted: str = "127.0.0.1") -> bytes:
    """Fetch a report from the server, which gives these answers."""
    service.answers.extend(answers)
    return fetched(f"{service.url}/report.csv?signed=1", trusted)


def test_a_trusted_host_is_asked_wherever_it_is(service: Service) -> None:
    """The local cloud's fake API is neither public nor encrypted."""
    content = b"Email,Reason\r\n" + b"x" * 200_000
    assert from_service(service, said(200, content)) == content
    (call,) = service.calls
    assert call.headers.keys() == {"host", "accept-encoding", "user-agent", "connection"}


def test_a_host_nobody_trusts_is_not_asked(service: Service) -> None:
    """The address of this machine gets no request unless it is trusted."""
    with pytest.raises(ReportUnavailableError, match="not https"):
        from_service(service, said(200, b"x"), trusted="other.example")
    assert service.calls == []


@pytest.mark.parametrize(
    "location",
    [
        "https://127.0.0.2/x",
        "http://10.0.0.1/x",
        "https://169.254.169.254/",
        "file:///etc/passwd",
        "//169.254.169.254/latest",
        "http://user:hidden@127.0.0.1/x",
    ],
)
def test_trust_does_not_go_beyond_the_host(service: Service, location: str) -> None:
    """Where a trusted host redirects to is checked like a link."""
    with pytest.raises(ReportUnavailableError, match="the link"):
        from_service(service, said(302, b"", location=location))
    assert len(service.calls) == 1


def test_the_environment_has_no_say(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy named in the environment does not get to see the link."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port()}")
    assert from_service(service, said(200, b"found")) == b"found"


# Redirects


@pytest.mark.parametrize("location", ["http://[", "//[x", "http://a:port/", ""])
def test_a_broken_redirect_is_no_fault(service: Service, location: str) -> None:
    """A redirect that is no address makes the report unavailable."""
    with pytest.raises(ReportUnavailableError):
        from_service(service, said(302, b"", location=location))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_to_a_good_address_is_followed(service: Service, status: int) -> None:
    """A relative redirect leads to the report."""
    answers = said(status, b"", location="/moved.csv"), said(200, b"found")
    assert from_service(service, *answers) == b"found"
    assert [call.path for call in service.calls] == ["/report.csv?signed=1", "/moved.csv"]


def test_redirects_come_to_an_end(service: Service) -> None:
    """A circle of redirects is left after a few rounds."""
    with pytest.raises(ReportUnavailableError, match="redirects more than 3 times"):
        from_service(service, *[said(302, b"", location="/report.csv")] * 10)
    assert len(service.calls) == 4


# Answers


@pytest.mark.parametrize("status", [204, 206, 304, 403, 404, 410])
def test_a_report_that_is_not_there_says_so(service: Service, status: int) -> None:
    """Anything but 200 is no report, and is not asked for again."""
    with pytest.raises(ReportUnavailableError, match=f"HTTP {status}"):
        from_service(service, said(status, b""))
    assert len(service.calls) == 1


def test_a_report_is_asked_for_once_more(service: Service, naps: list[float]) -> None:
    """A server that fails once is forgiven; a second failure is the end.

    Retry-After of the report's server is not obeyed: the function's time is not its own.
    """
    assert from_service(service, said(502, b""), said(200, b"found")) == b"found"
    with pytest.raises(ReportUnavailableError, match="HTTP 503"):
        from_service(service, *[said(503, b"", retry_after="3600")] * 2)
    with pytest.raises(ReportUnavailableError, match="HTTP 429"):
        from_service(service, said(429, b"", retry_after="3600"))
    assert len(service.calls) == 5
    assert 0 < sum(naps) < 5


@pytest.mark.parametrize("packed", [bytes, gzip.compress])
def test_a_report_too_large_is_broken_off(
    service: Service, monkeypatch: pytest.MonkeyPatch, packed: Callable[[bytes], bytes]
) -> None:
    """A report of more bytes than allowed is not read to its end; what counts is the unpacked."""
    monkeypatch.setattr("email_accounts.saleshandy.safe_fetch.LARGEST", 1_000_000)
    encoding = {"content_encoding": "gzip"} if packed is gzip.compress else {}
    good, bad = (said(200, packed(b"x" * size), **encoding) for size in (1_000_000, 1_000_001))
    assert len(from_service(service, good)) == 1_000_000
    with pytest.raises(ReportUnavailableError, match="larger than 1 MB"):
        from_service(service, bad)


def test_a_report_does_not_swell_in_memory(service: Service) -> None:
    """What is packed a thousand to one comes in chunks as small as any other."""
    service.answers.append(said(200, gzip.compress(bytes(20_000_000)), content_encoding="gzip"))
    with fetch(f"{service.url}/report.csv", frozenset({"127.0.0.1"})) as chunks:
        assert max(map(len, chunks)) <= 1 << 16


def test_a_report_packed_badly_is_unavailable(service: Service) -> None:
    """What cannot be unpacked is told as any other report that does not come."""
    with pytest.raises(ReportUnavailableError):
        from_service(service, said(200, b"no gzip", content_encoding="gzip"))


def test_a_report_that_breaks_off_is_not_taken_for_whole(service: Service) -> None:
    """A report shorter than its server said is unavailable."""
    with pytest.raises(ReportUnavailableError, match="cut off"):
        from_service(service, truncated)


@pytest.mark.parametrize("fault", [reset_after_reading, silent])
def test_a_report_server_that_does_not_answer(
    service: Service, monkeypatch: pytest.MonkeyPatch, fault: Answer
) -> None:
    """No answer is no report, after a second attempt."""
    monkeypatch.setattr("email_accounts.saleshandy.safe_fetch._READ_TIMEOUT", 0.05)
    began = time.monotonic()
    with pytest.raises(ReportUnavailableError, match="not answered"):
        from_service(service, fault, fault)
    assert len(service.calls) == 2
    assert time.monotonic() - began < 2


def test_nobody_is_asked_when_the_time_is_over(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Redirects and attempts that used all the time up are followed by no other."""
    monkeypatch.setattr("email_accounts.saleshandy.safe_fetch.SECONDS", 0)
    with pytest.raises(ReportUnavailableError, match="too long"):
        from_service(service, said(200, b"x"))
    assert service.calls == []


def endless(handler: Handler) -> None:
    """Send a byte now and then without having said how many there will be."""
    handler.arrived()
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")
    while not handler.server.over.wait(0.02):
        handler.wfile.write(b"x")


@pytest.mark.parametrize("fault", [dripping, dripping_head, endless])
def test_a_report_that_drips_is_broken_off(
    service: Service, monkeypatch: pytest.MonkeyPatch, fault: Answer
) -> None:
    """However slowly a head or a body comes, no more than its time is given to it."""
    monkeypatch.setattr("email_accounts.saleshandy.safe_fetch.SECONDS", 0.2)
    began = time.monotonic()
    # A client that would wait forever is set free after a while.
    rescue = threading.Timer(3, service.over.set)
    rescue.start()
    with pytest.raises(ReportUnavailableError):
        from_service(service, fault, fault)
    rescue.cancel()
    assert time.monotonic() - began < 2


def test_no_log_quotes_the_link(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    """A head that the library finds strange is not reported with the link that led to it."""

    def answer(handler: Handler) -> None:
        handler.arrived()
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nno colon\r\ncontent-length: 1\r\n\r\nx")

    from_service(service, answer)
    assert "signed=1" not in caplog.text
