"""The client of Saleshandy's API, against the fake API and against a server that misbehaves."""

import datetime as dt
import email.utils
import gzip
import json
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from email_accounts.errors import (
    ApiKeyRefusedError,
    NotSentError,
    OutcomeUnknownError,
    ReportUnavailableError,
    RequestNotFoundError,
    RequestRefusedError,
    SaleshandyError,
    ThrottledError,
)
from email_accounts.models.account import FIELDS
from email_accounts.models.service import (
    AccountStatus,
    ListedAccount,
    ListQuery,
    Order,
    RequestStatus,
)
from email_accounts.saleshandy.client import SaleshandyClient
from email_accounts.saleshandy.exchange import SECONDS
from email_accounts.saleshandy.rate_limit import SAFE_MARGIN
from tests.support.fake_api import API_KEY, Server
from tests.support.fakes import FakeApiKey
from tests.support.files import MARK, PASSWORD, account
from tests.support.service import (
    Answer,
    Service,
    closed_port,
    dripping,
    dripping_head,
    reset_after_reading,
    reset_before_reading,
    said,
    silent,
    speak_tls,
    truncated,
)

KEY = "key-5d1c0e9b7a"
NOW = 1_790_000_000.0
ACCOUNT = account("robin@reach.example")
NOT_FOUND = "Email Account connect request not found"


def api(url: str, *trusted: str, key: str = KEY) -> SaleshandyClient:
    """Make a client."""
    return SaleshandyClient(url, FakeApiKey([key]), frozenset(trusted), lambda: NOW)


# Connect


def test_connect_sends_what_the_service_documents(service: Service) -> None:
    """One POST with the key in x-api-key and an array of the fifteen fields, ports as numbers.

    The service need not wait for another call: no connection is kept.
    """
    service.answers.append(said(200, {"payload": {"requestId": "129a184"}}))
    api(service.url + "/v1/").connect([ACCOUNT, account("kim@reach.example")])
    (call,) = service.calls
    assert (call.method, call.path) == ("POST", "/v1/email-accounts/connect")
    assert call.headers["x-api-key"] == KEY
    assert "authorization" not in call.headers
    assert call.headers["connection"] == "close"
    assert call.headers["content-type"] == "application/json"
    first, second = json.loads(call.body)
    assert tuple(first) == FIELDS
    assert first | {"smtpPort": 465, "imapPort": 993, "smtpPassword": PASSWORD} == first
    assert second["smtpEmailAddress"] == "kim@reach.example"


@pytest.mark.parametrize(
    ("body", "request_id"),
    [
        ({"message": "initiated", "payload": {"requestId": "129a184"}}, "129a184"),
        ({"payload": {"requestId": 129184}}, "129184"),
        ({"requestId": "129a184"}, "129a184"),
        ({"payload": None, "requestId": "129a184"}, "129a184"),
    ],
)
def test_a_request_id_is_a_text_wherever_it_stands(
    service: Service, body: object, request_id: str
) -> None:
    """Ids may be numbers, and fields may be at the top instead of under payload."""
    service.answers.append(said(200, body))
    assert api(service.url).connect([ACCOUNT]) == request_id


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"payload": {}},
        {"payload": {"requestId": ""}},
        {"payload": {"requestId": None}},
        {"payload": {"requestId": ["x"]}},
        {"payload": {"requestId": True}},
        {"payload": {"requestId": " "}},
        {"payload": {"requestId": "x" * 1_000_000}},
        b"[" * 1_000_000,
        b'{"payload": {"requestId": ' + b"1" * 5000 + b"}}",
        [],
        "129a184",
        b"",
        b"<html>OK</html>",
        b"\xff\xfe",
    ],
)
def test_a_success_without_a_request_id_is_no_answer(service: Service, body: object) -> None:
    """The accounts may have arrived: their outcome is unknown."""
    service.answers.append(said(200, body))
    with pytest.raises(OutcomeUnknownError):
        api(service.url).connect([ACCOUNT])
    assert len(service.calls) == 1


# Errors, for every call


def failure(service: Service, *answers: Answer) -> SaleshandyError:
    """Return how a connect fails that gets these answers, of which it takes but the first.

    The library's error, whose request holds key and passwords, is not chained.
    """
    service.answers.extend([*answers, said(200, {"payload": {"requestId": "second"}})])
    with pytest.raises(SaleshandyError) as caught:
        api(service.url).connect([ACCOUNT])
    assert len(service.answers) == 1
    assert caught.value.__cause__ is None
    assert caught.value.__suppress_context__ or caught.value.__context__ is None
    return caught.value


@pytest.mark.parametrize(
    ("status", "body", "kind", "text"),
    [
        (400, {"code": 1001, "type": "x", "message": "Invalid key"}, ApiKeyRefusedError, "key"),
        (400, {"code": "1001", "message": "Invalid key"}, ApiKeyRefusedError, "Invalid key"),
        (401, {"statusCode": 401, "message": "Unauthorized"}, ApiKeyRefusedError, "Unauthorized"),
        (403, {"error": "Forbidden", "error_code": 7}, ApiKeyRefusedError, "Forbidden"),
        (401, b"", NotSentError, "HTTP 401"),
        (403, b"<html>Request blocked</html>", NotSentError, "HTTP 403"),
        (403, [], NotSentError, "HTTP 403"),
        (405, {"message": "Method Not Allowed"}, NotSentError, "HTTP 405"),
        (407, b"<html>", NotSentError, "HTTP 407"),
        (400, {"code": "1" * 5000, "message": "no"}, RequestRefusedError, "no"),
        (400, {"code": 40000, "message": NOT_FOUND}, RequestNotFoundError, NOT_FOUND),
        (
            400,
            {"error": True, "error_code": 40000, "error_message": NOT_FOUND},
            RequestNotFoundError,
            NOT_FOUND,
        ),
        (400, {"code": 40000, "message": "Rate Limit exceeded"}, ThrottledError, "60 s"),
        (400, {"statusCode": 400, "message": "rate limit exceeded"}, ThrottledError, "60 s"),
        (429, b"<html>", ThrottledError, "60 s"),
        (
            400,
            {"statusCode": 400, "messages": ["0.a: no", "1.b: no"]},
            RequestRefusedError,
            "0.a: no; 1.b: no (HTTP 400)",
        ),
        (400, {"statusCode": 400, "message": ["a", "b"]}, RequestRefusedError, "a; b"),
        (
            400,
            {"error": "x", "error_code": 5, "error_message": "no\n good"},
            RequestRefusedError,
            "no good",
        ),
        (400, {"code": 40000, "message": "anything else"}, RequestRefusedError, "anything else"),
        (409, {"code": 1001, "message": "already exists"}, RequestRefusedError, "already exists"),
        (404, b"<html>", NotSentError, "HTTP 404"),
        (404, {"message": "Cannot POST"}, RequestRefusedError, "Cannot POST"),
        (413, {"statusCode": 413, "message": "too large"}, RequestRefusedError, "too large"),
        (400, [], RequestRefusedError, "HTTP 400"),
        (400, {"message": {"a": 1}}, RequestRefusedError, "HTTP 400"),
        (500, {"code": 5001, "message": "Internal"}, OutcomeUnknownError, "Internal (HTTP 500)"),
        (502, b"<html><h1>Bad Gateway</h1></html>", OutcomeUnknownError, "HTTP 502"),
        (503, b"", OutcomeUnknownError, "HTTP 503"),
        (504, b"", OutcomeUnknownError, "HTTP 504"),
        (408, b"", OutcomeUnknownError, "HTTP 408"),
    ],
)
def test_each_error_is_known_by_name(
    service: Service, status: int, body: object, kind: type[SaleshandyError], text: str
) -> None:
    """All shapes of errors are read, both meanings of 400/40000 told apart, nothing is repeated."""
    error = failure(service, said(status, body))
    assert type(error) is kind
    assert text in str(error)
    assert "<" not in str(error)


def http_date(seconds: float) -> str:
    """Write a moment so many seconds from now as HTTP does."""
    return email.utils.formatdate(NOW + seconds, usegmt=True)


def iso_date(seconds: float) -> str:
    """Write a moment so many seconds from now as JavaScript does."""
    moment = dt.datetime.fromtimestamp(NOW + seconds, dt.UTC)
    return moment.isoformat().replace("+00:00", "Z")


EAST = dt.datetime.fromtimestamp(NOW + 40, dt.timezone(dt.timedelta(hours=5.5)))
"""What the clock shows in India 40 seconds from now."""


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry_after": "17"}, 17),
        ({"retry_after": "1.5"}, 1.5),
        ({"retry_after": http_date(25)}, 25),
        ({"x_ratelimit_reset": str(int(NOW) + 33)}, 33),
        ({"x_ratelimit_reset": str(int(NOW + 33) * 1000)}, 33),
        ({"x_ratelimit_reset": "33"}, 33),
        ({"x_ratelimit_reset": http_date(40)}, 40),
        ({"x_ratelimit_reset": iso_date(40)}, 40),
        ({"x_ratelimit_reset": EAST.strftime("%a %b %d %Y %H:%M:%S GMT+0530 (IST)")}, 40),
        ({"retry_after": "9", "x_ratelimit_reset": "33"}, 9),
        ({"retry_after": "soon", "x_ratelimit_reset": "33"}, 33),
        ({"retry_after": "soon"}, 60),
        ({"retry_after": "nan"}, 60),
        ({}, 60),
        ({"retry_after": "0"}, 1),
        ({"retry_after": http_date(-500)}, 1),
        ({"x_ratelimit_reset": str(int(NOW) - 500)}, 1),
        ({"retry_after": "99999999"}, 3600),
        ({"retry_after": http_date(99_999)}, 3600),
    ],
)
@pytest.mark.parametrize("status", [429, 400])
def test_a_throttled_call_says_when_to_come_back(
    service: Service, status: int, headers: dict[str, str], seconds: float
) -> None:
    """Both headers are read, as seconds, epoch or date, within a second and an hour."""
    error = failure(service, said(status, {"message": "Rate Limit exceeded"}, **headers))
    assert isinstance(error, ThrottledError)
    assert error.retry_after_seconds == pytest.approx(seconds)


@pytest.mark.parametrize("fault", [reset_before_reading, reset_after_reading, truncated])
def test_a_connection_cut_off_may_have_carried_the_request(service: Service, fault: Answer) -> None:
    """From the first byte on nobody knows what arrived, and nothing is repeated."""
    service.answers.extend([fault, said(200, {"payload": {"requestId": "second"}})])
    large = [account(f"a{number}@reach.example") for number in range(2000)]
    with pytest.raises(OutcomeUnknownError):
        api(service.url).connect(large)
    assert len(service.answers) == 1


def test_a_service_that_says_nothing_may_have_the_request(
    service: Service, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the time for reading is over the request counts as unanswered."""
    monkeypatch.setattr("email_accounts.saleshandy.exchange._READ_TIMEOUT", 0.05)
    assert isinstance(failure(service, silent), OutcomeUnknownError)


@pytest.mark.parametrize("url", ["http://127.0.0.1:{port}", "http://nowhere.invalid", "http://[x"])
def test_a_service_that_is_not_reached_got_nothing(url: str) -> None:
    """A closed port, a name nobody has and a broken address: repeating is harmless."""
    with pytest.raises(NotSentError) as caught:
        api(url.format(port=closed_port())).connect([ACCOUNT])
    assert KEY not in str(caught.value)


@pytest.mark.parametrize("key", ["\u043a\u043b\u044e\u0447", "line\nfeed"])
def test_a_key_that_no_header_can_carry_sends_nothing(service: Service, key: str) -> None:
    """Nothing was sent, and the error does not quote the key."""
    with pytest.raises(NotSentError) as caught:
        api(service.url, key=key).connect([ACCOUNT])
    assert key not in str(caught.value)
    assert service.calls == []


def test_a_service_with_a_false_certificate_got_nothing(service: Service, tmp_path: Path) -> None:
    """Neither key nor passwords are sent to a server that cannot prove its name."""
    speak_tls(service, tmp_path, "127.0.0.1")
    with pytest.raises(NotSentError):
        api(service.url.replace("http", "https")).connect([ACCOUNT])
    assert service.calls == []


@pytest.mark.parametrize("location", ["/elsewhere", "http://["])
def test_a_call_follows_no_redirect(service: Service, location: str) -> None:
    """The key and the passwords go to the service's own address and in no other place.

    A redirect to what is no address is one anyway: the network's, and to be outlasted.
    """
    assert isinstance(failure(service, said(307, b"", location=location)), NotSentError)
    assert len(service.calls) == 1


@pytest.mark.parametrize("status", [200, 307])
def test_an_answer_that_grows_when_it_is_unpacked_is_not_read_to_its_end(
    service: Service, status: int
) -> None:
    """Its size counts as it is after unpacking, a redirect's too: 20 KB may become 20 MB."""
    packed = gzip.compress(b" " * 20_000_000)
    assert len(packed) < 50_000
    error = failure(service, said(status, packed, content_encoding="gzip", location=service.url))
    assert isinstance(error, OutcomeUnknownError)
    assert "larger than 10 MB" in str(error)


@pytest.mark.parametrize("fault", [dripping, dripping_head])
def test_an_answer_that_trickles_in_is_cut_off(
    service: Service, fault: Answer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A byte now and then keeps every time-out of a receipt; the call as a whole has its own."""
    monkeypatch.setattr("email_accounts.saleshandy.exchange.SECONDS", 0.3)
    began = time.monotonic()
    assert isinstance(failure(service, fault), OutcomeUnknownError)
    assert time.monotonic() - began < 3


def test_a_call_takes_less_than_an_invocation_keeps_in_hand() -> None:
    """The last call of an invocation ends before the invocation does."""
    assert SECONDS + 10 <= SAFE_MARGIN


@pytest.mark.parametrize("keeps", [True, False], ids=["closes", "keeps open"])
def test_no_connection_outlives_its_call(keeps: bool) -> None:  # noqa: FBT001  a case
    """Whether the service honours 'connection: close' or not, each call has a fresh connection."""
    connections: list[socket.socket] = []

    def serve(listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connections.append(connection)
            received = b""
            while b"[]" not in received:
                received += connection.recv(65536)
            connection.sendall(b'HTTP/1.1 200 OK\r\ncontent-length: 17\r\n\r\n{"requestId":"a"}')
            if not keeps:
                connection.close()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=serve, args=[listener], daemon=True).start()
        client = api(f"http://127.0.0.1:{listener.getsockname()[1]}")
        assert [client.connect([]) for _ in range(20)] == ["a"] * 20
        listener.shutdown(socket.SHUT_RDWR)
    assert len(connections) == 20
    if keeps:
        assert [one.recv(1) for one in connections] == [b""] * 20
        for one in connections:
            one.close()


def test_the_environment_has_no_say(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy named in the environment does not get to see the calls."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{closed_port()}")
    service.answers.append(said(200, {"requestId": "1"}))
    assert api(service.url).connect([ACCOUNT]) == "1"


def test_a_refused_key_is_not_remembered(service: Service) -> None:
    """Once the service has refused a key, the next call uses what is in the secret by then."""
    keys = FakeApiKey(["wrong", "wrong", "right"])
    client = SaleshandyClient(service.url, keys, frozenset(), lambda: NOW)
    service.answers.extend([said(401, {"message": "no"}), said(200, {"isCompleted": False})])
    with pytest.raises(ApiKeyRefusedError):
        client.status("1")
    client.status("1")
    assert [call.headers["x-api-key"] for call in service.calls] == ["wrong", "right"]


def test_a_key_that_was_changed_stops_nothing(service: Service) -> None:
    """A key that is refused after another one has taken its place in the secret is not the end."""
    counted: list[str] = []
    keys = FakeApiKey(["first", "second"])
    client = SaleshandyClient(service.url, keys, frozenset(), lambda: NOW, counted.append)
    refused = said(401, {"message": "no"})
    service.answers.extend([refused, said(200, {"isCompleted": False}), refused])
    with pytest.raises(NotSentError, match="has changed"):
        client.status("1")
    client.status("1")
    with pytest.raises(ApiKeyRefusedError):
        client.status("1")
    assert [call.headers["x-api-key"] for call in service.calls] == ["first", "second", "second"]
    assert counted == ["Calls", "Calls", "Calls", "ApiKeyRefusals"]


# Secrets in answers


@pytest.mark.parametrize("status", [400, 401, 500])
@pytest.mark.parametrize(
    "password",
    [PASSWORD, "two  blanks  each", "back\\slash'and\"quotes", "tab\tinside", "ümläut-pass"],
)
@pytest.mark.parametrize(
    "shaped",
    [
        lambda text: {"message": text},
        lambda text: {"messages": [text, text]},
        lambda text: {"messages": [{"value": text}]},
        lambda text: {"message": {"value": text}},
        lambda text: {"error": text, "error_code": 1},
    ],
    ids=["text", "list", "list-of-objects", "object", "error"],
)
def test_a_secret_that_is_echoed_is_not_passed_on(
    service: Service, status: int, password: str, shaped: Callable[[str], object]
) -> None:
    """Neither a password nor the key gets from an answer into an error, in whatever shape."""
    service.answers.append(said(status, shaped(f"value {password} of {KEY} is wrong")))
    with pytest.raises(SaleshandyError) as caught:
        api(service.url).connect([account("a@x.example", smtpPassword=password)])
    text = str(caught.value)
    assert KEY not in text
    assert "".join(password.split()) not in "".join(text.split())
    assert "slash" not in text


def test_a_secret_at_the_edge_of_a_long_message_is_hidden(service: Service) -> None:
    """A message is hidden first and shortened then, so that no half of a secret is left."""
    message = "x" * 490 + PASSWORD
    error = failure(service, said(400, {"message": message}))
    assert MARK[:6] not in str(error)
    assert len(str(error)) < 520


@pytest.mark.parametrize("status", [400, 401, 404, 500])
@pytest.mark.parametrize(
    "call", [lambda client: client.status("1"), lambda client: client.listed(ListQuery())]
)
def test_what_may_be_repeated_unknown_to_us_is_not_quoted(
    service: Service, status: int, call: Callable[[SaleshandyClient], object]
) -> None:
    """Who looks at a request or at the list has no passwords in hand to hide in the answer."""
    service.answers.append(said(status, {"message": f"not found: {PASSWORD}", "code": 1}))
    with pytest.raises(SaleshandyError) as caught:
        call(api(service.url))
    assert str(caught.value).endswith(f"HTTP {status}")


# Status


LINK = "https://x.example/r"
RUNNING_STATUS = RequestStatus(completed=False)
WITHOUT_FAILURES = RequestStatus(completed=True)
WITH_A_LINK = RequestStatus(completed=True, report_link=LINK)
OF_A_STRANGE_LINK = RequestStatus(completed=True, report_link=None)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"payload": {"isCompleted": True, "reportURL": LINK}}, WITH_A_LINK),
        ({"isCompleted": True, "reportURL": LINK}, WITH_A_LINK),
        ({"payload": {"isCompleted": True}, "reportURL": LINK}, WITH_A_LINK),
        ({"payload": {"isCompleted": True, "reportURL": None}, "reportURL": LINK}, WITH_A_LINK),
        ({"payload": {"isCompleted": True, "reportURL": None}}, WITHOUT_FAILURES),
        ({"payload": {"isCompleted": True, "reportURL": ""}}, WITHOUT_FAILURES),
        ({"payload": {"isCompleted": True}}, WITHOUT_FAILURES),
        ({"payload": {"isCompleted": True, "reportURL": 7}}, OF_A_STRANGE_LINK),
        ({"payload": {"isCompleted": True, "reportURL": [LINK]}}, OF_A_STRANGE_LINK),
        ({"payload": {"isCompleted": True, "reportURL": {"url": LINK}}}, OF_A_STRANGE_LINK),
        ({"payload": {"isCompleted": True, "reportURL": LINK + "x" * 9000}}, OF_A_STRANGE_LINK),
        ({"payload": {"isCompleted": True, "reportUrl": LINK}}, OF_A_STRANGE_LINK),
        ({"payload": {"isCompleted": True}, "downloadLink": LINK}, OF_A_STRANGE_LINK),
        ({"payload": {"isCompleted": False, "reportURL": None}}, RUNNING_STATUS),
        ({"payload": {"isCompleted": False, "reportURL": ""}}, RUNNING_STATUS),
        ({"payload": {"isCompleted": False}}, RUNNING_STATUS),
        ({"payload": {"isCompleted": "true"}}, RUNNING_STATUS),
        ({"payload": {"isCompleted": 1}}, RUNNING_STATUS),
        ({"payload": {}}, RUNNING_STATUS),
        ([], RUNNING_STATUS),
    ],
)
def test_only_true_is_complete(service: Service, body: object, status: RequestStatus) -> None:
    """A request is complete when the service says the JSON value true, with or without a link."""
    service.answers.append(said(200, body))
    assert api(service.url).status("129a184") == status
    (call,) = service.calls
    assert (call.method, call.path) == ("GET", "/email-accounts/connect/status/129a184")
    assert call.headers["x-api-key"] == KEY


def test_a_request_id_cannot_leave_its_place(service: Service) -> None:
    """Whatever the service calls a request is one part of the path."""
    service.answers.append(said(200, {}))
    api(service.url).status("../a/b?c#d")
    assert service.calls[0].path == "/email-accounts/connect/status/..%2Fa%2Fb%3Fc%23d"


def test_an_unreadable_status_is_no_answer(service: Service) -> None:
    """A page in place of a status is asked for again, not taken for 'not complete'."""
    service.answers.append(said(200, b"<html>"))
    with pytest.raises(OutcomeUnknownError):
        api(service.url).status("1")


# The account list


RECONCILED = {
    "id": "1Gz3xlNwr9",
    "fromEmail": "Robin@Reach.example ",
    "status": 1,
    "createdAt": "2026-11-22T09:30:00.000Z",
}
CREATED_AT = 1_795_339_800.0


def test_a_page_of_the_list_may_be_asked_for_newest_first(service: Service) -> None:
    """One POST with the page, its size and the order; nothing is filtered."""
    service.answers.append(said(200, {"payload": {"emails": []}}))
    assert api(service.url).listed(ListQuery(page=3, order=Order.NEWEST_FIRST)) == []
    (call,) = service.calls
    assert (call.method, call.path) == ("POST", "/email-accounts")
    assert call.headers["x-api-key"] == KEY
    assert json.loads(call.body) == {
        "page": 3,
        "pageSize": 100,
        "sortByKey": "created-date",
        "sort": "DESC",
    }


@pytest.mark.parametrize(
    ("query", "body"),
    [
        (ListQuery(), {}),
        (ListQuery(status=AccountStatus.INACTIVE), {"status": 0}),
        (ListQuery(status=AccountStatus.SUSPENDED), {"status": 2}),
        (ListQuery(search="a+b@x.example"), {"search": "a+b@x.example"}),
    ],
)
def test_the_list_is_narrowed_as_documented(
    service: Service, query: ListQuery, body: dict[str, object]
) -> None:
    """One number for a status, a text to be searched for; without an order none is sent."""
    service.answers.append(said(200, {"payload": {"emails": []}}))
    api(service.url).listed(query)
    assert json.loads(service.calls[0].body) == {"page": 1, "pageSize": 100} | body


def test_half_an_emoji_in_the_list_can_be_written(service: Service) -> None:
    """JavaScript cuts texts between the halves of one, and writes a half as an escape."""
    halved = dict.fromkeys(("id", "fromEmail"), "robin\ud83d@reach.example")
    service.answers.append(said(200, {"emails": [RECONCILED | halved]}))
    (one,) = api(service.url).listed(ListQuery())
    assert one.address == "robin?@reach.example"


@pytest.mark.parametrize("body", [{"payload": {"emails": [RECONCILED]}}, {"emails": [RECONCILED]}])
def test_an_account_of_the_list_is_read_wherever_it_stands(service: Service, body: object) -> None:
    """Its address is in lower case and without blanks around it; of its id, a digest is read."""
    service.answers.append(said(200, body))
    assert api(service.url).listed(ListQuery()) == [
        ListedAccount("robin@reach.example", AccountStatus.ACTIVE, CREATED_AT, "27565fe75c")
    ]


def test_a_password_in_the_list_is_not_kept(service: Service) -> None:
    """Neither as an id, nor in place of an address, nor in a field that is not read."""
    echoes = dict.fromkeys(("id", "fromEmail", "fromName", "status", "createdAt"), PASSWORD)
    service.answers.append(said(200, {"emails": [echoes]}))
    (one,) = api(service.url).listed(ListQuery())
    assert MARK not in repr(one)
    assert one.address == ""


@pytest.mark.parametrize(
    ("status", "meaning"),
    [
        *((1, AccountStatus.ACTIVE), ("1", AccountStatus.ACTIVE)),
        *((0, AccountStatus.INACTIVE), (2, AccountStatus.SUSPENDED)),
        *((None, AccountStatus.UNKNOWN), ("active", AccountStatus.UNKNOWN)),
        *((11, AccountStatus.UNKNOWN), (True, AccountStatus.UNKNOWN)),
    ],
)
def test_an_account_of_status_one_is_active(
    service: Service, status: object, meaning: AccountStatus
) -> None:
    """Whatever else the service may say, it does not pass for active."""
    service.answers.append(said(200, {"emails": [RECONCILED | {"status": status}]}))
    (one,) = api(service.url).listed(ListQuery())
    assert one.status is meaning


@pytest.mark.parametrize(
    ("created_at", "seconds"),
    [
        ("2026-11-22T09:30:00Z", CREATED_AT),
        ("2026-11-22T10:30:00+01:00", CREATED_AT),
        (CREATED_AT, CREATED_AT),
        (CREATED_AT * 1000, CREATED_AT),
        (str(int(CREATED_AT)), CREATED_AT),
        *(("yesterday", None), ("2026-11-22T09:30:00", None), ("2026-11-22", None)),
        *(("Nov 22, 2026 09:30 AM", None), ("Sun, 22 Nov 2026 09:30:00 GMT", None)),
        ("", None),
        (None, None),
        (7, None),
    ],
)
def test_the_time_of_an_account_is_a_date_or_an_epoch(
    service: Service, created_at: object, seconds: float | None
) -> None:
    """What is neither, or names no zone, is not known, and never taken for a time long ago."""
    service.answers.append(said(200, {"emails": [RECONCILED | {"createdAt": created_at}]}))
    (one,) = api(service.url).listed(ListQuery())
    assert one.created_at == seconds


@pytest.mark.parametrize(
    "body", [{}, {"payload": {}}, {"emails": None}, {"emails": {}}, [], b"<html>", b""]
)
def test_an_unreadable_list_is_no_empty_one(service: Service, body: object) -> None:
    """What is not understood must not pass for 'nothing has arrived'."""
    service.answers.append(said(200, body))
    with pytest.raises(OutcomeUnknownError):
        api(service.url).listed(ListQuery())


EMPTY = said(400, {"code": 40000, "message": "Email accounts not found"})


def test_a_page_that_is_not_found(service: Service) -> None:
    """A later one is the end of the list; the first is a refusal.

    Nobody knows whether it means an empty workspace, so it shows nothing to be absent.
    """
    service.answers.extend([EMPTY, EMPTY])
    assert api(service.url).listed(ListQuery(page=2)) == []
    with pytest.raises(RequestRefusedError):
        api(service.url).listed(ListQuery())


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0),
        ({"x_ratelimit_remaining": "1", "x_ratelimit_reset": "33"}, 0),
        ({"x_ratelimit_remaining": "many", "x_ratelimit_reset": "33"}, 0),
        ({"x_ratelimit_remaining": "0", "x_ratelimit_reset": "33"}, 33),
        ({"x_ratelimit_remaining": "0", "x_ratelimit_reset": iso_date(40)}, 40),
        ({"x_ratelimit_remaining": "0", "retry_after": "9"}, 9),
        ({"x_ratelimit_remaining": "0"}, 60),
    ],
)
def test_an_answer_that_allows_no_further_call_says_for_how_long(
    service: Service, headers: dict[str, str], seconds: float
) -> None:
    """It is the last answer that counts."""
    service.answers.append(said(200, {"emails": []}, **headers))
    service.answers.append(said(200, {"emails": []}))
    client = api(service.url)
    assert client.closed_for() == 0
    client.listed(ListQuery())
    assert client.closed_for() == pytest.approx(seconds)
    client.listed(ListQuery())
    assert client.closed_for() == 0


# Reports


def test_a_report_is_fetched_without_the_key(service: Service) -> None:
    """The link is followed as it is; nothing of the key or its header goes with it."""
    service.answers.append(said(200, b"Email,Reason\r\n"))
    with api(service.url, "127.0.0.1").report(f"{service.url}/report.csv?signed=1") as chunks:
        assert b"".join(chunks) == b"Email,Reason\r\n"
    (call,) = service.calls
    assert (call.method, call.path) == ("GET", "/report.csv?signed=1")
    assert "x-api-key" not in call.headers
    assert KEY not in str(call)


# The fake API


def fake_api(server: Server, key: str = API_KEY) -> SaleshandyClient:
    """Make a client of the fake API, whose reports are on this machine."""
    return api(f"{server.url}/v1", "127.0.0.1", key=key)


@pytest.mark.parametrize("top_level", [True, False])
def test_the_whole_way(server: Server, top_level: bool) -> None:  # noqa: FBT001
    """Connect, status and report work together, in both shapes of answers."""
    server.behave(top_level_fields=top_level)
    client = fake_api(server)
    failing = account("kim@reach.example", smtpPassword="wrong-password")
    request_id = client.connect([ACCOUNT, failing])
    status = client.status(request_id)
    assert status.completed
    assert status.report_link
    with client.report(status.report_link) as chunks:
        report = b"".join(chunks).decode()
    assert "kim@reach.example" in report
    assert "robin@reach.example" not in report
    calls = server.control("GET", "/calls")
    assert [(call["status"], call["key_ok"]) for call in calls] == [(200, True)] * 3


@pytest.mark.parametrize("status", [400, 401, 403])
def test_a_wrong_key_is_told_from_all_else(server: Server, status: int) -> None:
    """The key is refused for connect and status alike, in each way the service may report it."""
    server.behave(refused_key_status=status)
    client = fake_api(server, "wrong-key-0123")
    for call in (lambda: client.connect([ACCOUNT]), lambda: client.status("x")):
        with pytest.raises(ApiKeyRefusedError) as caught:
            call()
        assert "wrong-key-0123" not in str(caught.value)


def test_a_refused_body_is_told_in_the_services_words(server: Server) -> None:
    """Too many accounts, and a value the service does not take, are refused with its text."""
    server.behave(max_accounts=1)
    with pytest.raises(RequestRefusedError, match="at most 1 email accounts"):
        fake_api(server).connect([ACCOUNT, ACCOUNT])
    with pytest.raises(RequestRefusedError, match="emailServiceProvider"):
        fake_api(server).connect([account("a@x.example", emailServiceProvider="unknown")])


# The faults of the fake API


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wait for no answer longer than a moment."""
    monkeypatch.setattr("email_accounts.saleshandy.exchange._READ_TIMEOUT", 0.4)
    monkeypatch.setattr("email_accounts.saleshandy.safe_fetch._READ_TIMEOUT", 0.4)


# What a fault may have carried out is unanswered; what it surely has not is told by its name.
ERRORS: dict[str, type[SaleshandyError]] = {
    "throttle_retry_after": ThrottledError,
    "throttle_reset_epoch": ThrottledError,
    "throttle_reset_date": ThrottledError,
    "throttle_code": ThrottledError,
    "close": OutcomeUnknownError,
    "reset": OutcomeUnknownError,
    "slow": OutcomeUnknownError,
    "hang": OutcomeUnknownError,
    "error_500": OutcomeUnknownError,
    "error_502": OutcomeUnknownError,
    "error_403": NotSentError,
    "error_404": NotSentError,
    "error_410": RequestRefusedError,
    "not_json": OutcomeUnknownError,
    "json_array": OutcomeUnknownError,
    "json_empty": OutcomeUnknownError,
    "cut_body": OutcomeUnknownError,
    "short_body": OutcomeUnknownError,
    "huge_body": OutcomeUnknownError,
    "not_found": RequestNotFoundError,
    "redirect": NotSentError,
}


def test_the_table_of_errors_is_whole(server: Server) -> None:
    """Every fault of the fake API has its error; a poll that says 'running' is none."""
    schema = requests.get(f"{server.url}/openapi.json", timeout=10).json()
    faults = schema["components"]["schemas"]["Rule"]["properties"]["fault"]["enum"]
    assert set(faults) - {"running"} == set(ERRORS)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("carried_out", [False, True])
@pytest.mark.parametrize("fault", ERRORS)
def test_what_a_connect_makes_of_each_fault(server: Server, fault: str, carried_out: bool) -> None:  # noqa: FBT001
    """Each fault has its error, whatever the outcome of the accounts, and nothing is sent twice."""
    server.fault("connect", fault, carried_out=carried_out, seconds=5, megabytes=2)
    with pytest.raises(SaleshandyError) as caught:
        fake_api(server).connect([ACCOUNT])
    assert type(caught.value) is ERRORS[fault]
    assert MARK not in str(caught.value)
    (call,) = server.control("GET", "/calls")
    assert call["fault"] == fault
    arrived = carried_out or fault.endswith("_body")
    assert len(server.control("GET", "/accounts")) == int(arrived)


# Of these answers a status takes what it can: they are JSON and say nothing of completion.
RUNNING = {"json_array", "json_empty", "running"}


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("fault", [*ERRORS, "running"])
def test_what_a_status_makes_of_each_fault(server: Server, fault: str) -> None:
    """Each fault has the error that it has for a connect, and the next poll is answered."""
    client = fake_api(server)
    request_id = client.connect([ACCOUNT])
    server.fault("status", fault, seconds=5, megabytes=2)
    if fault in RUNNING:
        assert client.status(request_id) == RequestStatus(completed=False)
    else:
        with pytest.raises(SaleshandyError) as caught:
            client.status(request_id)
        assert type(caught.value) is ERRORS[fault]
    assert client.status(request_id) == RequestStatus(completed=True)


@pytest.mark.usefixtures("in_tokyo")
@pytest.mark.parametrize(
    ("fault", "seconds"),
    [
        ("throttle_retry_after", 25),
        ("throttle_reset_epoch", 25),
        ("throttle_reset_date", 25),
        ("throttle_code", 60),
    ],
)
def test_each_throttle_says_when_to_come_back(server: Server, fault: str, seconds: float) -> None:
    """The wait is the one that the service named, or a minute where it names none."""
    server.fault("connect", fault, seconds=25)
    now = time.time()
    client = SaleshandyClient(f"{server.url}/v1", FakeApiKey([API_KEY]), frozenset(), lambda: now)
    with pytest.raises(ThrottledError) as caught:
        client.connect([ACCOUNT])
    took = time.time() - now
    assert seconds - 1 <= caught.value.retry_after_seconds <= seconds + 1 + took


# A report that comes though it is not what it should be: the middle of a line is a line's end.
UNNOTICED = {"cut_body", "not_json", "json_array", "json_empty", "running"}


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("fault", [*ERRORS, "running"])
def test_what_a_report_makes_of_each_fault(
    server: Server, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """It is unavailable, unless it is a whole answer: then its readers have to decide."""
    monkeypatch.setattr("email_accounts.saleshandy.safe_fetch.LARGEST", 1_000_000)
    client = fake_api(server)
    failing = account("kim@reach.example", smtpPassword="wrong-password")
    link = client.status(client.connect([failing])).report_link or ""
    server.fault("report", fault, times=None, seconds=5, megabytes=2)

    def fetch() -> bytes:
        with client.report(link) as chunks:
            return b"".join(chunks)

    if fault in UNNOTICED:
        assert isinstance(fetch(), bytes)
    else:
        with pytest.raises(ReportUnavailableError):
            fetch()
