"""The fake API, as a process of its own and over HTTP only."""

from __future__ import annotations

import json
import re
import signal
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
import requests

from local.fake_api.behaviour import Behaviour
from tests.support.fake_api import (
    API_KEY,
    APP_PASSWORD,
    ROOT,
    Server,
    account,
    failing,
    start,
    stop,
)

if TYPE_CHECKING:
    from pathlib import Path

JSON: dict[str, str | None] = {"content-type": "application/json"}
NOT_FOUND = "Email Account connect request not found"


# Connect


def test_connect_answers_a_request_id_before_an_account_is_tried(server: Server) -> None:
    """Connect answers a short request id at once; the accounts are not yet in the list."""
    server.behave(completion_seconds=60)
    answer = server.call("POST", "/connect", json=[account()])
    assert answer.status_code == 200
    assert "initiated successfully" in answer.json()["message"]
    assert re.fullmatch("[0-9a-f]{7,12}", answer.json()["payload"]["requestId"])
    assert server.emails() == []


@pytest.mark.parametrize(
    ("body", "complaint"),
    [
        (b"[{", "JSON"),
        ({}, "valid list"),
        ([], "at least 1 item"),
        (["x"], "0: "),
        ([account(smtpPort="465")], "0.smtpPort: "),
        ([account(), account(imapPort=70000)], "1.imapPort: "),
        ([account(emailServiceProvider="GSuite")], "0.emailServiceProvider: "),
        ([account(smtpPassword="")], "0.smtpPassword: "),
        ([account(smtpEncryption="SSL")], "0.smtpEncryption "),
        ([account(dailyLimit=5)], "0.dailyLimit: "),
        ([{k: v for k, v in account().items() if k != "imapHost"}], "0.imapHost: "),
    ],
)
def test_connect_refuses_a_wrong_body(server: Server, body: object, complaint: str) -> None:
    """A body that is not an array of whole accounts is refused, and no value is quoted."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    answer = server.call("POST", "/connect", data=content, headers=JSON)
    assert answer.status_code == 400
    assert answer.json()["statusCode"] == 400
    (message,) = answer.json()["messages"]
    assert complaint in message
    assert APP_PASSWORD not in answer.text
    assert server.control("GET", "/accounts") == []


def test_connect_takes_no_more_accounts_than_set(server: Server) -> None:
    """A hundred accounts are taken and one more is refused; a switch moves the limit."""
    many = [account(f"a{number}@reach.example") for number in range(101)]
    server.connect(*many[:100])
    answer = server.call("POST", "/connect", json=many)
    assert answer.status_code == 400
    assert answer.json()["messages"] == ["at most 100 email accounts are allowed"]
    server.behave(max_accounts=101)
    server.connect(*many)


def test_connect_takes_encryption_none_when_switched_on(server: Server) -> None:
    """`none` is refused by default and taken when the switch is on."""
    plain = account(smtpEncryption="none")
    assert server.call("POST", "/connect", json=[plain]).status_code == 400
    server.behave(takes_encryption_none=True)
    server.connect(plain)


def test_a_body_over_five_megabytes_is_refused(server: Server) -> None:
    """A body may have 5 MB and not one byte more."""
    limit = 5 * 1024 * 1024
    largest = server.call("POST", "/connect", data=b" " * limit, headers=JSON)
    larger = server.call("POST", "/connect", data=b" " * (limit + 1), headers=JSON)
    assert largest.status_code == 400
    assert larger.status_code == 413
    assert larger.json()["statusCode"] == 413


# The API key


@pytest.mark.parametrize("refused_as", [401, 400, 403])
@pytest.mark.parametrize("headers", [{"x-api-key": None}, {"x-api-key": "wrong"}])
@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/connect"), ("GET", "/connect/status/1"), ("POST", "")]
)
def test_a_missing_or_wrong_key_is_refused(
    server: Server, method: str, path: str, headers: dict[str, str | None], refused_as: int
) -> None:
    """No endpoint works without the key; the switch decides the HTTP status only."""
    server.behave(refused_key_status=refused_as)
    answer = server.call(method, path, headers=headers)
    assert answer.status_code == refused_as
    assert answer.json().keys() == {"code", "type", "message"}
    assert answer.json()["code"] == 1001
    assert server.control("GET", "/calls")[0]["key_ok"] is False


# Status


def test_an_unknown_request_is_not_found(server: Server) -> None:
    """An id never given out answers 400 with code 40000."""
    answer = server.call("GET", "/connect/status/129a184")
    assert answer.status_code == 400
    assert answer.json().keys() == {"code", "type", "message"}
    assert (answer.json()["code"], answer.json()["message"]) == (40000, NOT_FOUND)


def test_the_first_looks_can_answer_not_found(server: Server) -> None:
    """The switch hides each request for its own first polls."""
    server.behave(status_not_found_polls=2)
    first, second = server.connect(account()), server.connect(account())
    seen = [
        server.call("GET", f"/connect/status/{one}").status_code
        for one in (first, first, first, second)
    ]
    assert seen == [400, 400, 200, 400]


@pytest.mark.parametrize(
    ("running_report_url", "payload"),
    [
        ("null", {"isCompleted": False, "reportURL": None}),
        ("missing", {"isCompleted": False}),
        ("empty", {"isCompleted": False, "reportURL": ""}),
    ],
)
def test_a_running_request_has_no_link(
    server: Server, running_report_url: str, payload: dict[str, object]
) -> None:
    """While a request runs its link is null, missing or empty, as the switch says."""
    server.behave(completion_seconds=60, running_report_url=running_report_url)
    assert server.status(server.connect(failing())) == payload


def test_all_fields_can_stand_at_top_level(server: Server) -> None:
    """The switch moves the fields of every answer out of `payload`."""
    server.behave(top_level_fields=True)
    connected = server.call("POST", "/connect", json=[account()]).json()
    assert connected.keys() == {"message", "requestId"}
    status = server.call("GET", f"/connect/status/{connected['requestId']}").json()
    assert status == {"isCompleted": True, "reportURL": None}
    (listed,) = server.call("POST", "").json()["emails"]
    assert listed["status"] == 1


# The outcome of an account, and the report


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        (
            {"smtpPassword": "wrong-password", "imapPassword": "wrong-password"},
            "Sign-in refused: 535 5.7.8 Username and Password not accepted",
        ),
        (
            {"imapPassword": "wrong-password"},
            "Sign-in refused: NO [AUTHENTICATIONFAILED] Invalid credentials",
        ),
        ({"smtpPassword": "imap-disabled"}, "IMAP access is switched off for this mailbox: "),
        ({"imapPassword": "imap-disabled"}, "IMAP access is switched off for this mailbox: "),
        (
            {"smtpHost": "smtp.Unreachable.example", "smtpPort": 587},
            "No answer from the SMTP server smtp.Unreachable.example:587: connection timed out",
        ),
        ({"imapHost": "unreachable.example"}, "No answer from the IMAP server unreachable.example"),
    ],
)
def test_the_report_names_a_failure_with_its_reason(
    server: Server, changed: dict[str, object], reason: str
) -> None:
    """What is wrong with either server fails the account, which is saved but not working.

    Connected rows are not reported.
    """
    good = account("d@notunreachable.example", smtpHost="smtp.notunreachable.example")
    (row,) = server.report(server.connect(good, account(**changed)))
    assert (row["Email"], row["Status"]) == ("robin@reach.example", "Failed")
    assert row["Reason"].startswith(reason)
    assert [one["status"] for one in server.emails()] == [1, 0]


def test_the_report_link_is_a_csv_file_that_takes_no_key(server: Server) -> None:
    """The link gives an attachment of text/csv, and refuses and records a key that leaks."""
    link = server.status(server.connect(failing()))["reportURL"]
    path = r"/v3-email-connect-fault-csv/[\w-]{32}/Email-Account_Bulk_Report_c[0-9a-f]+_\d{13}\.csv"
    assert re.fullmatch(re.escape(server.url) + path, link)
    fetched = requests.get(link, timeout=10)
    assert fetched.status_code == 200
    assert fetched.headers["content-type"].startswith("text/csv")
    assert fetched.headers["content-disposition"].startswith("attachment; filename=")
    leaked = requests.get(link, headers={"x-api-key": API_KEY}, timeout=10)
    assert leaked.status_code == 400
    calls = server.control("GET", "/calls")[-2:]
    assert [(call["status"], call["key_ok"]) for call in calls] == [(200, True), (400, False)]


def test_a_guessed_report_link_is_not_found(server: Server) -> None:
    """Without the token of a link there is no report."""
    server.connect(failing())
    url = f"{server.url}/v3-email-connect-fault-csv/guessed/report.csv"
    assert requests.get(url, timeout=10).status_code == 404


@pytest.mark.parametrize(
    ("report", "sent"), [("failures", account()), ("none", failing())], ids=["success", "failure"]
)
def test_a_request_may_have_no_link(server: Server, report: str, sent: dict[str, object]) -> None:
    """One without a failure, and any where the switch withholds it."""
    server.behave(report=report)
    assert server.status(server.connect(sent)) == {"isCompleted": True, "reportURL": None}


def test_a_report_of_all_rows(server: Server) -> None:
    """The switch reports connected rows, too, in the order they were sent."""
    server.behave(report="all")
    rows = server.report(server.connect(account(), failing()))
    assert [row["Status"] for row in rows] == ["Connected", "Failed"]
    assert rows[0]["Reason"] == ""


def test_the_report_columns_can_be_named_otherwise(server: Server) -> None:
    """The switch names the columns in the API's own manner."""
    request_id = server.connect(failing())
    assert list(server.report(request_id)[0]) == ["Email", "Status", "Reason"]
    server.behave(report_columns="fields")
    assert list(server.report(request_id)[0]) == ["smtpEmailAddress", "status", "errorMessage"]


@pytest.mark.parametrize("columns", ["service", "fields"])
def test_the_report_can_echo_what_was_sent(server: Server, columns: str) -> None:
    """A password is in a report only when the switch echoes the whole input row."""
    sent = account(imapPassword="imap-disabled")
    request_id = server.connect(sent)
    assert APP_PASSWORD not in str(server.report(request_id))
    server.behave(report_echoes_input=True, report_columns=columns)
    (row,) = server.report(request_id)
    assert list(row)[:15] == list(sent)
    assert {name: row[name] for name in sent} == {name: str(sent[name]) for name in sent}


# Sending again


def test_a_listed_address_sent_again_is_tried_again(server: Server) -> None:
    """Another sending, in whatever case, changes the listed account and adds none."""
    server.connect(failing("robin@reach.example"))
    (before,) = server.emails()
    server.connect(account("Robin@reach.example"))
    (after,) = server.emails()
    assert (before["status"], after["status"]) == (0, 1)
    assert (before["id"], after["fromEmail"]) == (after["id"], "Robin@reach.example")


def test_a_running_request_leaves_the_listed_account_as_it_was(server: Server) -> None:
    """Until the second request completes the list shows what the first one found."""
    server.connect(failing())
    server.behave(completion_seconds=60)
    server.connect(account("failing@reach.example"))
    assert [one["status"] for one in server.emails()] == [0]


# The list


def test_the_list_shows_the_documented_fields(server: Server) -> None:
    """A listed account has the fields the service names, its id a string."""
    server.connect(account())
    (listed,) = server.call("POST", "").json()["payload"]["emails"]
    assert isinstance(listed.pop("id"), str)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", listed.pop("createdAt"))
    assert listed == {
        "fromName": "Robin Stone",
        "fromEmail": "robin@reach.example",
        "type": "smtp-imap",
        "status": 1,
        "healthScore": 100,
        "emailServiceProvider": "gsuite",
    }


def test_the_list_comes_in_pages(server: Server) -> None:
    """A page has 25 accounts unless configured; together the pages have every account once."""
    sent = [f"a{number}@reach.example" for number in range(60)]
    server.connect(*map(account, sent))
    assert [len(server.emails(page=page)) for page in (1, 2, 3, 4)] == [25, 25, 10, 0]
    pages = [server.emails(page=page, pageSize=40) for page in (1, 2)]
    assert [one["fromEmail"] for page in pages for one in page] == sent


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({"search": "KIM@"}, ["kim@reach.example"]),
        ({"search": "lee brook"}, ["lee@reach.example"]),
        ({"search": "absent"}, []),
        ({"search": "%"}, []),
        ({"status": 0}, ["lee@reach.example"]),
        ({"status": 2}, []),
        ({"emailServiceProvider": ["zoho", "other"]}, ["kim@reach.example"]),
        ({"sortByKey": "created-date"}, ["lee@", "kim@", "ari@"]),
        ({"sort": "DESC"}, ["ari@", "kim@", "lee@"]),
        ({"sortByKey": "health-score", "sort": "DESC"}, ["ari@", "kim@", "lee@"]),
        ({"sortByKey": "health-score", "sort": "ASC", "pageSize": 1, "page": 2}, ["kim@"]),
        ({"sortByKey": "remaining-quota"}, ["lee@", "kim@", "ari@"]),
        ({"sortByKey": "clientFirstName", "sort": "DESC"}, ["ari@", "kim@", "lee@"]),
        ({"clientIds": ["c1"]}, []),
        ({"sequenceIds": ["s1"]}, []),
        ({"addedBy": ["u1"]}, []),
    ],
)
def test_the_list_is_narrowed_and_sorted(
    server: Server, query: dict[str, object], found: list[str]
) -> None:
    """Search, status and provider narrow the list; a key and a direction sort it."""
    server.connect(
        failing("lee@reach.example") | {"fromFirstName": "Lee", "fromLastName": "Brook"},
        account("kim@reach.example", emailServiceProvider="zoho"),
        account("ari@reach.example"),
    )
    emails = [one["fromEmail"] for one in server.emails(**query)]
    assert len(emails) == len(found)
    assert all(email.startswith(start) for email, start in zip(emails, found, strict=True))


@pytest.mark.parametrize(
    "query",
    [
        {"page": 0},
        {"pageSize": 101},
        {"pageSize": "25"},
        {"status": 3},
        {"emailServiceProvider": ["Gmail"]},
        *({"sortByKey": key} for key in ("unknown", "createdAt", "fromEmail", "status")),
        *({"sort": direction} for direction in ("up", "asc", "desc")),
        {"status": [1]},
        {"clientIds": "c1"},
        {"size": 1},
    ],
)
def test_the_list_refuses_a_wrong_query(server: Server, query: dict[str, object]) -> None:
    """A query outside the documented limits is refused."""
    answer = server.call("POST", "", json=query)
    assert answer.status_code == 400
    assert answer.json()["statusCode"] == 400
    assert answer.json()["messages"]


def test_a_list_in_no_order_has_every_account_once(server: Server) -> None:
    """Its order is not the one that was asked for, and it stays as it is."""
    server.behave(list_ignores=["sort"])
    sent = {f"a{number}@reach.example" for number in range(60)}
    server.connect(*map(account, sorted(sent)))
    pages = [server.emails(page=page, pageSize=20, sort="DESC") for page in (1, 2, 3)]
    listed = [one["fromEmail"] for page in pages for one in page]
    assert set(listed) == sent
    assert listed not in (sorted(sent), sorted(sent, reverse=True))


def test_a_list_may_lag(server: Server) -> None:
    """It shows accounts as they were, in its size and in their status."""
    server.behave(completion_seconds=0.2, listed_when="accepted", list_lag_seconds=0.4)
    server.connect(account())
    seen = [server.emails()]
    while len(seen) < 100 and not (seen[-1] and seen[-1][0]["status"]):
        time.sleep(0.02)
        seen.append(server.emails())
    shown = [page[0]["status"] if page else None for page in seen]
    assert list(dict.fromkeys(shown)) == [None, 0, 1]


@pytest.mark.parametrize(("times", "shown"), [("no_zone", r"[\d-]+T[\d:.]+"), ("missing", "None")])
def test_a_list_may_name_times_badly(server: Server, times: str, shown: str) -> None:
    """Its times lack their zone, or are not there."""
    server.behave(list_times=times)
    server.connect(account())
    (listed,) = server.emails()
    assert re.fullmatch(shown, str(listed.get("createdAt")))


@pytest.mark.parametrize("query", [{"page": 9}, {"search": "nobody"}, {"status": 2}])
def test_a_list_may_ignore_what_it_is_asked(server: Server, query: dict[str, object]) -> None:
    """The parameter that is ignored narrows nothing; a wrong value of it is refused still."""
    server.connect(account())
    assert server.emails(**query) == []
    server.behave(list_ignores=list(query))
    assert len(server.emails(**query)) == 1
    assert server.call("POST", "", json={key: [1] for key in query}).status_code == 400


def test_accounts_may_fail_in_silence(server: Server) -> None:
    """Every third account of a request is listed, stays inactive and is told in no report."""
    server.behave(silent_failure_every=3)
    request_id = server.connect(*(account(f"a{number}@reach.example") for number in range(1, 8)))
    assert server.status(request_id) == {"isCompleted": True, "reportURL": None}
    inactive = [one["fromEmail"] for one in server.emails(status=0)]
    assert inactive == ["a3@reach.example", "a6@reach.example"]
    assert [one["status"] for one in server.control("GET", "/accounts")] == [1, 1, 0, 1, 1, 0, 1]


# What is not documented


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "/connect", [account()]),
        ("POST", "", {}),
        ("GET", "/connect/status/1", None),
    ],
)
def test_what_is_not_documented_is_refused(
    server: Server,
    method: str,
    path: str,
    body: list[dict[str, object]] | dict[str, object] | None,
) -> None:
    """No endpoint takes a query parameter, and none a field that it does not know."""
    answer = server.call(method, f"{path}?page=1", json=body)
    assert (answer.status_code, answer.json()["messages"]) == (400, ["page is not allowed"])
    one: dict[str, object] = {**(body[0] if isinstance(body, list) else body or {}), "more": 1}
    more: object = [one] if isinstance(body, list) else one
    answer = server.call(method, path, json=more)
    assert (answer.status_code, answer.json()["statusCode"]) == (400, 400)
    assert server.control("GET", "/accounts") == []


# Paths


def test_an_unknown_path_is_refused_and_recorded(server: Server) -> None:
    """A path that does not exist answers 404 in the second error shape."""
    answer = server.call("GET", "/unknown")
    assert answer.status_code == 404
    assert answer.json() == {"statusCode": 404, "message": "Cannot GET /v1/email-accounts/unknown"}
    assert server.call("GET", "/connect").status_code == 405
    assert [call["status"] for call in server.control("GET", "/calls")] == [404, 405]


# Control


def test_behaviour_is_changed_in_part_and_set_back(server: Server) -> None:
    """Setting one switch leaves the others; DELETE sets every one to its default."""
    server.behave(report="all")
    changed = server.control("PUT", "/behaviour", {"max_accounts": 7})
    assert changed == server.control("GET", "/behaviour")
    assert (changed["report"], changed["max_accounts"]) == ("all", 7)
    defaults = Behaviour().model_dump(mode="json")
    assert server.control("DELETE", "/behaviour") == defaults


RULE = {"operation": "any", "fault": "close"}
WRONG_RULES: list[dict[str, object]] = [
    {"operation": "connect"},
    {"operation": "connect", "fault": "unknown"},
    {"operation": "unknown", "fault": "close"},
    RULE | {"times": 0},
    RULE | {"skip": -1},
    {"operation": "any", "fault": "slow", "seconds": -1},
    {"operation": "any", "fault": "redirect", "location": "http://x/\r\nset-cookie: x"},
    RULE | {"unknown": 1},
]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        *(("PUT", "/behaviour", one) for one in ({"unknown": 1}, {"report": "some"})),
        ("PUT", "/behaviour", {"max_accounts": 0}),
        *(("POST", "/faults", [RULE, one]) for one in WRONG_RULES),
        *(("POST", "/keys", one) for one in ({}, {"key": ""}, {"key": "two words"}, {"key": 1})),
    ],
)
def test_control_refuses_what_cannot_be(
    server: Server, method: str, path: str, body: object
) -> None:
    """A wrong switch, rule or key changes nothing, one wrong rule none of those sent with it."""
    before = server.control("GET", path)
    answer = server.try_control(method, path, body)
    assert answer.status_code == 400
    assert "two words" not in answer.text
    assert server.control("GET", path) == before


def test_calls_are_shown_in_order_without_secrets(server: Server) -> None:
    """Every call to the service is shown with what it was about, none with a password."""
    began = int(time.time() * 1000) / 1000
    request_id = server.connect(account(), failing())
    server.report(request_id)
    server.emails()
    server.call("POST", "/connect", json=[account()], headers={"x-api-key": "wrong"})
    calls = server.control("GET", "/calls")
    assert [
        (call["method"], call["status"], call["accounts"], call["request_id"], call["key_ok"])
        for call in calls
    ] == [
        ("POST", 200, 2, request_id, True),
        ("GET", 200, None, request_id, True),
        ("GET", 200, None, request_id, True),
        ("POST", 200, None, None, True),
        ("POST", 401, None, None, False),
    ]
    assert calls[1]["path"] == f"/v1/email-accounts/connect/status/{request_id}"
    assert [call["number"] for call in calls] == [calls[0]["number"] + step for step in range(5)]
    assert [call["operation"] for call in calls] == [
        *("connect", "status", "report", "list", "connect")
    ]
    assert began <= calls[0]["at"] <= calls[-1]["at"] <= time.time()
    assert APP_PASSWORD not in str(calls)
    assert "wrong-password" not in str(calls)


def test_calls_can_be_forgotten(server: Server) -> None:
    """Forgetting the calls leaves the accounts, and numbers are never given twice."""
    server.connect(account())
    last = server.control("GET", "/calls")[-1]["number"]
    server.control("DELETE", "/calls")
    assert server.control("GET", "/calls") == []
    server.emails()
    assert server.control("GET", "/calls")[0]["number"] == last + 1
    assert len(server.control("GET", "/accounts")) == 1


def test_known_accounts_show_what_was_sent_and_what_became_of_it(server: Server) -> None:
    """An address is known from its sending on, with no status until it has been tried."""
    first = server.connect(account(), failing(), failing())
    server.behave(completion_seconds=60)
    second = server.connect(account(), account("new@reach.example"))
    known = server.control("GET", "/accounts")
    assert [*known[0]] == ["tenant", "address", "status", "times_sent", "request_id"]
    assert [(*one.values(),) for one in known] == [
        (1, "robin@reach.example", 1, 2, second),
        (1, "failing@reach.example", 0, 2, first),
        (1, "new@reach.example", None, 1, second),
    ]


def test_reset_forgets_everything(server: Server) -> None:
    """After a reset nothing is known and every switch has its default."""
    request_id = server.connect(account())
    server.control("POST", "/reset")
    assert server.control("GET", "/calls") == []
    assert server.control("GET", "/accounts") == []
    assert server.control("GET", "/behaviour")["completion_seconds"] == 12
    assert server.call("GET", f"/connect/status/{request_id}").status_code == 400


def test_the_documentation_is_served(server: Server) -> None:
    """The page of the documentation and its schema name every switch and endpoint."""
    assert requests.get(f"{server.url}/docs", timeout=10).status_code == 200
    schema = requests.get(f"{server.url}/openapi.json", timeout=10).json()
    assert schema["components"]["schemas"]["Behaviour"]["properties"].keys() == set(
        server.control("GET", "/behaviour")
    )
    assert "/v1/email-accounts/connect" in schema["paths"]


# The process


def test_calls_at_once_lose_nothing(server: Server) -> None:
    """Fifty calls at once from twenty threads are all answered, counted and remembered."""

    def submit(number: int) -> str:
        return server.connect(account("shared@reach.example"), account(f"a{number}@reach.example"))

    with ThreadPoolExecutor(20) as pool:
        request_ids = set(pool.map(submit, range(50)))
        assert len(request_ids) == 50
        assert all(one["isCompleted"] for one in pool.map(server.status, request_ids))
    calls = server.control("GET", "/calls")
    assert [call["status"] for call in calls] == [200] * 100
    assert {call["request_id"] for call in calls} == request_ids
    accounts = server.control("GET", "/accounts")
    times = {one["address"]: one["times_sent"] for one in accounts}
    assert times.pop("shared@reach.example") == 50
    assert sorted(times) == sorted(f"a{number}@reach.example" for number in range(50))
    assert set(times.values()) == {1}


def test_looks_at_once_are_all_counted(server: Server) -> None:
    """Of forty looks at once at one request exactly as many are not found as the switch says."""
    server.behave(status_not_found_polls=17)
    request_id = server.connect(account())

    def poll(_: int) -> int:
        return server.call("GET", f"/connect/status/{request_id}").status_code

    with ThreadPoolExecutor(20) as pool:
        seen = list(pool.map(poll, range(40)))
    assert (seen.count(400), seen.count(200)) == (17, 23)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL])
def test_a_restart_keeps_everything(tmp_path: Path, how: signal.Signals) -> None:
    """Accounts, requests, behaviour, calls, keys and what is left of a rule outlive the process.

    However it ends; a key is not in its file.
    """
    before = start(tmp_path)
    before.behave(completion_seconds=0.5, max_accounts=3)
    request_id = before.connect(account(), failing())
    before.control("POST", "/keys", {"key": "another-key"})
    before.fault("list", "error_500", times=2)
    assert before.call("POST", "").status_code == 500
    calls = before.control("GET", "/calls")
    before.process.send_signal(how)
    before.process.communicate(timeout=10)
    assert b"another-key" not in (tmp_path / "fake_api.sqlite").read_bytes()
    time.sleep(0.6)
    after = start(tmp_path)
    assert after.control("GET", "/calls") == calls
    assert after.control("GET", "/behaviour")["max_accounts"] == 3
    assert [row["Email"] for row in after.report(request_id)] == ["failing@reach.example"]
    other: dict[str, str | None] = {"x-api-key": "another-key"}
    assert [after.call("POST", "", headers=other).status_code for _ in range(2)] == [500, 200]
    assert [one["status"] for one in after.emails()] == [1, 0]
    stop(after)


def test_it_ends_cleanly_and_silently(tmp_path: Path) -> None:
    """SIGTERM ends it with status 0; it prints no call, and its file is its owner's alone."""
    server = start(tmp_path)
    server.connect(account())
    server.call("POST", "/connect", json=[account(smtpPort=0)])
    assert stop(server) == (0, "")
    assert stat.S_IMODE((tmp_path / "fake_api.sqlite").stat().st_mode) == 0o600


@pytest.mark.parametrize("kind", ["api", "control"])
@pytest.mark.parametrize(("content", "complaint"), [(None, "cannot be read"), (" \n", "is empty")])
def test_it_does_not_start_without_a_key(
    tmp_path: Path, kind: str, content: str | None, complaint: str
) -> None:
    """A key file that is absent or empty is named, and nothing is started."""
    key_file, other = tmp_path / kind, tmp_path / "other"
    other.write_text("key", encoding="utf-8")
    if content is not None:
        key_file.write_text(content, encoding="utf-8")
    files = {"api": other, "control": other, kind: key_file}
    command = [sys.executable, "-m", "local.fake_api", "--port", "0", "--database", "unused"]
    command += [f"--{one}-key-file={file}" for one, file in files.items()]
    ended = subprocess.run(
        command,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert ended.returncode == 2
    assert f"{key_file} {complaint}" in ended.stderr
