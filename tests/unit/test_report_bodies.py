"""Bodies that the link of a completed request may lead to while all its accounts fail."""

import csv
import io
from collections import Counter
from dataclasses import replace

import pytest

from email_accounts.errors import RequestRefusedError
from email_accounts.models.imports import OUTCOME_NAME
from tests.support.answers import taken
from tests.support.fakes import World
from tests.support.files import accounts_file

A = tuple(f"a{number}@x.example" for number in range(1, 5))


def lines(header: str, line: str, count: int = 4) -> bytes:
    """Make a report with one line for each address."""
    return (header + "\r\n" + "".join(line.format(one) + "\r\n" for one in A[:count])).encode()


BODIES = {
    "empty": b"",
    "blank lines": b"\r\n\r\n",
    "BOM alone": b"\xef\xbb\xbf",
    "header alone": b"Email,Reason\r\n",
    "header of nine columns alone": b"Sr No,Email,SMTP Host,Status,Reason\r\n",
    "html page": b"<!DOCTYPE html>\n<html>\n<head><title>Sign in</title></head>\n<body>\n<form>\n"
    b"Email\n<input name=email>\n</form></body></html>\n",
    "html, a line that is a name": b"<html>\n<body>\nAccount\n",
    "html, last line is a name": b"<html>\n<label>\nEmail\n",
    "html 21 lines, 21st a name": b"\n".join([b"<p>"] * 20 + [b"Email"] + [b"</p>"] * 5),
    "json": b'{"message": "Access denied"}',
    "json, error object of several lines": b'{\n"error": "x",\n"account"\n',
    "json array": b'[{"email": "a1@x.example", "error": "535"}]',
    "json lines": b'{"email":"a1@x.example","error":"535"}\n{"email":"a2@x.example","error":"5"}\n',
    "xml": b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
    "plain text": b"No failures\n",
    "number": b"0\n",
    "null": b"null",
    "whole": lines("Email,Reason", "{},535"),
    "upper case": lines("Email,Reason", "{},535").replace(b"@x.example", b"@X.EXAMPLE"),
    "angle brackets": lines("Email,Reason", "Robin <{}>,535"),
    "others": lines("Email,Reason", "x{},535"),
    "fewer lines (cut at a line)": lines("Email,Reason", "{},535", 2),
    "all kind, cut at a line": lines("Email,Status,Reason", "{},failed,535", 2),
    "utf-16": lines("Email,Reason", "{},535").decode().encode("utf-16"),
    "row numbers only": b"Row,Reason\r\n2,535\r\n3,535\r\n",
    "local parts only": b"Email,Reason\r\na1,535\r\na2,535\r\n",
    "local parts, domain named account": b"Email,Reason,Object\r\na1,535,Account\r\n",
    "names only, header 'Account'": b"Account,Reason\r\nRobin Stone,535\r\nRobin Stone,535\r\n",
    "successes only": b"Email\r\n",
    "count of failures first": b"4 accounts failed\r\n",
    "Status Inactive": lines("Email,Status", "{},Inactive"),
    "Status 0": lines("Email,Status", "{},0"),
    "Status OK, error text": lines("Email,Import Status,Error", "{},Done,535 refused"),
    "SMTP ok, IMAP failed in words": lines("Email,SMTP,IMAP", "{},Connected,IMAP is off"),
    "SMTP failed in words, IMAP ok": lines("Email,SMTP,IMAP", "{},Authentication failed,Connected"),
    "Connected false, SMTP ok true": lines("Email,SMTP OK,Connected", "{},true,false"),
    "successes, cut at a line": b"Email,Status,Reason\r\n"
    b"a1@x.example,connected,\r\na2@x.example,failed,535\r\n",
    "one success alone": b"Email,Status\r\na1@x.example,connected\r\n",
}
BELIEVED = {
    "header alone": 4,
    "header of nine columns alone": 4,
    "fewer lines (cut at a line)": 2,
    "all kind, cut at a line": 2,
    "successes, cut at a line": 1,
    "one success alone": 1,
}
"""Accounts that are connected where the report alone decides: those that a list of failures does
not name, and those that a list of successes does."""


@pytest.mark.parametrize("name", BODIES)
@pytest.mark.parametrize("verify", [True, False], ids=["verified", "by the report alone"])
@pytest.mark.parametrize("is_listed", [True, False], ids=["listed", "list refused"])
def test_no_report_connects_what_failed(name: str, *, verify: bool, is_listed: bool) -> None:
    """Where the account list decides as well, no body does; alone, no body that is no report."""
    world = World()
    world.policy = replace(world.policy, batch_size=10, verify_connected=verify)
    world.saleshandy.failing |= dict.fromkeys(A, "535 refused")
    world.saleshandy.links["request-1"] = "link"
    world.saleshandy.reports["link"] = BODIES[name]
    if not is_listed:
        world.saleshandy.list_errors.extend([RequestRefusedError("HTTP 404")] * 9999)
    upload = taken(world, accounts_file(*A), steps=400)
    world.deliverer().deliver(upload.import_id)
    text = world.reports.texts[upload.import_id, OUTCOME_NAME].removeprefix("\ufeff")
    outcomes = Counter(row["outcome"] for row in csv.DictReader(io.StringIO(text, newline="")))
    assert outcomes["connected"] == (0 if verify else BELIEVED.get(name, 0))
