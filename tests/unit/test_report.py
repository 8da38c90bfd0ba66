"""Saleshandy's report on a batch: cleaned and read."""

import csv
import io
import json
from collections.abc import Iterable, Sequence

import pytest

from email_accounts.errors import ReportUnavailableError
from email_accounts.saleshandy.report import Verdict, copy_without_secrets, report_name, verdicts
from email_accounts.text.secret import Redactor, Secret
from tests.support.files import MARK

ADDRESSES = {"a@b.example", "c@d.example", "+e@f.example"}
REFUSED = Verdict(connected=False, reason="535 refused")


def copied(report: bytes | Iterable[bytes], *secrets: str) -> str:
    """Clean a report on some addresses."""
    chunks = [report] if isinstance(report, bytes) else report
    copy = io.StringIO(newline="")
    copy_without_secrets(chunks, copy, ADDRESSES, Redactor(map(Secret, (MARK, *secrets))))
    return copy.getvalue()


def cells(text: str) -> list[list[str]]:
    """Read a copy as a spreadsheet does."""
    return list(csv.reader(io.StringIO(text, newline=""), strict=True))


def checked(report: str) -> dict[str, Verdict]:
    """Clean a report, then read what it says."""
    return verdicts(io.StringIO(copied(report.encode()), newline=""))


def test_reports_of_batches_sort_by_their_names() -> None:
    """A listing of the bucket shows them in their order."""
    names = [report_name(number) for number in (1, 9, 10, 100, 99_999)]
    assert names == sorted(names)


@pytest.mark.parametrize(
    "report",
    [
        b"Email,Status,Reason\na@b.example,Connected,\nc@d.example,Failed,535",
        b"Email,Status,Reason\na@b.example,Connected\nc@d.example,Connected",
        b"Email,Status,Reason\na@b.example,Failed,535\nc@d.example,Connected\n",
    ],
)
def test_a_last_line_without_an_end_is_read(report: bytes) -> None:
    """Where it is as long as others, or has an end, nothing was cut off."""
    assert len(cells(copied(report))) == 3


@pytest.mark.parametrize(
    "header",
    ["Password", "smtpPassword", "IMAP_PASSWORD", "pass", "App Pwd", "secret", "api-key", "Token"],
)
def test_a_column_of_secrets_is_left_out(header: str) -> None:
    """By its name, whatever stands in it."""
    report = f"Email,{header},Reason\na@b.example,anything,535\n"
    assert cells(copied(report.encode())) == [["Email", "Reason"], ["a@b.example", "535"]]


def test_a_password_is_hidden_wherever_it_stands() -> None:
    """Alone in a cell, inside a message, in the header."""
    report = f'Email,Echo,"Why {MARK}?"\na@b.example, {MARK} ,"for {MARK}, 535"\n'
    copy = copied(report.encode())
    assert MARK not in copy
    assert cells(copy) == [["Email", "Echo", "***"], ["a@b.example", "***", "***"]]


@pytest.mark.parametrize("echo", ["ab1", "%61b1", r"\u0061b1", r"\\u0061b1"])
def test_a_short_password_is_hidden_in_an_answer_that_a_cell_holds(echo: str) -> None:
    """It is the whole of one value; the others stay."""
    report = 'Email,Error\na@b.example,"{{""error"":""{}"",""code"":""x ab1""}}"\n'
    copy = copied(report.format(echo).encode(), "ab1")
    assert json.loads(cells(copy)[1][1]) == {"error": "***", "code": "x ab1"}


@pytest.mark.parametrize(
    ("line", "secrets", "copy"),
    [
        ("a@b.example,hunter,22 is wrong", ["hunter,22"], ["a@b.example", "***", "***"]),
        ("a@b.example,b.example is down,", ["b.example"], ["a@b.example", "***", ""]),
        ("hunter22 <a@b.example>,535,", ["hunter22", "b.example"], ["a@b.example", "535", ""]),
        ("a@b.example,h@two.example,", ["h@two.example"], ["a@b.example", "***", ""]),
    ],
    ids=["parted between cells", "part of an address", "beside an address", "like an address"],
)
def test_a_password_is_hidden_and_the_address_of_its_row_stays(
    line: str, secrets: list[str], copy: list[str]
) -> None:
    """The verdict must find its row: of a cell its address alone is spared, and no other one.

    Where a writer forgot the quotes, no cell alone holds a password.
    """
    assert cells(copied(f"Email,Echo,Reason\n{line}\n".encode(), *secrets))[1] == copy


def test_a_reason_that_is_hidden_is_a_reason() -> None:
    """What was said was not nothing: the account is not connected."""
    report = f"Email,Error,Note\na@b.example,535 for {MARK},Connected\nc@d.example,,new\n"
    assert checked(report)["a@b.example"] == Verdict(connected=False, reason="***")


def test_line_breaks_inside_cells_stay_inside_them() -> None:
    """A reason of several lines is one reason, and no line of its own."""
    for end in ("\n", "\r\n", "\r"):
        report = f'Email,Reason\na@b.example,"535{end}c@d.example,no"\n'
        assert set(checked(report)) == {"a@b.example"}
        assert cells(copied(report.encode()))[1] == ["a@b.example", f"535{end}c@d.example,no"]


def test_a_formula_is_no_formula_in_the_copy() -> None:
    """People open it in a spreadsheet."""
    copy = copied(b'Email,Reason\n+e@f.example,"=HYPERLINK(""http://x"")"\n')
    assert not any(cell.startswith(("=", "+", "-", "@")) for line in cells(copy) for cell in line)
    assert verdicts(io.StringIO(copy, newline="")) == {
        "+e@f.example": Verdict(connected=False, reason='=HYPERLINK("http://x")')
    }


def test_blank_lines_say_nothing() -> None:
    """They are neither copied nor missed."""
    assert cells(copied(b"Email,Reason\n\n , \na@b.example,535\n\n")) == [
        ["Email", "Reason"],
        ["a@b.example", "535"],
    ]


def test_a_report_that_names_nobody_is_a_report_of_no_failures() -> None:
    """Where its only line names columns for addresses and for what became of them."""
    assert checked("Email,Reason\n") == {}
    assert checked("Sr No,Email,SMTP Host,Status\n") == {}


@pytest.mark.parametrize(
    "report",
    [
        b"foo,bar\n",
        b"\xff\xfe\x00",
        b"foo,bar\nx,y\n",
        b"Account,Owner\n",
        b"Sender,Reason,Type\nrobin at x,535 wrong password,Mailbox\n",
        b"Email,Reason\nEmail,Reason\n",
        b"Email,Password,Reason\na@b.example,half,half,535\n",
        b'Email,Reason\na@b.example,"password half"half"\n',
        b'Email,Reason\na@b.example,"never closed\n',
        b"a@b.example,535\nc@d.example\n",
        b"a@b.example,535\nstranger@b.example,535\n",
        b"Accounts,that failed\na@b.example,half,535\n",
        b"Email\na@b.example,half\n",
        b"Email,Reason\na@b.example,535\nsomeone,535\n",
        b"Email,Reason\nTotal,1\nsomeone,535\n",
        b"Email,Status,Reason\na@b.example,Connected,\nc@d.example,Fai",
        "Email,Reason\na@b.example,é\n".encode() + b"c@d.example,\xe9\n",
        b"Email,Reason\na@b.example,\x81\n",
        b"PK\x03\x04\x14\x00\x08\x00",
        b"Email,Reason\na@b.example," + b"x" * (3 << 20) + b"\n",
        b'Email,Reason\na@b.example,"' + b"x\n" * (2 << 20),
    ],
)
def test_a_report_that_is_not_understood_does_not_pass_for_one_without_failures(
    report: bytes,
) -> None:
    """What cannot be read as lines about these accounts leaves them unconfirmed.

    Pages, JSON and empty bodies are among those that whole imports are run with.
    """
    with pytest.raises(ReportUnavailableError) as caught:
        copied(report)
    assert "half" not in str(caught.value)
    assert "@" not in str(caught.value)


@pytest.mark.parametrize(
    ("report", "verdict"),
    [
        ("Email,Reason\na@b.example,535 refused\n", REFUSED),
        ("email_address,Error Message\nA@B.example, 535 refused \n", REFUSED),
        ("id,SMTP Email Address,fault\n7,a@b.example,535 refused\n", REFUSED),
        ("Account,Email,Reason\n7,a@b.example,535 refused\n", REFUSED),
        ("Who,Why\na@b.example,535 refused\n", REFUSED),
        ("n,Who,Why,Remarks2\n1,a@b.example,x,535 refused\n", REFUSED),
        ("Email,Status,Error\na@b.example,Failed,535 refused\n", REFUSED),
        ("Email,Status\na@b.example,535 refused\n", REFUSED),
        (
            "Email,SMTP error,IMAP error\na@b.example,535,off\n",
            Verdict(connected=False, reason="535; off"),
        ),
        ("Email,Reason\na@b.example,\n", Verdict(False, "Saleshandy gave no reason")),  # noqa: FBT003  read in its row
        ("Email,Status\na@b.example,Connected\n", Verdict(connected=True, reason="Connected")),
        (
            "Email,Status,Message\na@b.example,SUCCESS,all good\n",
            Verdict(connected=True, reason="all good"),
        ),
        (
            "Email,SMTP status,IMAP status\na@b.example,success,failed\n",
            Verdict(connected=False, reason="failed"),
        ),
        (
            "Email,SMTP status,IMAP status\na@b.example,success,success\n",
            Verdict(connected=True, reason="success; success"),
        ),
        ("Email,SMTP Connection,IMAP Connection\na@b.example,535 refused,Connected\n", REFUSED),
        ("Email,SMTP Connection,IMAP Connection\na@b.example,Connected,535 refused\n", REFUSED),
        ("Email,SMTP,IMAP,Status\na@b.example,Connected,535 refused,Connected\n", REFUSED),
        (
            "Email,SMTP,IMAP,Status\na@b.example,smtp.b.example,993,Connected\n",
            Verdict(connected=True, reason="Connected"),
        ),
        ("Email,Warmup Status,Error\na@b.example,Active,535 refused\n", REFUSED),
        ("Email,Warmup Status,Message\na@b.example,Active,535 refused\n", REFUSED),
        ("Email,Import Status,Error\na@b.example,Done,535 refused\n", REFUSED),
        ("Email,Status,Message\na@b.example,Connected,535 refused\n", REFUSED),
        ("Email,Status,Remark,Error\na@b.example,ok,-,535 refused\n", REFUSED),
        (
            "Email,Status,Reason\na@b.example,Connected,Connected successfully\n",
            Verdict(connected=True, reason="Connected successfully"),
        ),
        (
            "Email,SMTP OK,Connected\na@b.example,true,false\n",
            Verdict(connected=False, reason="false"),
        ),
        ("Email,Status\na@b.example,Inactive\n", Verdict(connected=False, reason="Inactive")),
    ],
)
def test_a_report_of_unknown_columns_is_understood(report: str, verdict: Verdict) -> None:
    """The address by likely headers, then by content; a line is a failure unless it says not."""
    assert checked(report) == {"a@b.example": verdict}


@pytest.mark.parametrize(
    ("header", "line"),
    [
        ("SMTP Connection,IMAP Connection", f"535 refused for {MARK},Connected"),
        ("Status,Message", f"Done,refused for {MARK}"),
        ("SMTP,IMAP", "535,Connected"),
        ("Status,Error", "Done,SMTP ok; IMAP is off"),
        ("Status,Message", "Done,IMAP is off"),
        ("Status,Error", 'Done,"{""error"":"""",""message"":""535 refused""}"'),
        ("Status,SMTP Response,IMAP Response", "Done,250 OK,NO LOGIN failed"),
        ("Disconnected", "true"),
        ("Status,Failed", "Done,yes"),
        ("Status", "0"),
        ("Status", "account"),
    ],
)
def test_whatever_a_line_says_of_a_failure_counts(header: str, line: str) -> None:
    """Beside any status, hidden or not, in words or as a code of a mail server."""
    assert not checked(f"Email,{header}\na@b.example,{line}\n")["a@b.example"].connected


@pytest.mark.parametrize(
    ("header", "line"),
    [
        ("Status", "Connected successfully"),
        ("Message", "Account connected successfully"),
        ("Status,Message", "Connected,Connected to smtp.gmail.com port 587"),
        ("Status,Error", "Connected,No error"),
        ("Status,Error Code", "Success,0"),
        ("Status,Connected At", "Connected,2026-11-26T10:00:00Z"),
        ("Status,Status Code", "Success,200"),
        ("SMTP Response,IMAP Response", "235 2.7.0 Accepted,OK"),
        ("Disconnected,Status", "false,Connected"),
        ("SMTP,SMTP Login,Status", "smtp.b.example:587,a@b.example,Connected"),
    ],
)
def test_what_a_line_says_of_a_success_is_no_failure(header: str, line: str) -> None:
    """Else a report of successes makes every row unconfirmed."""
    assert checked(f"Email,{header}\na@b.example,{line}\n")["a@b.example"].connected


@pytest.mark.parametrize(
    ("header", "line"),
    [
        ("Email ID,SMTP Username,Error", "a@b.example,c@d.example,535 refused"),
        ("Sender Email,User Name,Error", "a@b.example,c@d.example,535 refused"),
        ("Added By,Who,Error", "c@d.example,a@b.example,535 refused"),
        ("Email,Mailbox,Error", "owner@shop.example,a@b.example,535 refused"),
    ],
)
def test_a_line_is_about_one_address(header: str, line: str) -> None:
    """An alias signs in with the name of another mailbox, which works."""
    report = f"{header}\n{line}\n"
    assert checked(report) == {"a@b.example": REFUSED}
    assert cells(copied(report.encode()))[1][0] == "a@b.example"


LAYOUTS = {
    "the row that was sent, echoed": (
        "emailServiceProvider,smtpEmailAddress,smtpPassword,imapEmailAddress,imapPassword,status,"
        "errorMessage\n"
        "gsuite,a@b.example,{0},a@b.example,{0},Failed,535 refused\n"
        "other,c@d.example,{0},c@d.example,{0},Success,\n"
        "zoho,+e@f.example,{0},+e@f.example,{0},Failed,IMAP is off\n"
    ),
    "semicolons, foreign words, Windows-1252": (
        "Nr;Konto;Kennwort;Fehlergrund\n"
        "1;A@b.example;{0};535 refused\n"
        "2;c@d.example;{0};ok\n"
        "3;+e@f.example;{0};IMAP is off\n"
    ),
    "titles above, totals below, UTF-16 with tabs": (
        "Bulk report, made for owner@shop.example\n\n"
        "Mailbox\tSMTP ok\tSMTP error\tIMAP ok\tIMAP error\tEcho\n"
        "Robin Stone <a@b.example>\tfalse\t535 refused\ttrue\t-\t{0}\n"
        "<c@d.example>\ttrue\tn/a\ttrue\tnone\tx {0} y\n"
        "+e@f.example\ttrue\t\tfalse\tIMAP is off\t{0}\n"
        "Total\t3\t\t\t\t\n"
    ),
    "no names of columns": (
        '"535 refused","a@b.example","{0}"\n'
        '"connected","c@d.example","{0}"\n'
        '"IMAP is off","+e@f.example","{0}"\n'
    ),
    "an answer of the API in a cell": (
        "sep=|\n"
        "who|credentials|message\n"
        'a@b.example|{0}|"{{""status"":0,""sent"":[""{0}""],""error"":""535 refused""}}"\n'
        'c@d.example|{0}|"{{""status"":1,""message"":""Connected"",""sent"":""{0}""}}"\n'
        '+e@f.example|{0}|"{{""status"":0,""error"":""IMAP is off""}}"\n'
    ),
}


ENCODINGS = {
    "semicolons, foreign words, Windows-1252": "cp1252",
    "titles above, totals below, UTF-16 with tabs": "utf-16",
}


@pytest.mark.parametrize("password", [MARK, "pässwört-9", ""], ids=["plain", "umlauts", "none"])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_report_of_any_layout_is_understood(layout: str, password: str, size: int) -> None:
    """Every account's outcome is right, and no password is left, in whatever chunks it came."""
    report = LAYOUTS[layout].format(password).encode(ENCODINGS.get(layout, "utf-8"))
    copy = copied((report[at : at + size] for at in range(0, len(report), size)), password)
    found = verdicts(io.StringIO(copy, newline=""))
    assert {address: one.connected for address, one in found.items()} == {
        "a@b.example": False,
        "c@d.example": True,
        "+e@f.example": False,
    }
    assert found["a@b.example"].reason.startswith("535 refused")
    assert found["+e@f.example"].reason == "IMAP is off"
    assert not password or password not in copy


def test_a_report_without_names_is_not_read_where_a_password_may_be_parted() -> None:
    """A half of one could not be told from anything else."""
    report = b"a@b.example,535\nc@d.example,535\n"
    assert set(checked(report.decode())) == {"a@b.example", "c@d.example"}
    with pytest.raises(ReportUnavailableError, match="does not name its columns"):
        copied(report, "with,comma")


def test_a_number_is_no_status_unless_its_column_says_so() -> None:
    """A single line numbered 1 has not succeeded."""
    assert checked("Status,Email\n1,a@b.example\n")["a@b.example"].connected
    assert not checked("n,Email\n1,a@b.example\n")["a@b.example"].connected
    assert not checked("n,Email,Note\n1,a@b.example,535\n")["a@b.example"].connected


@pytest.mark.parametrize("lines", [("success", "failed"), ("failed", "success")])
def test_of_two_lines_on_one_address_the_failure_counts(lines: Sequence[str]) -> None:
    """One for SMTP, one for IMAP: both must be good."""
    report = "Email,Status\n" + "".join(f"a@b.example,{line}\n" for line in lines)
    assert checked(report) == {"a@b.example": Verdict(connected=False, reason="failed")}


def test_half_an_emoji_is_no_reason_that_cannot_be_written() -> None:
    """JavaScript cuts texts between the halves of one, and writes a half as an escape."""
    report = 'Email,Status,Reason\na@b.example,Failed,"{""message"":""Too long: \\ud83d""}"\n'
    assert checked(report)["a@b.example"].reason == "Too long: ?"


def test_a_reason_without_end_is_cut() -> None:
    """Reasons go into a message of limited size."""
    assert len(checked(f"Email,Reason\na@b.example,{'x' * 5000}\n")["a@b.example"].reason) <= 500
