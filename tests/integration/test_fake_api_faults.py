"""The faults, limits and tenants of the fake API, each through a real client."""

from __future__ import annotations

import email.utils
import itertools
import json
import re
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest
import requests

from local.echoes import ECHOES
from tests.support.fake_api import API_KEY, ROOT, Server, account, failing, start, stop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CONNECT = "/v1/email-accounts/connect"
SECOND_KEY = "key-of-another-tenant"
OTHER: dict[str, str | None] = {"x-api-key": SECOND_KEY}


def outcome(server: Server, *accounts: dict[str, object]) -> requests.Response:
    """Send one connect that may go wrong."""
    return server.call("POST", "/connect", json=accounts or [account()])


def sent(server: Server) -> int:
    """Count the accounts that arrived."""
    return len(server.control("GET", "/accounts"))


def until(condition: Callable[[], object]) -> None:
    """Wait for a condition, but not forever."""
    end = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def raw(server: Server) -> Iterator[bytes]:
    """Connect an account and give what comes back on the connection until it is closed."""
    host = urlsplit(server.url)
    content = json.dumps([account()]).encode()
    with socket.create_connection((host.hostname, host.port), timeout=10) as connection:
        connection.sendall(
            f"POST {CONNECT} HTTP/1.1\r\nhost: {host.netloc}\r\nx-api-key: {API_KEY}\r\n"
            "content-type: application/json\r\nconnection: close\r\n"
            f"content-length: {len(content)}\r\n\r\n".encode()
            + content
        )
        while received := connection.recv(1 << 16):
            yield received


def link(server: Server, *accounts: dict[str, object]) -> str:
    """Submit accounts and return the link of their report."""
    return str(server.status(server.connect(*(accounts or [failing()])))["reportURL"])


# Answers that repeat what was sent


@pytest.mark.parametrize(
    ("operation", "fault", "way", "encoded"),
    [
        ("connect", "error_500", "JSON", r"p\"<\u00e4>"),
        ("connect", "error_502", "as it is", "p&quot;&lt;ä&gt;"),
        ("status", "not_found", "percent, all", "p%22%3C%C3%A4%3E"),
        ("status", "error_404", "as it is", "p&quot;&lt;ä&gt;"),
        ("list", "throttle_retry_after", "base64", "cCI8w6Q+"),
        ("report", "error_410", "as it is", "p&quot;&lt;ä&gt;"),
    ],
)
def test_a_fault_repeats_key_and_passwords(
    server: Server, operation: str, fault: str, way: str, encoded: str
) -> None:
    """As it is told to: of the request, or of what its sender sent last."""
    secret = 'p"<ä>'
    accounts = [account(smtpPassword=secret), failing()]
    where = link(server, *accounts)
    request_id = server.control("GET", "/calls")[0]["request_id"]
    server.fault(operation, fault, echoes=way)
    answer = {
        "connect": lambda: outcome(server, *accounts),
        "status": lambda: server.call("GET", f"/connect/status/{request_id}"),
        "list": lambda: server.call("POST", "", json={}),
        "report": lambda: requests.get(where, timeout=10),
    }[operation]()
    text = answer.text
    assert answer.status_code >= 400
    if answer.headers["content-type"] == "application/json":
        text = answer.json()["message"]
    assert (ECHOES[way](API_KEY) in text) == (operation != "report")
    assert encoded in text
    assert (answer.headers.get("retry-after") is not None) == (fault == "throttle_retry_after")


def test_a_reason_repeats_what_was_sent(server: Server) -> None:
    """Where it is told to, each in another way; a connected account has no reason."""
    server.behave(report="all", reasons_echo_input=True)
    sent = [
        account(f"{number}@reach.example", smtpPassword="wrong-password", imapPassword="ä & '")
        for number in range(len(ECHOES))
    ]
    *failed, good = server.report(server.connect(*sent, account()))
    for one, encode in zip(failed, ECHOES.values(), strict=True):
        assert one["Reason"].startswith("Sign-in refused")
        assert encode("ä & '") in one["Reason"]
    assert good["Reason"] == ""


def test_the_list_repeats_passwords(server: Server) -> None:
    """Where it is told to, each in another way, as ids and names."""
    server.connect(*(account(f"{number}@reach.example", smtpPassword="<ä>") for number in range(5)))
    server.behave(list_echoes_input=True)
    told = [encode("<ä>") for encode in list(ECHOES.values())[:5]]
    assert [(one["id"], one["fromName"]) for one in server.emails()] == [(one, one) for one in told]


# Answers instead of the true one


@pytest.mark.parametrize("carried_out", [False, True])
@pytest.mark.parametrize(
    ("fault", "status", "content_type", "text"),
    [
        ("error_500", 500, "application/json", '"code":5001'),
        ("error_502", 502, "text/html", "<h1>"),
        ("error_403", 403, "application/xml", "AccessDenied"),
        ("error_404", 404, "application/xml", "AccessDenied"),
        ("error_410", 410, "application/xml", "AccessDenied"),
        ("not_json", 200, "text/plain", "OK"),
        ("json_array", 200, "application/json", "[]"),
        ("json_empty", 200, "application/json", '{"payload":{}}'),
        ("not_found", 400, "application/json", "request not found"),
        ("throttle_code", 400, "application/json", "Rate Limit exceeded"),
    ],
)
def test_a_fault_answers_in_place_of_the_service(  # noqa: PLR0913, PLR0917  one column each
    server: Server,
    fault: str,
    status: int,
    content_type: str,
    text: str,
    carried_out: bool,  # noqa: FBT001
) -> None:
    """The call is carried out when the rule reports it, the next one is answered as ever."""
    server.fault("connect", fault, carried_out=carried_out)
    answer = outcome(server)
    assert answer.status_code == status
    assert answer.headers["content-type"].startswith(content_type)
    assert text in answer.text
    assert sent(server) == int(carried_out)
    assert outcome(server).json()["payload"]["requestId"]
    (call, after) = server.control("GET", "/calls")
    assert (call["fault"], call["status"], call["operation"]) == (fault, status, "connect")
    assert (call["accounts"], bool(call["request_id"])) == (
        (1, True) if carried_out else (None, False)
    )
    assert after["fault"] is None


@pytest.mark.parametrize("is_limit", [False, True], ids=["fault", "limit"])
@pytest.mark.parametrize(
    ("how", "status", "header"),
    [
        ("throttle_retry_after", 429, "retry-after"),
        ("throttle_reset_epoch", 429, "x-ratelimit-reset"),
        ("throttle_reset_date", 429, "x-ratelimit-reset"),
        ("throttle_code", 400, ""),
    ],
)
def test_a_call_is_throttled_in_each_way(
    server: Server,
    how: str,
    status: int,
    header: str,
    is_limit: bool,  # noqa: FBT001
) -> None:
    """By a fault and by the rate limit: with the seconds, rounded up, or the moment of the reset.

    These are the ways in which the service has been seen to throttle.
    """
    if is_limit:
        server.behave(rate_limit_calls=1, rate_limit_seconds=30, rate_limit_answer=how)
        server.emails()
    else:
        server.fault("any", how, seconds=29.2)
    answer = server.call("POST", "")
    assert answer.status_code == status
    told = {"retry-after", "x-ratelimit-reset"} & {name.lower() for name in answer.headers}
    assert told == ({header} if header else set())
    value = answer.headers.get(header, "30")
    if header == "x-ratelimit-reset":
        assert answer.headers["x-ratelimit-remaining"] == "0"
        if how == "throttle_reset_date":
            assert re.fullmatch(r"\w{3} \w{3} \d\d \d{4} [\d:]{8} GMT\+0000 \(.*\)", value)
            value = str(email.utils.parsedate_to_datetime(value).timestamp())
        value = str(float(value) - time.time())
    assert float(value) == pytest.approx(30, abs=1.5)
    assert header != "retry-after" or is_limit or value == "30"


@pytest.mark.parametrize("carried_out", [False, True])
@pytest.mark.parametrize("fault", ["close", "reset"])
def test_a_connection_is_dropped(server: Server, fault: str, carried_out: bool) -> None:  # noqa: FBT001
    """Not one byte comes back: the connection ends in order or is reset."""
    server.fault("connect", fault, carried_out=carried_out)
    received = raw(server)
    if fault == "close":
        assert list(received) == []
    else:
        with pytest.raises(ConnectionResetError):
            list(received)
    assert sent(server) == int(carried_out)
    (call,) = server.control("GET", "/calls")
    assert (call["fault"], call["status"]) == (fault, None)


# Calls that are kept waiting


@pytest.mark.parametrize("carried_out", [False, True])
def test_an_answer_is_slow(server: Server, carried_out: bool) -> None:  # noqa: FBT001
    """The true answer comes late; carried out is the call before or after the wait."""
    server.fault("connect", "slow", seconds=1, carried_out=carried_out)
    with ThreadPoolExecutor(1) as pool:
        began = time.monotonic()
        answer = pool.submit(outcome, server)
        time.sleep(0.3)
        assert sent(server) == int(carried_out)
        assert answer.result().json()["payload"]["requestId"]
        assert 1 <= time.monotonic() - began < 4
    assert sent(server) == 1


def test_a_slow_call_is_carried_out_after_its_client_has_gone(server: Server) -> None:
    """Who gives up too early has sent the accounts anyway."""
    server.fault("connect", "slow", seconds=1)
    url = f"{server.url}{CONNECT}"
    with pytest.raises(requests.ReadTimeout):
        requests.post(url, json=[account()], headers={"x-api-key": API_KEY}, timeout=0.2)
    assert sent(server) == 0
    until(lambda: sent(server) == 1)
    assert [call["status"] for call in server.control("GET", "/calls")] == [200]


@pytest.mark.parametrize("carried_out", [False, True])
@pytest.mark.parametrize(("method", "path"), [("DELETE", "/faults"), ("POST", "/reset")])
def test_a_call_hangs_until_told(
    server: Server,
    method: str,
    path: str,
    carried_out: bool,  # noqa: FBT001
) -> None:
    """It is accepted and never answered; forgetting the rules closes its connection."""
    server.fault("connect", "hang", carried_out=carried_out)
    with ThreadPoolExecutor(1) as pool:
        hanging = pool.submit(outcome, server)
        until(lambda: [one["fault"] for one in server.control("GET", "/calls")] == ["hang"])
        (call,) = server.control("GET", "/calls")
        assert call["status"] is None
        assert sent(server) == int(carried_out)
        assert not hanging.done()
        server.control(method, path)
        with pytest.raises(requests.ConnectionError):
            hanging.result(timeout=5)
    assert sent(server) == int(carried_out and path == "/faults")


def test_hanging_calls_do_not_keep_it_from_ending(tmp_path: Path) -> None:
    """SIGTERM drops what hangs and ends the process at once and silently."""
    server = start(tmp_path)
    server.fault("any", "hang", times=None)
    with ThreadPoolExecutor(2) as pool:
        hanging = [pool.submit(outcome, server) for _ in range(2)]
        until(lambda: [one["fault"] for one in server.control("GET", "/calls")] == ["hang"] * 2)
        began = time.monotonic()
        assert stop(server) == (0, "")
        assert time.monotonic() - began < 2
        for one in hanging:
            assert isinstance(one.exception(timeout=5), requests.ConnectionError)


def test_a_client_that_stops_half_way_does_not_keep_it_from_ending(tmp_path: Path) -> None:
    """A request that is never sent to its end is given up."""
    server = start(tmp_path)
    host = urlsplit(server.url)
    head = f"POST {CONNECT} HTTP/1.1\r\nhost: {host.netloc}\r\ncontent-length: 9\r\n\r\n["
    with socket.create_connection((host.hostname, host.port)) as connection:
        connection.sendall(head.encode())
        time.sleep(0.2)
        began = time.monotonic()
        assert stop(server)[0] == 0
        assert time.monotonic() - began < 6


# Bodies that are not what they should be


@pytest.mark.parametrize("fault", ["cut_body", "short_body"])
def test_half_of_an_answer_comes(server: Server, fault: str) -> None:
    """With its own length, or with that of the whole body; the call is carried out."""
    server.fault("connect", fault)
    head, _, body = b"".join(raw(server)).partition(b"\r\n\r\n")
    promised = re.search(rb"content-length: (\d+)", head)
    assert head.startswith(b"HTTP/1.1 200 ")
    assert promised is not None
    missing = int(promised[1]) - len(body)
    assert (missing == 0) if fault == "cut_body" else (missing > 10)
    assert len(body) > 10
    with pytest.raises(json.JSONDecodeError):
        json.loads(body)
    assert sent(server) == 1


def test_a_cut_report_ends_in_the_middle_of_a_line(server: Server) -> None:
    """Some whole lines come, then half a line, with the right length."""
    url = link(server, *(failing(f"a{number}@reach.example") for number in range(20)))
    whole = requests.get(url, timeout=10).text
    server.fault("report", "cut_body")
    cut = requests.get(url, timeout=10)
    assert int(cut.headers["content-length"]) == len(cut.content)
    assert cut.headers["content-type"].startswith("text/csv")
    assert whole.startswith(cut.text)
    *lines, last = cut.text.split("\r\n")
    assert 5 < len(lines) < 15
    assert len(whole.split("\r\n")[len(lines)]) - len(last) > 10 < len(last)


def test_a_short_report_is_noticed_by_a_client(server: Server) -> None:
    """What reads the length knows that the report was interrupted."""
    url = link(server)
    server.fault("report", "short_body")
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        requests.get(url, timeout=10)


def test_a_report_can_be_huge(server: Server) -> None:
    """The true rows come first, then others without end, and no length is given before."""
    url = link(server)
    server.fault("report", "huge_body", megabytes=3)
    with requests.get(url, stream=True, timeout=10) as answer:
        assert "content-length" not in answer.headers
        content = answer.content
    assert 3_000_000 <= len(content) < 3_100_000
    assert content.startswith(b"Email,Status,Reason\r\nfailing@reach.example,Failed,")
    assert content.count(b"nobody@filler.example") > 50_000


def test_a_huge_report_can_be_broken_off(server: Server) -> None:
    """A client that has seen enough leaves nothing behind that would disturb other calls."""
    url = link(server)
    server.fault("report", "huge_body", megabytes=5000)
    with requests.get(url, stream=True, timeout=10) as answer:
        assert next(answer.iter_content(1000))
    began = time.monotonic()
    assert server.emails()
    assert time.monotonic() - began < 2


@pytest.mark.parametrize(
    "location", ["http://10.0.0.1/", "http://169.254.169.254/latest/meta-data/", None]
)
def test_a_link_redirects(server: Server, location: str | None) -> None:
    """It leads to the given place, or to itself forever."""
    url = link(server)
    server.fault("report", "redirect", location=location, times=None)
    answer = requests.get(url, allow_redirects=False, timeout=10)
    assert (answer.status_code, answer.headers["location"]) == (302, location or url)
    if location is None:
        with pytest.raises(requests.TooManyRedirects):
            requests.get(url, timeout=10)


# Status


def test_completion_can_flap(server: Server) -> None:
    """Complete, then not, then complete again; looks at what still runs do not count."""
    server.behave(completion_seconds=1)
    server.fault("status", "running", skip=1, times=1, per_request=True)
    ids = [server.connect(failing()), server.connect(account())]
    seen = [[server.status(one)["isCompleted"]] for one in ids]
    time.sleep(1.1)
    for _ in range(3):
        for one, values in zip(ids, seen, strict=True):
            values.append(server.status(one)["isCompleted"])
    assert seen == [[False, True, False, True]] * 2


def test_a_request_can_run_for_ever(server: Server) -> None:
    """No look finds it complete, though its accounts are in the list."""
    server.fault("status", "running", times=None)
    request_id = server.connect(failing())
    assert [server.status(request_id) for _ in range(3)] == [
        {"isCompleted": False, "reportURL": None}
    ] * 3
    assert len(server.emails()) == 1


def test_a_request_can_be_forgotten(server: Server) -> None:
    """Known at first, it is not found from then on."""
    server.fault("status", "not_found", skip=2, times=None, per_request=True)
    first, second = server.connect(account()), server.connect(account())
    polls = [first, first, first, second, first, second, second]
    seen = [server.call("GET", f"/connect/status/{one}").status_code for one in polls]
    assert seen == [200, 200, 400, 200, 400, 200, 400]


# Rules


def test_rules_are_taken_in_their_order(server: Server) -> None:
    """The first rule whose turn it is wins; one that still spares calls lets the next have it."""
    server.control(
        "POST",
        "/faults",
        [
            {"operation": "connect", "fault": "error_500", "skip": 1},
            {"operation": "any", "fault": "error_502", "times": 2},
            {"operation": "list", "fault": "error_410", "times": None},
        ],
    )
    seen = [outcome(server).status_code for _ in range(4)]
    assert seen == [502, 500, 502, 200]
    assert [server.call("POST", "").status_code for _ in range(3)] == [410] * 3


def test_the_rules_show_what_is_left_of_them(server: Server) -> None:
    """What is shown can be sent again and means the rest; what is used up is not shown."""
    server.fault("connect", "error_500", skip=1, times=2)
    server.fault("status", "not_found", times=None, per_request=True)
    full = server.control("GET", "/faults")
    assert [(one["fault"], one["skip"], one["times"]) for one in full] == [
        ("error_500", 1, 2),
        ("not_found", 0, None),
    ]
    seen, left = [], []
    for _ in range(3):
        seen.append(outcome(server).status_code)
        left.append(server.control("GET", "/faults"))
    assert seen == [200, 500, 500]
    assert left == [
        [full[0] | {"skip": 0}, full[1]],
        [full[0] | {"skip": 0, "times": 1}, full[1]],
        [full[1]],
    ]
    server.control("POST", "/faults", left[1])
    assert [outcome(server).status_code for _ in range(2)] == [500, 200]


def test_rules_can_be_forgotten(server: Server) -> None:
    """After DELETE or a reset no call runs into a fault, and a later rule counts from the start."""
    for method, path in (("DELETE", "/faults"), ("POST", "/reset")) * 2:
        server.fault("any", "error_500", skip=1, times=None)
        assert [outcome(server).status_code for _ in range(2)] == [200, 500]
        server.control(method, path)
        assert server.control("GET", "/faults") == []
        assert outcome(server).status_code == 200


def test_calls_at_once_share_a_rule(server: Server) -> None:
    """Of sixty calls at once exactly as many run into the fault as the rule says."""
    server.fault("connect", "error_500", skip=10, times=23)
    with ThreadPoolExecutor(20) as pool:
        seen = list(pool.map(lambda _: outcome(server).status_code, range(60)))
    assert (seen.count(500), seen.count(200)) == (23, 37)
    assert server.control("GET", "/faults") == []


def test_a_call_with_a_wrong_key_uses_no_rule_up(server: Server) -> None:
    """Only calls that would be carried out run into faults."""
    server.fault("any", "error_500")
    assert server.call("POST", "", headers={"x-api-key": "wrong"}).status_code == 401
    assert outcome(server).status_code == 500


# The rate limit


def test_calls_over_the_limit_are_refused_until_the_window_has_passed(server: Server) -> None:
    """The wait it names is enough, and refused calls do not make it longer."""
    server.behave(rate_limit_calls=3, rate_limit_seconds=3)
    assert [outcome(server).status_code for _ in range(3)] == [200] * 3
    time.sleep(1.5)
    refused = [outcome(server) for _ in range(4)]
    assert [one.status_code for one in refused] == [429] * 4
    assert refused[0].headers["retry-after"] in {"1", "2"}
    assert sent(server) == 1
    faults = [call["fault"] for call in server.control("GET", "/calls")]
    assert faults == [None] * 3 + ["rate_limit"] * 4
    time.sleep(1.55)
    assert [outcome(server).status_code for _ in range(4)] == [200, 200, 200, 429]


def test_the_window_slides(server: Server) -> None:
    """Room is made by each call as it leaves the window."""
    server.behave(rate_limit_calls=2, rate_limit_seconds=3)
    assert outcome(server).status_code == 200
    time.sleep(1.6)
    assert [outcome(server).status_code for _ in range(2)] == [200, 429]
    time.sleep(1.6)
    assert [outcome(server).status_code for _ in range(2)] == [200, 429]


def test_answers_can_say_how_many_calls_remain(server: Server) -> None:
    """Who reads the headers sees that nothing remains before being refused."""
    server.behave(rate_limit_calls=2, rate_limit_seconds=30)
    assert "x-ratelimit-remaining" not in outcome(server).headers
    server.control("DELETE", "/calls")
    server.behave(rate_limit_headers=True)
    answers = [outcome(server), server.call("GET", "/connect/status/unknown")]
    assert [
        (one.headers["x-ratelimit-limit"], one.headers["x-ratelimit-remaining"]) for one in answers
    ] == [("2", "1"), ("2", "0")]
    reset = int(answers[1].headers["x-ratelimit-reset"]) - time.time()
    assert 28 <= reset <= 31
    assert outcome(server).status_code == 429


def test_a_report_is_not_limited(server: Server) -> None:
    """Its link is with another server: fetching it takes nothing from the limit."""
    server.behave(rate_limit_calls=3)
    url = link(server)
    assert [requests.get(url, timeout=10).status_code for _ in range(5)] == [200] * 5
    assert [outcome(server).status_code for _ in range(2)] == [200, 429]


# Tenants


def test_each_key_is_a_tenant_of_its_own(server: Server) -> None:
    """Accounts, lists, requests and conflicts of one key are not seen by another."""
    assert server.call("POST", "", headers=OTHER).status_code == 401
    assert server.control("POST", "/keys", {"key": SECOND_KEY}) == {"tenant": 2}
    first = server.connect(account(), account("own@reach.example"))
    answer = server.call("POST", "/connect", json=[failing("robin@reach.example")], headers=OTHER)
    second = answer.json()["payload"]["requestId"]
    assert [one["status"] for one in server.emails()] == [1, 1]
    (theirs,) = server.call("POST", "", headers=OTHER).json()["payload"]["emails"]
    assert (theirs["fromEmail"], theirs["status"]) == ("robin@reach.example", 0)
    assert server.call("GET", f"/connect/status/{second}", headers=OTHER).status_code == 200
    assert server.call("GET", f"/connect/status/{second}").status_code == 400
    assert server.call("GET", f"/connect/status/{first}", headers=OTHER).status_code == 400
    known = server.control("GET", "/accounts")
    assert [(one["tenant"], one["address"], one["times_sent"]) for one in known] == [
        (1, "robin@reach.example", 1),
        (1, "own@reach.example", 1),
        (2, "robin@reach.example", 1),
    ]
    tenants = [call["tenant"] for call in server.control("GET", "/calls")]
    assert tenants == [None, 1, 2, 1, 2, 2, 1, 2]


def test_each_tenant_has_its_own_limit(server: Server) -> None:
    """What one key uses up is not missing at another."""
    server.control("POST", "/keys", {"key": SECOND_KEY})
    server.behave(rate_limit_calls=1)
    assert [server.call("POST", "").status_code for _ in range(2)] == [200, 429]
    assert [server.call("POST", "", headers=OTHER).status_code for _ in range(2)] == [200, 429]


def test_keys_are_added_once_and_never_shown(server: Server) -> None:
    """The same key is the same tenant, and the list names tenants."""
    keys = [SECOND_KEY, "third-key", SECOND_KEY, API_KEY]
    added = [server.control("POST", "/keys", {"key": key})["tenant"] for key in keys]
    assert added == [2, 3, 2, 1]
    assert server.control("GET", "/keys") == [{"tenant": 1}, {"tenant": 2}, {"tenant": 3}]
    server.control("POST", "/reset")
    assert server.control("GET", "/keys") == [{"tenant": 1}]
    assert server.call("POST", "", headers=OTHER).status_code == 401


# Addresses that are listed already


def test_a_request_with_a_listed_address_can_be_refused(server: Server) -> None:
    """409 with code 1001 for all its accounts, in whatever case the address is written."""
    server.behave(already_listed="refused")
    server.connect(account())
    answer = outcome(server, account("new@reach.example"), account("ROBIN@reach.example"))
    assert answer.status_code == 409
    assert answer.json()["code"] == 1001
    assert "already exists" in answer.json()["message"]
    assert [one["times_sent"] for one in server.control("GET", "/accounts")] == [1]
    server.behave(completion_seconds=60)
    running = account("running@reach.example")
    assert [outcome(server, running).status_code for _ in range(2)] == [200, 200]


def test_a_listed_address_can_be_reported_as_such(server: Server) -> None:
    """The request is taken, the report fails that row, and the listed account stays as it was."""
    server.behave(already_listed="reported")
    server.connect(account(), failing())
    request_id = server.connect(
        failing("robin@reach.example"),
        account("new@reach.example"),
        account("failing@reach.example"),
    )
    rows = [(row["Email"], row["Reason"]) for row in server.report(request_id)]
    assert rows == [
        ("robin@reach.example", "Email account already exists"),
        ("failing@reach.example", "Email account already exists"),
    ]
    listed = {one["fromEmail"]: one["status"] for one in server.emails()}
    assert listed == {
        "robin@reach.example": 1,
        "failing@reach.example": 0,
        "new@reach.example": 1,
    }
    known = {one["address"]: one["times_sent"] for one in server.control("GET", "/accounts")}
    assert known == {"robin@reach.example": 2, "failing@reach.example": 2, "new@reach.example": 1}


# When an account is listed


@pytest.mark.parametrize(
    ("when", "at_first"), [("tried", []), ("accepted", [0, 0])], ids=["tried", "accepted"]
)
def test_accounts_are_listed_when_tried_or_accepted(
    server: Server, when: str, at_first: list[int]
) -> None:
    """With status 0 until their request is complete, then with their outcome."""
    server.behave(listed_when=when, completion_seconds=1)
    request_id = server.connect(account(), failing())
    assert server.status(request_id)["isCompleted"] is False
    assert [one["status"] for one in server.emails()] == at_first
    assert [one["status"] for one in server.control("GET", "/accounts")] == [None, None]
    assert server.emails(status=1) == []
    time.sleep(1.1)
    assert server.status(request_id)["isCompleted"] is True
    assert [one["status"] for one in server.emails()] == [1, 0]
    assert [one["fromEmail"] for one in server.emails(status=1)] == ["robin@reach.example"]


@pytest.mark.parametrize(("when", "listed"), [("accepted", 0.4), ("tried", 1.9)])
def test_the_list_can_lag_behind(server: Server, when: str, listed: float) -> None:
    """An account is listed so much later than it was accepted or tried."""
    server.behave(listed_when=when, completion_seconds=1.5, listing_delay_seconds=0.4)
    began = time.monotonic()
    server.connect(account())
    until(server.emails)
    assert listed <= time.monotonic() - began < listed + 1


def test_a_lag_does_not_hide_what_is_listed(server: Server) -> None:
    """An account that is sent again while the list lags stays in it."""
    server.connect(account())
    server.behave(listing_delay_seconds=60)
    server.connect(account())
    assert len(server.emails()) == 1


def test_the_newest_accounts_come_first_in_pages(server: Server) -> None:
    """Sorted by age, newest first, the pages together have every account once and in order."""
    for number in range(7):
        server.connect(*(account(f"a{number}-{one}@reach.example") for one in range(9)))
        time.sleep(0.003)
    newest = {"sortByKey": "created-date", "sort": "DESC", "pageSize": 10}
    pages = [server.emails(**newest, page=page) for page in range(1, 8)]
    assert [len(page) for page in pages] == [10] * 6 + [3]
    listed = [one["fromEmail"] for page in pages for one in page]
    assert listed == [
        f"a{number}-{one}@reach.example" for number in range(6, -1, -1) for one in range(8, -1, -1)
    ]
    ages = [one["createdAt"] for page in pages for one in page]
    assert ages == sorted(ages, reverse=True)
    assert len(set(ages)) == 7


# What a load test counts


def test_the_rates_show_the_busiest_window_of_each_tenant(server: Server) -> None:
    """The most calls in any window count, whatever came of them; reports and others' do not."""
    server.control("POST", "/keys", {"key": SECOND_KEY})
    assert server.control("GET", "/rates") == []
    url = link(server)
    requests.get(url, timeout=10)
    time.sleep(2.1)
    server.fault("list", "close")
    with pytest.raises(requests.ConnectionError):
        server.call("POST", "")
    for _ in range(2):
        server.call("POST", "")
    server.call("POST", "", headers=OTHER)
    server.call("POST", "", headers={"x-api-key": "wrong"})
    last = server.control("GET", "/calls")[-3]["at"]
    in_all, in_two_seconds = (server.control("GET", f"/rates{one}") for one in ("", "?seconds=2"))
    assert [(one["tenant"], one["calls"]) for one in in_all] == [(1, 5), (2, 1)]
    assert [(one["tenant"], one["calls"]) for one in in_two_seconds] == [(1, 3), (2, 1)]
    assert in_all[0]["until"] == in_two_seconds[0]["until"] == last


def test_the_totals_show_how_often_a_tenant_sent(server: Server) -> None:
    """Addresses, sendings, and the most sendings of one address; none for who sent nothing."""
    server.control("POST", "/keys", {"key": SECOND_KEY})
    server.connect(account(), account("a@reach.example"))
    server.connect(account(), account())
    assert server.control("GET", "/totals") == [
        {"tenant": 1, "accounts": 2, "times_sent": 4, "most_times_sent": 3}
    ]
    server.call("POST", "/connect", json=[account()], headers=OTHER)
    assert server.control("GET", "/totals")[1:] == [
        {"tenant": 2, "accounts": 1, "times_sent": 1, "most_times_sent": 1}
    ]


# The page that describes it


def table(*headings: str) -> dict[str, list[str]]:
    """Return a table on control by the first cells of its rows, without the marks of code."""
    page = (ROOT / "local/fake_api/README.md").read_text(encoding="utf-8")
    _, _, control = page.partition("\n## Control\n")
    _, _, rest = control.partition(f"\n| {' | '.join(headings)} | |\n|---|")
    assert rest
    rows = itertools.takewhile(lambda line: line.startswith("|"), rest.splitlines()[1:])
    cells = ([cell.strip().strip("`") for cell in row.strip("|").split("|")] for row in rows)
    return {name: others for name, *others in cells}


def shown(value: Any) -> str:  # noqa: ANN401  any JSON
    """Write a default as the page does."""
    text = value if isinstance(value, str) else json.dumps(value)
    return text.removesuffix(".0")


def test_the_page_names_every_switch_fault_and_endpoint(server: Server) -> None:
    """Every name and default of the page is the code's, and none of the code's is missing."""
    schema = requests.get(f"{server.url}/openapi.json", timeout=10).json()
    schemas = schema["components"]["schemas"]
    for heading, model in (("switch", "Behaviour"), ("field", "Rule")):
        fields = schemas[model]["properties"]
        rows = table(heading, "default")
        assert list(rows) == list(fields)
        assert {name: cells[0] for name, cells in rows.items()} == {
            name: "" if name in schemas[model].get("required", []) else shown(field.get("default"))
            for name, field in fields.items()
        }
    rule = schemas["Rule"]["properties"]
    assert set(table("fault")) == set(rule["fault"]["enum"])
    named = set(re.findall(r"`(\w+)`", f"`{table('field', 'default')['operation'][1]}`"))
    operations = {
        one for choice in rule["operation"]["anyOf"] for one in choice.get("enum", ["any"])
    }
    assert named == operations
    assert set(table("endpoint")) == {
        f"{method.upper()} {path}"
        for path, methods in schema["paths"].items()
        if path.startswith("/control/")
        for method in methods
    }
