"""The installed command `email-accounts`, run as a process on real files."""

import csv
import gzip
import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from openpyxl.worksheet.worksheet import Worksheet

from email_accounts.models.account import ENCRYPTIONS, FIELDS, PROVIDERS, WarningCode
from email_accounts_cli.template import IF_BLANK
from tests.support.files import MARK, PASSWORD, accounts_file, row
from tests.support.terminal import written
from tools.docs.commands import PAGE as COMMANDS_PAGE
from tools.docs.commands import STEPS, every_command, options_of, recordings_of
from tools.docs.commands import renewed as options_renewed
from tools.docs.licences import normal, of_the_command_line
from tools.docs.tables import PAGES, TABLES, renewed

ROOT = Path(__file__).parents[2]
SAMPLES = ROOT / "tests" / "samples"
COMMAND = Path(sys.executable).with_name("email-accounts")
ADDRESS = "robin.stone@north.example"
MANY = 60_000


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        [COMMAND, *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def checked(file: Path, *options: str) -> dict[str, Any]:
    """Return what `check --json` says of a file."""
    document = json.loads(run("check", "--json", *options, file).stdout)
    assert isinstance(document, dict)
    return document


@pytest.fixture
def made(tmp_path: Path) -> Callable[..., Path]:
    """Give a maker of files with this content, or with these rows."""

    def make(content: bytes | list[str | dict[str, str]], name: str = "accounts.csv") -> Path:
        file = tmp_path / name
        file.write_bytes(content if isinstance(content, bytes) else accounts_file(*content))
        return file

    return make


Maker = Callable[..., Path]


def bad(count: int) -> list[str | dict[str, str]]:
    """Return rows without a usable port."""
    return [row(f"a{number}@n.example", smtpPort="x") for number in range(count)]


# check


def test_json_says_all_that_was_found() -> None:
    """One file is exactly one document: detection, counts, warnings, problems, preview."""
    file = SAMPLES / "accounts.csv"
    document = checked(file)
    warnings, details = document.pop("warnings"), document.pop("warningDetails")
    assert {
        one.pop("column") == one["field"] and bool(one.pop("fix")) for one in document["problems"]
    } == {True}
    assert document == {
        "file": str(file),
        "format": "CSV",
        "encoding": "UTF-8",
        "layout": "Saleshandy API",
        "rows": 246,
        "accepted": 240,
        "rejected": 5,
        "duplicates": 1,
        "sheets": [],
        "problems": [
            problem(12, "smtpEmailAddress", "address_invalid", "not an email address"),
            problem(52, "smtpPort", "port_invalid", "not a port"),
            problem(
                62,
                "smtpPassword",
                "password_missing",
                "no password: the cell is blank or has a placeholder such as ****",
            ),
            problem(122, "imapPort", "port_invalid", "not a port"),
            problem(202, "imapHost", "host_invalid", "not the name of a mail server"),
        ],
        "preview": [],
    }
    assert all(isinstance(warning, str) for warning in warnings)
    assert [one["code"] for one in details] == ["google_sign_in"]
    assert details[0]["message"] in warnings[0]


def problem(number: int, field: str, code: str, message: str) -> dict[str, str | int]:
    """Return a problem as a document has it."""
    return {"row": number, "field": field, "code": code, "message": message}


def test_a_person_sees_the_same() -> None:
    """The table has row, field, cause and fix; below it are duplicates and counts."""
    done = run("check", SAMPLES / "accounts.csv")
    assert (done.returncode, done.stderr) == (1, "")
    lines = done.stdout.splitlines()
    assert lines[1] == "CSV, UTF-8, layout Saleshandy API"
    [port] = [line for line in lines if line.startswith("52 ")]
    assert port.split(maxsplit=2)[1:2] == ["smtpPort"]
    assert "not a port" in port
    assert "Enter a number from 1 to 65535" in port
    assert "Duplicates: row 247 repeats row 7" in lines
    assert "246 rows: 240 accepted, 5 rejected, 1 duplicate" in lines


def test_a_row_that_cannot_be_read_is_in_no_column(made: Maker) -> None:
    """Its problem is that of the whole row, in a table and in lines."""
    done = run("check", made(b"email,password\na@n.example,x,y\n"))
    assert "2    whole row  " in done.stdout


@pytest.mark.parametrize("name", ["accounts.json", "instantly.csv", "smartlead.csv"])
def test_a_good_file_ends_with_0(name: str) -> None:
    """Where every row is accepted the exit code is 0."""
    done = run("check", SAMPLES / name)
    assert (done.returncode, done.stderr) == (0, "")
    assert "0 rejected, 0 duplicates" in done.stdout


def test_a_duplicate_alone_ends_with_1(made: Maker) -> None:
    """A duplicate is a row that is not sent, so not all rows are accepted."""
    assert run("check", made([ADDRESS, ADDRESS.upper()])).returncode == 1


def test_a_long_list_is_cut_for_people_and_whole_for_programs(made: Maker) -> None:
    """A person sees the first problems and how many more there are; --json has every one."""
    file = made(bad(2_000))
    shown = run("check", file).stdout
    assert "and 1,980 more; --json lists them all" in shown
    assert shown.count("not a port") == 20
    problems = checked(file)["problems"]
    assert [one["row"] for one in problems] == list(range(2, 2_002))


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_a_file_is_read_from_standard_input(kind: str) -> None:
    """`-` names it, whatever the format; only a workbook has to be read in no order."""
    content = subprocess.run(
        [COMMAND, "template", "--format", kind], capture_output=True, check=True
    )
    done = subprocess.run(
        [COMMAND, "check", "--json", "-"], input=content.stdout, capture_output=True, check=False
    )
    document = json.loads(done.stdout)
    assert (document["file"], document["format"], document["rows"]) == ("-", kind.upper(), 1)
    assert done.returncode == 1


def test_what_the_file_does_not_say_is_said_to_the_command(made: Maker) -> None:
    """The rows are read by it, and the document repeats it; what cannot be is one line."""
    file = made(f"Mail,Parole x\n{ADDRESS},{MARK}\n".encode())
    said = ("--set", "provider=google", "--map", "Parole x=password")
    document = checked(file, *said, "--preview=1")
    assert (document["accepted"], document["preview"][0]["smtpHost"]) == (1, "smtp.gmail.com")
    assert document["warnings"][0] == (
        "as you asked, emailServiceProvider=google is used where the cell is blank, the column "
        "Parole x is read as password"
    )
    for wrong, error in (
        (("--set", "x=1"), "The field x cannot be set for a whole file."),
        (("--set", f"smtpPassword={MARK}"), "A password cannot be set for a whole file."),
        (("--map", "Mail=x"), "The column Mail cannot be read as x: there is no such field."),
        (("--map", "Wrong=password"), "The file has no column `wrong`; its columns are: Mail"),
        (("--map", "Mail"), "Invalid value for '--map': write it as COLUMN=FIELD."),
    ):
        done = run("check", file, *wrong)
        assert (done.returncode, done.stdout) == (2, "")
        assert error in done.stderr
        assert MARK not in done.stderr


def test_unknown_columns_are_named_once(made: Maker) -> None:
    """Columns that nobody knows are named in one warning, in both outputs."""
    file = made([row(ADDRESS, smtpPassword="a" * 16, Notes="x", Größe="y", daily_limit="3")])
    warning = "columns that are not used: Notes, Größe"
    assert checked(file)["warnings"] == [warning]
    assert f"Warning: {warning}\n" in run("check", file).stdout


def test_a_preview_is_what_would_be_sent(made: Maker) -> None:
    """--preview shows the fifteen fields as they would be sent, and `***` for passwords."""
    content = f"Email,Display Name,Password\n{ADDRESS},Robin Stone,{MARK}\n".encode()
    content = content.replace(b"@north.example", b"@gmail.com")
    file = made(content)
    sent = {
        "emailServiceProvider": "gmail",
        "fromFirstName": "Robin",
        "fromLastName": "Stone",
        "smtpEmailAddress": "robin.stone@gmail.com",
        "smtpUserName": "robin.stone@gmail.com",
        "smtpPassword": "***",
        "smtpHost": "smtp.gmail.com",
        "smtpPort": 465,
        "smtpEncryption": "ssl",
        "imapEmailAddress": "robin.stone@gmail.com",
        "imapUserName": "robin.stone@gmail.com",
        "imapPassword": "***",
        "imapHost": "imap.gmail.com",
        "imapPort": 993,
        "imapEncryption": "ssl",
    }
    [shown] = checked(file, "--preview", "3")["preview"]
    assert list(shown.items()) == list(sent.items())
    text = run("check", "--preview", "1", file).stdout.splitlines()
    assert "Row 2 as it would be sent" in text
    assert {tuple(line.split()) for line in text} >= {
        (field, str(value)) for field, value in sent.items()
    }


def test_a_preview_has_the_first_accounts(made: Maker) -> None:
    """--preview N leaves out rejected rows and stops after N."""
    file = made([*bad(1), "b@n.example", "c@n.example", "d@n.example"])
    shown = checked(file, "--preview", "2")["preview"]
    assert [one["smtpEmailAddress"] for one in shown] == ["b@n.example", "c@n.example"]


def test_a_password_is_never_shown(made: Maker) -> None:
    """Neither output has a password, in whatever column it is, or that of a broken row."""
    fields = [field for field in FIELDS if not field.endswith("Password")]
    astray = [row(f"{field}@n.example", **{field: PASSWORD}) for field in fields]
    broken = f'"x"{PASSWORD}",{PASSWORD}\n{",".join([PASSWORD] * 20)}\n'
    file = made(accounts_file(ADDRESS, ADDRESS, *astray) + broken.encode())
    for option in ("--preview=99", "--json"):
        done = run("check", "--preview=99", option, file)
        assert done.returncode == 1
        assert "***" in done.stdout
        assert MARK not in done.stdout + done.stderr


def test_each_file_has_its_document_and_the_worst_code_counts(made: Maker) -> None:
    """Several files are checked one after the other, whatever happens to one of them."""
    good, some = made([ADDRESS], "good.csv"), made(bad(1), "some.csv")
    done = run("check", "--json", good, some)
    assert done.returncode == 1
    assert [json.loads(line)["accepted"] for line in done.stdout.splitlines()] == [1, 0]
    done = run("check", "--json", "nowhere.csv", good)
    assert (done.returncode, done.stderr) == (2, "")
    assert ["refused" in json.loads(line) for line in done.stdout.splitlines()] == [True, False]
    done = run("check", good, "nowhere.csv", some)
    assert (done.returncode, done.stdout.count("accepted")) == (2, 2)


REFUSED = {
    "empty": b"",
    "header alone": accounts_file(),
    "PDF": b"%PDF-1.7\n" + bytes(range(256)),
    "no address": b"smtpHost,password\nmail.example,x\n",
    "cut off JSON": b"[" + json.dumps(row(ADDRESS)).encode() + b',{"smtpEmailAddress": "b@n.ex',
    "cut off gzip": gzip.compress(accounts_file(*bad(3_000)))[:-9],
    "open quote": accounts_file(*bad(9)) + b'"other,x\n' + b"y,z\n" * 9,
}


@pytest.mark.parametrize("content", REFUSED.values(), ids=REFUSED)
def test_a_refused_file_is_one_line(made: Maker, content: bytes) -> None:
    """A file refused as a whole, even half-way, ends with 2 and one line, for programs as JSON."""
    file = made(content)
    done = run("check", file)
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    assert line.endswith(".")
    read = run("check", "--json", file)
    assert (read.returncode, read.stderr) == (2, "")
    document = json.loads(read.stdout)
    refused = document.pop("refused")
    assert document == {"file": str(file)}
    assert refused.pop("code") == "file_refused"
    assert line == f"{file}: {refused.pop('message')} {refused.pop('fix')}"
    assert not refused


def test_what_is_no_file_is_one_line(tmp_path: Path) -> None:
    """A missing file and a directory end like a refused file; a name steers no terminal."""
    missing = run("check", tmp_path / "a\x1b[2J.csv")
    assert (missing.returncode, missing.stdout) == (2, "")
    assert missing.stderr == (
        f"{tmp_path}/a?[2J.csv: No such file or directory. "
        "Name a file of accounts that can be read.\n"
    )
    directory = run("check", tmp_path)
    assert (directory.returncode, directory.stdout) == (2, "")
    assert directory.stderr.startswith(f"{tmp_path}: Is a directory. ")


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_a_file_that_may_not_be_read_is_one_line(made: Maker) -> None:
    """A file without permission ends like a refused file."""
    file = made([ADDRESS])
    file.chmod(0)
    done = run("check", file)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)


either_buffering = pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
"""Where output is buffered, what is short fails only when it is flushed."""
needs_full = pytest.mark.skipif(
    not Path("/dev/full").exists(), reason="needs a device that is always full"
)
NO_SPACE = "No space left on device"
SPEAKING = [["--help"], ["--version"], ["template"], ["check"], ["check", "--json"]]


@either_buffering
@pytest.mark.parametrize("arguments", SPEAKING, ids=" ".join)
@pytest.mark.parametrize("reason", ["Broken pipe", pytest.param(NO_SPACE, marks=needs_full)])
def test_output_that_cannot_be_written_is_one_line(
    made: Maker, arguments: list[str], unbuffered: str, reason: str
) -> None:
    """A full disk ends with 2 and one line; a reader that has gone, as `head` goes, with none."""
    files = [made(bad(3_000))] if "check" in arguments else []
    if reason == NO_SPACE:
        output = os.open("/dev/full", os.O_WRONLY)
    else:
        reader, output = os.pipe()
        os.close(reader)
    done = subprocess.run(
        [COMMAND, *arguments, *files],
        env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
        stdout=output,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(output)
    assert (done.returncode, done.stderr) == (
        2,
        b"" if reason == "Broken pipe" else f"The output cannot be written: {reason}.\n".encode(),
    )


@needs_full
@either_buffering
@pytest.mark.parametrize("arguments", [["check", "missing.csv"], ["nonsense"]], ids=" ".join)
def test_errors_that_cannot_be_written_end_with_2(arguments: list[str], unbuffered: str) -> None:
    """The exit code stays where stderr cannot be written, either."""
    environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run([COMMAND, *arguments], env=environment, stderr=full, check=False)
    assert done.returncode == 2


def test_a_closed_stdout_is_one_line() -> None:
    """Without a stdout the command ends with 2 and one line."""
    done = subprocess.run(
        ["/bin/sh", "-c", '"$0" template >&-', COMMAND], capture_output=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == b"The output cannot be written: stdout is closed.\n"


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    """Give a named pipe: a file that is read as slowly as it is written."""
    path = tmp_path / "slow.csv"
    os.mkfifo(path)
    return path


def test_ctrl_c_ends_with_130(fifo: Path) -> None:
    """An interrupt ends the command at once, without a traceback."""
    with subprocess.Popen([COMMAND, "check", fifo], stderr=subprocess.PIPE) as child:
        with fifo.open("wb") as pipe:
            pipe.write(accounts_file(*bad(2_000)))
            pipe.flush()
            child.send_signal(signal.SIGINT)
            assert child.wait(10) == 130
        assert child.stderr
        assert child.stderr.read() == b""


def test_a_bar_shows_on_a_terminal_that_waits(fifo: Path) -> None:
    """Progress is drawn on stderr when it is a terminal and reading takes over a second."""
    assert b"\xe2\x94\x81" in on_terminal(fifo, pause=1.3)


def test_no_bar_shows_for_a_moment(fifo: Path) -> None:
    """A file that is read at once is read without a bar."""
    assert on_terminal(fifo, pause=0, rows=10) == b""


def on_terminal(fifo: Path, pause: float, rows: int = 3_000) -> bytes:
    """Check a file that comes with a pause, and return what a terminal on stderr shows."""
    head, *rest = accounts_file(*bad(rows)).splitlines(keepends=True)
    screen, terminal = pty.openpty()
    command: list[str | Path] = [COMMAND, "check", "--json", fifo]
    environment = os.environ | {"TERM": "xterm", "PYTHONIOENCODING": "utf-8"}
    with subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=terminal, env=environment
    ) as child:
        os.close(terminal)
        with fifo.open("wb") as pipe:
            pipe.writelines([head, *rest[:1_500]])
            pipe.flush()
            time.sleep(pause)
            pipe.writelines(rest[1_500:])
        shown = written(screen)
    os.close(screen)
    assert child.returncode == 1
    return shown


@pytest.mark.parametrize("option", ["--preview=0", "--json"])
def test_memory_does_not_grow_with_bad_rows(made: Maker, option: str) -> None:
    """Problems are not kept: thirty times the bad rows take no more than a tenth more memory."""
    few = peak_memory("check", option, made(bad(MANY // 30), "few.csv"))
    many = peak_memory("check", option, made(bad(MANY), "many.csv"))
    assert many < 1.1 * few


def peak_memory(*arguments: str | Path) -> int:
    """Return the largest size of the command's process; it starts from a small one."""
    start = (
        "import resource, subprocess, sys\n"
        "subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL)\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    )
    command = [sys.executable, "-c", start, COMMAND, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    return int(done.stdout)


@pytest.mark.parametrize(
    ("arguments", "unwanted"),
    [
        (["--help"], {"boto3", "rich", "openpyxl", "requests", "email_accounts.reading"}),
        (["check", "--help"], {"boto3", "rich", "openpyxl", "requests", "email_accounts.reading"}),
        (["check", "--json", str(SAMPLES / "accounts.json")], {"boto3", "rich", "openpyxl", "dns"}),
        (["check", str(SAMPLES / "accounts.json")], {"boto3", "openpyxl", "requests"}),
        (["template"], {"boto3", "rich", "openpyxl", "requests"}),
        (["drop", "--help"], {"boto3", "rich", "openpyxl", "requests", "email_accounts.reading"}),
    ],
)
def test_only_what_is_needed_is_imported(arguments: list[str], unwanted: set[str]) -> None:
    """A command does not wait for libraries that it does not use."""
    done = subprocess.run(
        [sys.executable, "-X", "importtime", COMMAND, *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "click" in imported
    assert not imported & unwanted


# template


def csv_rows(content: str) -> list[dict[str, str]]:
    """Return the records of a CSV."""
    return list(csv.DictReader(io.StringIO(content, newline="")))


def test_the_csv_template_has_fields_example_and_values() -> None:
    """It begins with the 15 fields, has one example, and tells what every field may hold."""
    done = run("template")
    [example] = csv_rows(done.stdout)
    assert (*example,)[:15] == FIELDS
    assert example["smtpEmailAddress"].endswith(".example")
    notes = example["allowedValues"]
    assert all(word in notes for word in (*FIELDS, *PROVIDERS, *ENCRYPTIONS, "65535"))


@pytest.mark.parametrize("kind", ["csv", "xlsx"])
def test_a_template_left_as_it_is_sends_nothing(tmp_path: Path, kind: str) -> None:
    """Its example is rejected for its password alone."""
    file = tmp_path / f"accounts.{kind}"
    assert run("template", "--output", file).returncode == 0
    document = checked(file)
    assert (document["format"], document["layout"]) == (kind.upper(), "Saleshandy API")
    assert (document["rows"], document["rejected"]) == (1, 1)
    assert [(one["field"], one["code"]) for one in document["problems"]] == [
        ("smtpPassword", "password_missing"),
    ]


def test_a_csv_template_that_is_filled_in_is_accepted(made: Maker) -> None:
    """With a password, the example is an account as it is."""
    [example] = csv_rows(run("template", "--format", "csv").stdout)
    [sent] = checked(made([example | {"smtpPassword": "a" * 16}]), "--preview=1")["preview"]
    hidden = {"smtpPassword": "***", "imapPassword": "***"}
    assert {field: str(value) for field, value in sent.items()} == {
        field: example[field] for field in FIELDS
    } | hidden


def test_the_workbook_offers_its_values(made: Maker) -> None:
    """It has lists to choose from, keeps texts as typed, explains itself, and is accepted."""
    content = subprocess.run(
        [COMMAND, "template", "--format=xlsx"], capture_output=True, check=True
    )
    book = openpyxl.load_workbook(io.BytesIO(content.stdout))
    accounts, notes = book.worksheets
    assert isinstance(accounts, Worksheet)
    lists = {one.formula1: str(one.sqref) for one in accounts.data_validations.dataValidation}
    assert lists == {
        f'"{",".join(PROVIDERS)}"': "A2:A1048576",
        f'"{",".join(ENCRYPTIONS)}"': "I2:I1048576 O2:O1048576",
    }
    assert accounts.column_dimensions["F"].number_format == "@"
    explained = {str(line[0]): str(line[1]) for line in notes.iter_rows(values_only=True)}
    assert {*explained} >= {*FIELDS}
    assert all(name in explained["emailServiceProvider"] for name in PROVIDERS)
    accounts["F2"] = "a" * 16
    filled = io.BytesIO()
    book.save(filled)
    document = checked(made(filled.getvalue()))
    assert (document["accepted"], document["rows"]) == (1, 1)


def test_a_template_overwrites_nothing(made: Maker) -> None:
    """A file that exists may be filled in already."""
    file = made([ADDRESS])
    done = run("template", "--output", file)
    assert done.returncode == 2
    assert done.stderr == f"Error: {file} exists: name another file.\n"
    assert file.read_bytes() == accounts_file(ADDRESS)


BLANK = {
    "fromFirstName": ("no name", ""),
    "fromLastName": ("no name", ""),
    "emailServiceProvider": ("recognized by the servers", "gsuite"),
    "smtpEmailAddress": ("same as imapEmailAddress", "imap@{}.example"),
    "smtpUserName": ("the address", "smtp@{}.example"),
    "smtpHost": ("the provider's", "smtp.gmail.com"),
    "smtpPort": ("the usual port", 465),
    "smtpEncryption": ("by the port", "ssl"),
    "imapEmailAddress": ("same as smtpEmailAddress", "smtp@{}.example"),
    "imapUserName": ("same as smtpUserName", "user"),
    "imapPassword": ("same as smtpPassword", "***"),
    "imapHost": ("the provider's", "imap.gmail.com"),
    "imapPort": ("the usual port", 993),
    "imapEncryption": ("by the port", "ssl"),
}


def test_a_blank_cell_means_what_the_template_says(made: Maker) -> None:
    """What is told of an empty cell is the outcome of one."""
    given = {
        "smtpUserName": "user",
        "imapUserName": "other",
        "smtpHost": "smtp.gmail.com",
        "imapHost": "imap.gmail.com",
    }
    sides = {"smtpEmailAddress": "smtp@{}.example", "imapEmailAddress": "imap@{}.example"}
    rows = []
    for field in FIELDS:
        addresses = {side: address.format(field) for side, address in sides.items()}
        rows.append(row(ADDRESS, **given | addresses | {field: ""}))
    document = checked(made(rows), "--preview=99")
    assert [one["field"] for one in document["problems"]] == ["smtpPassword"]
    assert IF_BLANK["smtpPassword"] == "rejected"
    accepted = [field for field in FIELDS if field != "smtpPassword"]
    for field, sent in zip(accepted, document["preview"], strict=True):
        meaning, value = BLANK[field]
        assert IF_BLANK[field].startswith(meaning)
        assert sent[field] == (value.format(field) if isinstance(value, str) else value)


# The pages, and the wheel


def test_every_command_has_an_example_and_json() -> None:
    """The help of each command ends with a line to copy; programs can use each of them."""
    for name, command in every_command():
        assert f"Example: email-accounts {name}" in " ".join((command.help or "").split()), name
        assert "--json" in options_of(command), name


def test_the_page_has_every_command_and_option() -> None:
    """docs/cli.md says what the help says, no more and no less: `make docs` renews it."""
    page = COMMANDS_PAGE.read_text(encoding="utf-8")
    assert options_renewed(page) == page
    described = re.findall("<!-- options: (.+) -->", page)
    assert sorted(described) == sorted(["common", *(name for name, _ in every_command())])
    known = {option for _, command in every_command() for option in options_of(command)}
    listed = re.findall(r"^\| `(-.*?)` \|", page, re.MULTILINE)
    assert {option.replace(r"\|", "|") for option in listed} == known


def test_the_page_shows_every_command_at_work() -> None:
    """Each command that needs no other deployment has a recording, and no step is without one."""
    shown = recordings_of(COMMANDS_PAGE.read_text(encoding="utf-8"))
    assert {*shown} == {*STEPS}
    for step, lines in STEPS.items():
        asked = [line for line in shown[step].splitlines() if line.startswith("$ ")]
        assert len(asked) == len(lines)
        assert len(shown[step].splitlines()) > len(lines)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete_commands(shell: str) -> None:
    """The line of the page makes a shell ask the command, which knows its commands."""
    asked = os.environ | {"_EMAIL_ACCOUNTS_COMPLETE": f"{shell}_source"}
    script = subprocess.run([COMMAND], env=asked, capture_output=True, text=True, check=True)
    assert "_EMAIL_ACCOUNTS_COMPLETE" in script.stdout
    words = {"COMP_WORDS": "email-accounts w", "COMP_CWORD": "1"}
    asked = os.environ | words | {"_EMAIL_ACCOUNTS_COMPLETE": "bash_complete"}
    answer = subprocess.run([COMMAND], env=asked, capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["plain,watch", "plain,workspace"]


def test_the_pages_have_the_tables_of_the_code() -> None:
    """They say what the code does: `make docs` renews them."""
    text = "".join(page.read_text("utf-8") for page in PAGES)
    parts = re.findall(r"<!-- table: (\w+) -->\n(?:(?!<!--).)*<!-- end -->", text, re.DOTALL)
    assert sorted(parts) == sorted(TABLES)
    assert renewed(text) == text


def test_every_warning_is_on_the_page() -> None:
    """Warnings are made with codes of the page, and each of its codes is one that is made."""
    texts = "".join(file.read_text("utf-8") for file in (ROOT / "layers").rglob("*.py"))
    made = re.findall(r"\b(?:RowWarning|WarningCount)\(\s*([^\s,]+)", texts)
    assert {*made} - {"warning.code", "one.code"} == {
        f"WarningCode.{one.name}" for one in WarningCode
    }


def test_the_page_shows_a_document_as_it_is(made: Maker) -> None:
    """The JSON on the page has the keys of a real document, in their order."""
    example = json.loads(PAGES[0].read_text(encoding="utf-8").split("```json\n")[1].split("```")[0])
    document = checked(made(bad(1)))
    assert [*example] == [*document]
    assert [*example["problems"][0]] == [*document["problems"][0]]


def test_the_wheel_has_both_packages(tmp_path: Path) -> None:
    """What is installed elsewhere is the domain and the command, and nothing else."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    [wheel] = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        [points] = [name for name in names if name.endswith("entry_points.txt")]
        assert b"email-accounts = email_accounts_cli.__main__:run" in archive.read(points)
    packages = {name.split("/")[0] for name in names if ".dist-info/" not in name}
    assert packages == {"email_accounts", "email_accounts_cli"}


def test_the_wheel_needs_what_it_declares() -> None:
    """Every module of the command runs with what the wheel asks for, and nothing else."""
    declared = {*of_the_command_line(), "email-accounts-importer"}
    modules = [f"email_accounts_cli.{file.stem}" for file in (ROOT / "cli").glob("*/*.py")]
    script = f"import importlib, sys; [importlib.import_module(one) for one in {modules}]; "
    script += "print(*{name.partition('.')[0] for name in sys.modules})"
    loaded = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout.split()
    owners = packages_distributions()
    foreign = {name for name in loaded if not {*map(normal, owners.get(name, []))} <= declared}
    assert len(modules) > 10
    assert not {name for name in foreign if name in owners}
