"""The remote's report on a batch: cleaned, and understood."""

import csv
import io
from collections.abc import Iterable, Sequence

import pytest

from email_accounts.errors import ReportUnavailableError
from email_accounts.reports import Verdict, copy_without_secrets, report_name, verdicts
from email_accounts.secret import Redactor, Secret
from tests.files import PASSWORD

ADDRESSES = {"a@b.example", "c@d.example", "+e@f.example"}
REFUSED = Verdict(connected=False, reason="535 refused")


def copied(report: bytes | Iterable[bytes], *secrets: str) -> str:
    """Clean a report on some addresses."""
    chunks = [report] if isinstance(report, bytes) else report
    copy = io.StringIO(newline="")
    copy_without_secrets(chunks, copy, ADDRESSES, Redactor(map(Secret, (PASSWORD, *secrets))))
    return copy.getvalue()


def cells(text: str) -> list[list[str]]:
    """Read a copy as a spreadsheet does."""
    return list(csv.reader(io.StringIO(text, newline=""), strict=True))


def judged(report: str) -> dict[str, Verdict]:
    """Clean a report, then read what it says."""
    return verdicts(io.StringIO(copied(report.encode()), newline=""))


def test_reports_of_batches_sort_by_their_names() -> None:
    """A listing of the bucket shows them in their order."""
    names = [report_name(number) for number in (1, 9, 10, 100, 99_999)]
    assert names == sorted(names)


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
    report = f'Email,Echo,"Why {PASSWORD}?"\na@b.example, {PASSWORD} ,"for {PASSWORD}, 535"\n'
    copy = copied(report.encode())
    assert PASSWORD not in copy
    assert cells(copy) == [["Email", "Echo", "Why ***?"], ["a@b.example", "***", "for ***, 535"]]


def test_an_address_stays_though_a_password_is_part_of_it() -> None:
    """The verdict must find its row."""
    copy = copied(b"Email,Reason\na@b.example,b.example is down\n", "b.example")
    assert cells(copy)[1] == ["a@b.example", "*** is down"]


def test_a_password_that_looks_like_an_address_is_hidden() -> None:
    """Only the addresses of the batch are spared."""
    copy = copied(b"Email,Echo\na@b.example,hunter@two.example\n", "hunter@two.example")
    assert cells(copy)[1] == ["a@b.example", "***"]


def test_a_secret_in_a_split_chunk_is_found() -> None:
    """Chunks may end anywhere, inside letters of several bytes too."""
    report = f"\ufeffEmail,Reason\r\na@b.example,é {PASSWORD} €\r\n".encode()
    single = [report[at : at + 1] for at in range(len(report))]
    assert copied(single) == copied(report)
    assert cells(copied(single)) == [["Email", "Reason"], ["a@b.example", "é *** €"]]


def test_line_breaks_inside_cells_stay_inside_them() -> None:
    """A reason of several lines is one reason, and no line of its own."""
    for end in ("\n", "\r\n", "\r"):
        report = f'Email,Reason\na@b.example,"535{end}c@d.example,no"\n'
        assert set(judged(report)) == {"a@b.example"}
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
    """Where its header says that it is about addresses."""
    assert judged("Email,Reason\n") == {}


@pytest.mark.parametrize(
    "report",
    [
        b"",
        b"\n\n",
        b"foo,bar\n",
        b"foo,bar\nx,y\n",
        b'{"error":"expired"}',
        b"<html><body>Not found</body></html>",
        b"<html>\n<body>\na@x.example\n",
        b"a@b.example,535 refused\n",
        b"a@b.example,535 refused\nc@d.example,535 refused\n",
        b"Email,Reason\nstranger@b.example,535\n",
        b"Email,Reason\na@b.example,535\nTotal,1\n",
        b"Email,Reason\nRobin <a@b.example>,535\n",
        b"Email,Password,Reason\na@b.example,half,half,535\n",
        b'Email,Reason\na@b.example,"password half"half"\n',
        b'Email,Reason\na@b.example,"never closed\n',
        b"Email,Reason\na@b.example,M\xfcller\n",
        b"Email,Reason\na@b.example,535\xc3",
        "Email,Reason\na@b.example,535\n".encode("utf-16"),
        b"PK\x03\x04\x14\x00\x08\x00",
        b"Email,Reason\na@b.example," + b"x" * (3 << 20) + b"\n",
        b'Email,Reason\na@b.example,"' + b"x\n" * (2 << 20),
    ],
)
def test_a_report_that_is_not_understood_does_not_pass_for_one_without_failures(
    report: bytes,
) -> None:
    """What cannot be read as lines about these accounts leaves them unconfirmed."""
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
        ("Email,Reason\na@b.example,\n", Verdict(False, "the service gave no reason")),  # noqa: FBT003  read in its row
        ("Email,Status\na@b.example,Connected\n", Verdict(connected=True, reason="Connected")),
        (
            "Email,Status,Message\na@b.example,SUCCESS,all good\n",
            Verdict(connected=True, reason="all good"),
        ),
        (
            "Email,SMTP status,IMAP status\na@b.example,success,failed\n",
            Verdict(connected=False, reason="success; failed"),
        ),
        (
            "Email,SMTP status,IMAP status\na@b.example,success,success\n",
            Verdict(connected=True, reason="success; success"),
        ),
    ],
)
def test_a_report_of_unknown_columns_is_understood(report: str, verdict: Verdict) -> None:
    """The address by likely headers, then by content; a line is a failure unless it says not."""
    assert judged(report) == {"a@b.example": verdict}


@pytest.mark.parametrize("lines", [("success", "failed"), ("failed", "success")])
def test_of_two_lines_on_one_address_the_failure_counts(lines: Sequence[str]) -> None:
    """One for SMTP, one for IMAP: both must be good."""
    report = "Email,Status\n" + "".join(f"a@b.example,{line}\n" for line in lines)
    assert judged(report) == {"a@b.example": Verdict(connected=False, reason="failed")}


def test_a_reason_without_end_is_cut() -> None:
    """Reasons go into a message of limited size."""
    assert len(judged(f"Email,Reason\na@b.example,{'x' * 5000}\n")["a@b.example"].reason) <= 500
