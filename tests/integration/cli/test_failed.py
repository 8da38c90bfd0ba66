"""`failed`: the rows that failed become a file to drop again."""

import csv
import io
import json
import stat
from pathlib import Path

import boto3
import openpyxl
import pytest
import xlsxwriter

from email_accounts.aws.s3 import ReportsBucket
from email_accounts.errors import ImporterError
from email_accounts.intake.accounts_file import open_accounts_file
from email_accounts.intake.columns import recognized
from email_accounts.intake.rows import Accepted, Rejected
from email_accounts.models.imports import OUTCOME_NAME
from email_accounts.parsing.detect import open_records
from email_accounts.parsing.table import cells_of
from email_accounts_cli.failed import ADDED, failed
from email_accounts_cli.stack import Stack
from email_accounts_cli.terminal import CommandError
from tests.support.deployment import (
    Captured,
    deliverer,
    documents,
    imported,
    ledger,
    received,
    stored,
)
from tests.support.files import MARK, accounts_file, row
from tests.support.ledger import refuse


def again(stack: Stack, identity: str, file: Path) -> dict[str, str]:
    """Write the failed rows of an import; return what the file's rows are, by their address."""
    failed(stack, identity, file, as_json=False)
    with file.open("rb") as stream:
        read = open_accounts_file(stream)
        assert not read.unknown_columns
        rows = list(read.rows)
    kinds = {Accepted: "accepted", Rejected: "rejected"}
    return {one.address: kinds[type(one)] for one in rows}


def test_failed_rows_keep_their_columns_and_delimiter(
    stack: Stack, tmp_path: Path, capsys: Captured
) -> None:
    """The file has the failed and the rejected row as they came, and what was wrong.

    Formulas stay, because a password may begin like one, and are warned of.
    """
    content = (
        "Notes;Email;App Password;Notes;SMTP;IMAP\r\n"
        f"=1+1;a@n.example;{MARK};x;smtp.gmail.com;imap.gmail.com\r\n"
        f'"=a;b";b@n.example;=secret{MARK};y;smtp.gmail.com;imap.gmail.com\r\n'
        f"-;c@n.example;;z\r\n"
        f"d;b@n.example;{MARK};d\r\n"
    ).encode("cp1252")
    content = content.replace(b"=a;b", "=ä;b".encode("cp1252"))
    identity = imported(stack, "a.csv", content, refused="b@n.example")
    file = tmp_path / "again.csv"
    failed(stack, identity, file, as_json=False)
    printed = " ".join(capsys.readouterr().out.split())
    assert "would run cells of these rows as formulas: 3. Fix them in a text editor." in printed
    rows = list(csv.reader(io.StringIO(file.read_text("utf-8-sig")), delimiter=";"))
    assert rows[0] == [*("Notes", "Email", "App Password", "Notes", "SMTP", "IMAP"), *ADDED]
    found = {cells[1]: cells for cells in rows[1:]}
    assert [*found] == ["b@n.example", "c@n.example"]
    assert found["b@n.example"][:4] == ["=ä;b", "b@n.example", f"=secret{MARK}", "y"]
    assert found["b@n.example"][-3:] == ["'=wrong password", found["b@n.example"][-2], "3"]
    problem, fix, number = found["c@n.example"][-3:]
    assert problem.startswith("App Password: ")
    assert "app password" in fix
    assert number == "4"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("start", "delimiter", "kept"),
    [
        ("", "\t", "\t"),
        ("\n", ";", ";"),
        ("sep=;\r\n", ";", ";"),
        ("sep=|\r\n", "|", "|"),
        ("sep=^\r\n", "^", ","),
    ],
)
def test_a_delimiter_is_kept_where_it_is_recognised_again(
    stack: Stack, tmp_path: Path, start: str, delimiter: str, kept: str
) -> None:
    """One that only a line above the header makes known becomes a comma."""
    lines = (("email", "password"), ("a@gmail.com", "abcdabcdabcdabcd"))
    content = start + "".join(delimiter.join(line) + "\r\n" for line in lines)
    identity = imported(stack, "a.csv", content.encode(), refused="a@gmail.com")
    assert again(stack, identity, tmp_path / "again.csv") == {"a@gmail.com": "accepted"}
    header = (tmp_path / "again.csv").read_text("utf-8-sig").splitlines()[0]
    assert header == kept.join(("email", "password", *ADDED))


def workbook(rows: list[dict[str, str]]) -> bytes:
    """Return a workbook of rows."""
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    sheet.append([*rows[0]])
    for one in rows:
        sheet.append([*one.values()])
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


FAILED_FORMATS = {
    "csv": lambda rows: accounts_file(*rows),
    "json": lambda rows: json.dumps(rows).encode(),
    "jsonl": lambda rows: "\n".join(map(json.dumps, rows)).encode(),
    "xlsx": workbook,
}


@pytest.mark.parametrize("kind", FAILED_FORMATS)
def test_dropped_again_only_the_failed_rows_are_imported(
    stack: Stack, tmp_path: Path, kind: str
) -> None:
    """Whatever the format, the file holds the failed and rejected rows and no others."""
    rows = [
        row("a@n.example"),
        row("b@n.example"),
        row("c@n.example", smtpPort="x"),
        row("a@n.example"),
    ]
    if kind.startswith("json"):
        rows[1] = dict(reversed(rows[1].items())) | {"bcc": "x"}
    identity = imported(stack, f"a.{kind}", FAILED_FORMATS[kind](rows), refused="b@n.example")
    first, second = tmp_path / f"1.{kind}", tmp_path / f"2.{kind}"
    assert again(stack, identity, first) == {
        "b@n.example": "accepted",
        "c@n.example": "rejected",
    }
    # The columns that were added are not carried on, and are ignored.
    identity = imported(stack, first.name, first.read_bytes(), refused="b@n.example")
    again(stack, identity, second)
    with first.open("rb") as one, second.open("rb") as other:
        headers = [open_accounts_file(stream).columns.names for stream in (one, other)]
    assert headers[0] == headers[1]
    assert [*headers[0]].count("problem") == 1


def test_a_workbook_comes_back_as_one(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    """Sheets and columns are as they were, cells are texts; a changed password is to be typed."""
    monkeypatch.chdir(tmp_path)
    tricky = ["x_x005F_cd", "=1+1", "'0123", " a\r\nb", "0000123", "a_x000D_"]
    book = xlsxwriter.Workbook(tmp_path / "north.xlsx")
    for title, password in (("North", 123456789012345678), ("South", "")):
        sheet = book.add_worksheet(title)
        sheet.write_row(0, 0, ("Note", "Email", "Password"))
        sheet.write_row(1, 0, ("x", f"{title}@gmail.com", password))
        for at, text in enumerate(tricky, 2):
            sheet.write_string(at, 0, text)
            sheet.write_string(at, 1, f"{title}{at}@nobody")
    book.close()
    identity = imported(stack, "north.xlsx", (tmp_path / "north.xlsx").read_bytes())
    failed(stack, identity, None, as_json=False)
    assert "formulas" not in capsys.readouterr().out
    file = tmp_path / "failed-north.xlsx"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with file.open("rb") as stream:
        found = open_records(stream, recognized)
        rows = [cells_of(record) for record in found.records]
    assert found.sheets == ("North", "South")
    assert found.header == ("Note", "Email", "Password", *ADDED)
    passwords = [[row[2], row[5]] for row in rows if row and row[0] == "x"]
    assert passwords == [["########", "2"], ["", "2"]]
    assert [row[0] for row in rows if row and row[0] != "x"] == tricky * 2
    styles = openpyxl.load_workbook(file)["North"]["C2"]
    assert (styles.data_type, styles.number_format) == ("s", "@")
    with file.open("rb") as stream:
        assert {type(one) for one in open_accounts_file(stream).rows} == {Rejected}
    with pytest.raises(CommandError, match=r"as XLSX: name a file that ends with \.xlsx"):
        failed(stack, identity, tmp_path / "3.csv", as_json=False)


def test_a_refused_file_has_no_failed_rows(stack: Stack, tmp_path: Path) -> None:
    """Who asks for them learns why it was refused."""
    identity = received(stack, "uploads/a.csv")
    refuse(ledger(stack), identity, "It is a PDF. Save it as CSV.")
    deliverer(stack).deliver(identity)
    with pytest.raises(CommandError, match=r"a\.csv was refused as a whole.*It is a PDF\."):
        failed(stack, identity, tmp_path / "x.csv", as_json=False)
    assert list(tmp_path.iterdir()) == []


def test_rows_that_were_never_sent_are_written(stack: Stack, tmp_path: Path) -> None:
    """An import that was stopped early leaves rows to send, though none of them failed."""
    identity = imported(stack, "a.csv", accounts_file("a@n.example"), stopped="no API key")
    assert again(stack, identity, tmp_path / "again.csv") == {"a@n.example": "accepted"}


def test_unconfirmed_and_unreadable_rows_are_left_out(
    stack: Stack, tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are told; where nothing is left there is no file."""
    monkeypatch.chdir(tmp_path)
    content = accounts_file("a@n.example") + b'"x"y,\r\n'
    identity = imported(stack, "a.csv", content, unconfirmed=True)
    failed(stack, identity, None, as_json=True)
    [document] = documents(capsys.readouterr().out)
    assert (document["file"], document["rows"]) == ("", 0)
    assert (document["unconfirmed"], document["unreadable"]) == (1, [3])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("folder", "option"), [("", ""), ("north/", "--workspace north ")])
def test_the_fixed_file_goes_to_the_same_workspace(
    stack: Stack, tmp_path: Path, capsys: Captured, folder: str, option: str
) -> None:
    """The command to type next names the file, and the workspace unless it is the default."""
    content = accounts_file("a@n.example")
    identity = imported(stack, f"{folder}a.csv", content, refused="a@n.example")
    file = tmp_path / "again.csv"
    failed(stack, identity, file, as_json=False)
    assert capsys.readouterr().out.endswith(f"Then: email-accounts drop {option}{file}\n")


def test_failed_rows_overwrite_nothing(stack: Stack, tmp_path: Path) -> None:
    """A file that is there may be fixed already."""
    identity = imported(stack, "a.csv", accounts_file("a@n.example"), refused="a@n.example")
    file = tmp_path / "fixed.csv"
    file.write_text("fixed", encoding="utf-8")
    with pytest.raises(CommandError, match="exists"):
        failed(stack, identity, file, as_json=False)
    assert file.read_text("utf-8") == "fixed"


def test_an_upload_that_is_gone_is_told(stack: Stack, tmp_path: Path) -> None:
    """Where the version is deleted the rows are the owner's own; before the answer, wait."""
    identity = imported(stack, "a.csv", accounts_file("a@n.example"), refused="a@n.example")
    [(key, version, _)] = stored(stack)
    boto3.client("s3").delete_object(
        Bucket=stack.output("InboxBucketName"), Key=key, VersionId=version
    )
    with pytest.raises(CommandError, match="Use your own copy of the file"):
        failed(stack, identity, tmp_path / "x.csv", as_json=False)
    with pytest.raises(CommandError, match="no result yet"):
        failed(stack, received(stack, "uploads/b.csv"), tmp_path / "x.csv", as_json=False)
    assert list(tmp_path.iterdir()) == []


def test_an_answer_without_outcomes_is_said(stack: Stack, tmp_path: Path) -> None:
    """The message of an import whose reports could not be written has counts, and no rows."""
    identity = imported(stack, "a.csv", accounts_file("a@n.example"), refused="a@n.example")
    reports = ReportsBucket(boto3.client("s3"), stack.output("ReportsBucketName"))
    reports.delete(identity, OUTCOME_NAME)
    with pytest.raises(CommandError, match=r"There is no outcome\.csv of a\.csv"):
        failed(stack, identity, tmp_path / "x.csv", as_json=False)
    assert list(tmp_path.iterdir()) == []


def test_an_upload_that_reads_differently_is_an_error(stack: Stack, tmp_path: Path) -> None:
    """Rows are never taken for others: the numbers of both files have to agree."""
    identity = imported(stack, "a.csv", accounts_file("a@n.example"), refused="a@n.example")
    reports = ReportsBucket(boto3.client("s3"), stack.output("ReportsBucketName"))
    with reports.writer(identity, "outcome.csv", "text/csv") as file:
        file.write("row,address,outcome,reason\r\n3,a@n.example,failed,x\r\n")
    with pytest.raises(ImporterError, match=r"row 2 of the upload is not in outcome\.csv"):
        failed(stack, identity, tmp_path / "x.csv", as_json=False)
