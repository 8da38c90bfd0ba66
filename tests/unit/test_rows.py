"""What each row of a file is, whatever its columns are called."""

import csv
import io
import json
import tracemalloc
from collections.abc import Iterable
from pathlib import Path

import pytest

from email_accounts.errors import FileRefusedError
from email_accounts.intake.rows import Accepted, Duplicate, Rejected, RowResult
from email_accounts.models.account import FIELDS, PROVIDERS, Account
from email_accounts.text.secret import Secret
from tests.support.files import MARK, PASSWORD, accounts_file, opened, row

ADDRESS = "robin.stone@north.example"
APP_PASSWORD = "abcdefghijklmnop"
GROUPS = "abcd efgh ijkl mnop"
SERVERS = {"smtp_host": "mail.north.example", "smtp_port": "465"} | {
    "imap_host": "mail.north.example",
    "imap_port": "993",
}
"""Servers of one's own, by their columns."""


LINE = ",".join(row(ADDRESS, smtpPassword=MARK, imapPassword=MARK).values()).encode()
SAMPLES = Path(__file__).parents[1] / "samples"


def checked(content: bytes) -> list[RowResult]:
    """Validate all rows of a file."""
    return list(opened(content).rows)


def table(*rows: dict[str, str]) -> bytes:
    """Write rows under their own names of columns."""
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, dict.fromkeys(name for one in rows for name in one))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().encode()


def the_account(**columns: str) -> Account:
    """Return the account of the only row of a file with servers of its own."""
    (one,) = checked(table(SERVERS | columns))
    assert isinstance(one, Accepted), one
    return one.account()


def codes(one: RowResult) -> list[tuple[str, str]]:
    """Return the problems of a rejected row."""
    assert isinstance(one, Rejected), one
    return [(problem.field, problem.code) for problem in one.problems]


def problems(**changed: str) -> list[tuple[str, str]]:
    """Return what is wrong with a good row of fifteen fields, some of them changed."""
    (one,) = checked(table(row(ADDRESS, **changed)))
    return [] if isinstance(one, Accepted) else codes(one)


def warnings(*rows: dict[str, str]) -> list[str]:
    """Read a file and return what it warns of."""
    file = opened(table(*rows))
    for _ in file.rows:
        pass
    return [one.text for one in file.warnings]


def kinds(examined: Iterable[RowResult]) -> list[type]:
    """Return what each row is."""
    return [type(one) for one in examined]


# Values, row by row.


@pytest.mark.parametrize("reverse", [False, True])
def test_each_value_comes_from_its_column(reverse: bool) -> None:  # noqa: FBT001  pytest gives it
    """Whatever the order of the columns, no field is taken for another."""
    values = {
        "emailServiceProvider": "zoho",
        "fromFirstName": "Robin",
        "fromLastName": "Stone",
        "smtpEmailAddress": "a@north.example",
        "smtpUserName": "user-a",
        "smtpPassword": "password-a",
        "smtpHost": "smtp.north.example",
        "smtpPort": "4650",
        "smtpEncryption": "ssl",
        "imapEmailAddress": "b@north.example",
        "imapUserName": "user-b",
        "imapPassword": "password-b",
        "imapHost": "imap.north.example",
        "imapPort": "1430",
        "imapEncryption": "tls",
    }
    written = dict(reversed(values.items())) if reverse else values
    (one,) = checked(table(written))
    assert isinstance(one, Accepted)
    assert list(one.reader.read(one.cells).values) == list(values.values())
    assert (one.account().smtp.port, one.account().imap.port) == (4650, 1430)
    assert one.account().secrets == (Secret("password-a"), Secret("password-b"))


def test_json_and_csv_of_the_same_account_are_the_same() -> None:
    """Numbers, nulls and missing keys become what a table says."""
    item = row(ADDRESS) | {"smtpPort": 465, "imapPort": 993.0, "fromLastName": None}
    del item["imapUserName"]
    (from_json,) = checked(json.dumps([item]).encode())
    (from_csv,) = checked(table(row(ADDRESS, fromLastName="", imapUserName="")))
    assert isinstance(from_json, Accepted)
    assert isinstance(from_csv, Accepted)
    assert (from_json.row, from_csv.row) == (1, 2)
    assert from_json.account() == from_csv.account()


def test_items_with_other_keys_are_read_by_them() -> None:
    """Each object may have keys of its own, and the first may come again."""
    first = {"email": "a@gmail.com", "password": APP_PASSWORD}
    other = {"App Password": APP_PASSWORD, "note": 1, "from_email": "b@gmail.com"}
    rows = checked(json.dumps([first, other, {**first, "email": "c@gmail.com"}, first]).encode())
    assert [(one.row, one.address) for one in rows] == [
        (1, "a@gmail.com"),
        (2, "b@gmail.com"),
        (3, "c@gmail.com"),
        (4, "a@gmail.com"),
    ]
    assert kinds(rows) == [Accepted, Accepted, Accepted, Duplicate]
    assert all(
        one.account().secrets == (Secret(APP_PASSWORD),) * 2
        for one in rows
        if isinstance(one, Accepted)
    )


def test_a_short_row_is_blank_where_it_ends() -> None:
    """Cells that are missing at its end are filled in like blank ones."""
    (one,) = checked(f"email,password,provider,imap_host\na@gmail.com,{APP_PASSWORD}\n".encode())
    assert isinstance(one, Accepted)
    assert one.account().imap.host == "imap.gmail.com"


def test_blanks_around_values_go_and_all_else_stays() -> None:
    """A password pasted with a line's blanks loses those around it, not those inside it.

    Only comparing does without the case of an address.
    """
    made = the_account(email="  Robin.Stone@North.example ", password="\t Pass phrase \xa0\n")
    assert made.smtp.address == made.imap.address == made.smtp.user_name
    assert made.smtp.address == "Robin.Stone@North.example"
    assert made.smtp.password == Secret("Pass phrase")


@pytest.mark.parametrize("address", ["ROBIN@NORTH.EXAMPLE", "Robin@Gmail.com", " robin@x.example "])
def test_an_accepted_row_shows_the_address_that_is_sent(address: str) -> None:
    """Its owner finds the row by it."""
    (one,) = checked(accounts_file(address))
    assert isinstance(one, Accepted)
    assert one.address == one.account().smtp.address == address.strip()


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_provider_of_the_service_is_taken_in_any_case(provider: str) -> None:
    """For a personal address each of them is sent as it is."""
    address = {"gmail": "a@gmail.com", "microsoft": "a@outlook.com"}.get(provider, ADDRESS)
    assert the_account(email=address, password="x", provider=provider.upper()).provider == provider


def test_a_personal_address_is_seen_whatever_its_case() -> None:
    """Its domain represents its provider, among rows with the same settings."""
    same = {"password": APP_PASSWORD, "provider": "google"}
    addresses = ("a@north.example", "b@gmail.com", "C@GMAIL.COM", "d@north.example")
    rows = checked(table(*({"email": address} | same for address in addresses)))
    providers = [one.account().provider for one in rows if isinstance(one, Accepted)]
    assert providers == ["gsuite", "gmail", "gmail", "gsuite"]


# What is blank.


@pytest.mark.parametrize(
    ("columns", "smtp", "imap"),
    [
        ({"email": "a@x.example"}, "a@x.example", "a@x.example"),
        ({"smtp_email": "a@x.example"}, "a@x.example", "a@x.example"),
        ({"imap_email": "a@x.example"}, "a@x.example", "a@x.example"),
        ({"smtp_email": "a@x.example", "imap_email": " "}, "a@x.example", "a@x.example"),
        ({"smtp_email": "", "imap_email": "b@x.example"}, "b@x.example", "b@x.example"),
        ({"smtp_email": "a@x.example", "imap_email": "b@x.example"}, "a@x.example", "b@x.example"),
        ({"email": "a@x.example", "imap_email": "b@x.example"}, "a@x.example", "b@x.example"),
        ({"email": "a@x.example", "smtp_email": "b@x.example"}, "b@x.example", "a@x.example"),
        (
            {"email": "not used", "smtp_email": "a@x.example", "imap_email": "b@x.example"},
            "a@x.example",
            "b@x.example",
        ),
    ],
)
def test_a_blank_address_is_that_of_the_other_side(
    columns: dict[str, str], smtp: str, imap: str
) -> None:
    """Columns for one side go before one for both."""
    made = the_account(password="x", **columns)
    assert (made.smtp.address, made.imap.address) == (smtp, imap)


@pytest.mark.parametrize(
    ("columns", "smtp", "imap"),
    [
        ({}, "a@x.example", "b@x.example"),
        ({"user_name": " "}, "a@x.example", "b@x.example"),
        ({"user_name": "robin"}, "robin", "robin"),
        ({"user_name": "robin", "imap_user_name": " "}, "robin", "robin"),
        ({"user_name": "robin", "imap_user_name": "stone"}, "robin", "stone"),
        ({"imap_user_name": "stone"}, "a@x.example", "stone"),
    ],
)
def test_a_blank_user_name_is_the_other_one_or_the_address(
    columns: dict[str, str], smtp: str, imap: str
) -> None:
    """Blank for IMAP means as for SMTP, blank for SMTP the address."""
    addresses = {"email": "a@x.example", "imap_email": "b@x.example"}
    made = the_account(password="x", **addresses, **columns)
    assert (made.smtp.user_name, made.imap.user_name) == (smtp, imap)


@pytest.mark.parametrize(
    ("columns", "smtp", "imap"),
    [
        ({"password": "one"}, "one", "one"),
        ({"app_password": "one"}, "one", "one"),
        ({"smtp_password": "one"}, "one", "one"),
        ({"smtp_password": "one", "imap_password": " "}, "one", "one"),
        ({"smtp_password": "one", "imap_password": "two"}, "one", "two"),
        ({"password": "one", "imap_password": "two"}, "one", "two"),
        ({"password": "one", "smtp_password": "two"}, "two", "one"),
        ({"password": "one", "smtp_password": "", "imap_password": ""}, "one", "one"),
    ],
)
def test_a_blank_imap_password_is_that_of_smtp(
    columns: dict[str, str], smtp: str, imap: str
) -> None:
    """Columns for one side go before one for both."""
    assert the_account(email=ADDRESS, **columns).secrets == (Secret(smtp), Secret(imap))


@pytest.mark.parametrize(
    "columns", [{"smtp_password": " "}, {"password": "", "imap_password": "x"}]
)
def test_a_missing_password_is_one_problem(columns: dict[str, str]) -> None:
    """An IMAP password alone is none for sending; warm-up tools export both blank."""
    (one,) = checked(table(SERVERS | {"email": ADDRESS} | columns))
    assert codes(one) == [("smtpPassword", "password_missing")]


@pytest.mark.parametrize(
    ("content", "problem", "fix"),
    [
        (
            b"title\nemail,SMTP Host\n" + b"a@b.example,x.example\n" * 3,
            "No password column found; its columns are: email, SMTP Host.",
            "or drop the file with --map COLUMN=password.",
        ),
        (b"email,Pasword\na@b.example,x\n", "No password column", "Rename the column Pasword to"),
        (
            b"email,imap_password\na@b.example,x\n",
            "No SMTP password column found; its columns are: email, imap_password.",
            "Name the password column password (or pass, app_password",
        ),
        (b'{"email": "a@b.example"}\n{"email": "c@b.example", "note": 1}', "No password", "Name"),
        (b"email\n", "No password column", "Name"),
    ],
)
def test_a_file_without_a_password_column_is_refused_once(
    content: bytes, problem: str, fix: str
) -> None:
    """Each row lacks it, so it is one problem of the file, with its columns and the fix."""
    with pytest.raises(FileRefusedError) as refused:
        checked(content)
    assert problem in refused.value.problem
    assert fix in refused.value.fix


def test_one_item_with_a_password_makes_a_file_of_accounts() -> None:
    """Items of JSON have columns of their own, and so do parts of a table."""
    items = json.dumps(
        [SERVERS | {"email": ADDRESS}, SERVERS | {"email": "b@b.example", "pass": "x"}]
    )
    assert kinds(checked(items.encode())) == [Rejected, Accepted]


@pytest.mark.parametrize(
    ("columns", "names"),
    [
        ({"from_name": "Robin Stone"}, ("Robin", "Stone")),
        ({"from_name": "Robin van der Stone"}, ("Robin", "van der Stone")),
        ({"from_name": " Robin   Stone "}, ("Robin", "Stone")),
        ({"from_name": "Robin"}, ("Robin", "")),
        ({"from_name": ""}, ("", "")),
        ({"from_name": "x y", "first_name": "Robin", "last_name": "Stone"}, ("Robin", "Stone")),
        ({"from_name": "x y", "first_name": "Robin"}, ("Robin", "")),
        ({"from_name": "x y", "first_name": " ", "last_name": "Stone"}, ("", "Stone")),
        ({"from_name": "Robin Stone", "first_name": "", "last_name": " "}, ("Robin", "Stone")),
    ],
)
def test_a_full_name_is_parted_at_its_first_blank(
    columns: dict[str, str], names: tuple[str, str]
) -> None:
    """First and last name go before it."""
    made = the_account(email=ADDRESS, password="x", **columns)
    assert (made.first_name, made.last_name) == names


def test_an_address_and_a_password_are_enough_where_the_provider_is_known() -> None:
    """Everything else is filled in."""
    (one,) = checked(f"email,password\nrobin@gmail.com,{APP_PASSWORD}\n".encode())
    assert isinstance(one, Accepted)
    assert dict(zip(FIELDS, list(one.reader.read(one.cells).values), strict=True)) == {
        "emailServiceProvider": "gmail",
        "fromFirstName": "",
        "fromLastName": "",
        "smtpEmailAddress": "robin@gmail.com",
        "smtpUserName": "robin@gmail.com",
        "smtpPassword": APP_PASSWORD,
        "smtpHost": "smtp.gmail.com",
        "smtpPort": "465",
        "smtpEncryption": "ssl",
        "imapEmailAddress": "robin@gmail.com",
        "imapUserName": "robin@gmail.com",
        "imapPassword": APP_PASSWORD,
        "imapHost": "imap.gmail.com",
        "imapPort": "993",
        "imapEncryption": "ssl",
    }


# App passwords.


@pytest.mark.parametrize(
    ("provider", "written", "sent"),
    [
        ("google", GROUPS, APP_PASSWORD),
        ("google", f" {GROUPS}\t", APP_PASSWORD),
        ("google", GROUPS.replace(" ", "\xa0"), APP_PASSWORD),
        ("google", "abcd efgh ijkl", "abcd efgh ijkl"),
        ("google", "ABCD efgh ijkl mnop", "ABCDefghijklmnop"),
        ("google", "pass phrase", "pass phrase"),
        ("zoho", GROUPS, GROUPS),
        ("other", GROUPS, GROUPS),
    ],
)
def test_the_groups_of_an_app_password_are_joined_at_google_alone(
    provider: str, written: str, sent: str
) -> None:
    """Google shows it in four groups; elsewhere blanks may belong to a password."""
    columns = {"email": ADDRESS, "provider": provider, "imap_password": written}
    assert the_account(password=written, **columns).secrets == (Secret(sent), Secret(sent))


# SendGrid.


def test_sendgrid_signs_in_with_its_own_user_name() -> None:
    """Sending wants the user name that SendGrid gives everyone, reading wants the mailbox's."""
    columns = {"email": ADDRESS, "provider": "sendgrid", "smtp_host": "", "smtp_port": ""}
    passwords = {"smtp_password": "SG.key", "imap_password": "mailbox"}
    made = the_account(**columns, **passwords)
    assert (made.smtp.user_name, made.smtp.host, made.smtp.port) == (
        "apikey",
        "smtp.sendgrid.net",
        587,
    )
    assert (made.imap.user_name, made.imap.host) == (ADDRESS, "mail.north.example")
    given = the_account(**columns, **passwords, user_name="robin", imap_user_name="stone")
    assert (given.smtp.user_name, given.imap.user_name) == ("robin", "stone")
    alone = the_account(**columns, **passwords, user_name="apikey")
    assert (alone.smtp.user_name, alone.imap.user_name) == ("apikey", ADDRESS)


@pytest.mark.parametrize("known_by", [{"provider": "SendGrid"}, {"smtp_host": "smtp.sendgrid.net"}])
def test_sendgrid_wants_an_imap_server_of_its_own(known_by: dict[str, str]) -> None:
    """It only sends: that is told once, not as three missing settings."""
    (one,) = checked(table({"email": ADDRESS, "password": "SG.key"} | known_by))
    assert codes(one) == [("imapHost", "imap_missing")]


# Rejections.


@pytest.mark.parametrize(
    ("field", "code", "values"),
    [
        ("fromFirstName", "name_unusable", ["n" * 256, "Ro\x00bin", "Ro\nbin"]),
        ("fromLastName", "name_unusable", ["n" * 256, "Sto\x7fne"]),
        ("smtpEmailAddress", "address_invalid", ["not-an-address", "robin@north"]),
        ("imapEmailAddress", "address_invalid", ["robin@north", f"r@{'n' * 64}.example"]),
        ("smtpUserName", "user_name_unusable", ["u" * 256, "a\tb"]),
        ("imapUserName", "user_name_unusable", ["u" * 256, "a\x00b"]),
        ("smtpPassword", "password_too_long", ["p" * 256]),
        ("imapPassword", "password_unusable", ["a\x00b", "a\nb"]),
        ("smtpPassword", "password_damaged", ["1.23457E+15", "#NAME?", "########", "#REF!"]),
        ("smtpPassword", "password_missing", ["****", "N/A", "null", "nan", "-"]),
        ("smtpHost", "host_invalid", ["localhost", "http://smtp.example", "a b.example"]),
        ("imapHost", "host_invalid", ["imap.north.example:994", "imap..example"]),
        ("smtpPort", "port_missing", [""]),
        (
            "smtpPort",
            "port_invalid",
            ["0", "65536", "-1", "587.5", "smtp", "4 65", "٤٦٥", "1" * 99],
        ),
        ("imapPort", "port_invalid", ["993/143", "99999", "+993", "true", "1e2", "0" * 5000]),
    ],
)
def test_a_bad_value_is_one_problem_of_its_field(field: str, code: str, values: list[str]) -> None:
    """The row is rejected for that field alone."""
    for value in values:
        changed = {field: value}
        if field.endswith("Port"):  # without a port only the file can tell the encryption
            changed[field.replace("Port", "Encryption")] = "ssl"
        assert problems(**changed) == [(field, code)], repr(value[:80])


@pytest.mark.parametrize("length", [64, 65, 200, 254, 255])
@pytest.mark.parametrize("field", ["smtpEmailAddress", "imapEmailAddress"])
def test_an_address_may_have_254_characters(field: str, length: int) -> None:
    """A glance at a row is no way around the rule, on neither side."""
    address = "@north.example".rjust(length, "r")
    code = [] if length <= 254 else [(field, "address_invalid")]
    names = {"smtpUserName": "robin", "imapUserName": "robin"}
    assert problems(**{field: address}, **names) == code


def test_without_servers_that_is_the_one_problem() -> None:
    """An address at a domain of its own says nothing about its servers."""
    (one,) = checked(b"email,password\nrobin@north.example,x\n")
    assert codes(one) == [("smtpHost", "servers_missing")]


def test_what_is_no_address_is_not_shown() -> None:
    """Where columns are shifted it may be a password; the problems do not quote it either."""
    shifted = dict.fromkeys(FIELDS, PASSWORD)
    (one,) = checked(accounts_file(shifted))
    assert isinstance(one, Rejected)
    assert one.address == ""
    assert MARK not in repr(one)


def test_an_unreadable_row_is_rejected_with_its_reason() -> None:
    """A row that is no row has one problem, and shows nothing of its cells."""
    content = accounts_file("a@b.example") + b",".join([PASSWORD.encode()] * 16) + b"\n"
    rejected = checked(content)[1]
    assert isinstance(rejected, Rejected)
    assert (rejected.row, rejected.address) == (3, "")
    assert codes(rejected) == [("unreadable", "row_unreadable")]
    assert "more cells" in rejected.problems[0].message
    assert MARK not in repr(rejected)


def test_a_bad_row_does_not_stop_the_next() -> None:
    """Good, bad, unreadable, blank and double rows may be in any order."""
    lines = [
        b"email,password,smtp_port",
        f"a@gmail.com,{APP_PASSWORD},".encode(),
        b"a@gmail.com,x,y,z",
        b"not an address,,",
        b",,",
        b'b@gmail.com,"x"y,',
        b"A@gmail.com,x,",
        b"C@Gmail.com",
        f"D@gmail.com,{APP_PASSWORD},465.0".encode(),
        f"e@gmail.com,{APP_PASSWORD},".encode(),
    ]
    rows = checked(b"\n".join(lines))
    assert [(one.row, type(one).__name__, one.address) for one in rows] == [
        (2, "Accepted", "a@gmail.com"),
        (3, "Rejected", ""),
        (4, "Rejected", ""),
        (6, "Rejected", ""),
        (7, "Duplicate", "A@gmail.com"),
        (8, "Rejected", "C@Gmail.com"),
        (9, "Accepted", "D@gmail.com"),
        (10, "Accepted", "e@gmail.com"),
    ]


# Duplicates.


def test_a_duplicate_is_the_second_row_of_an_address_but_for_case_and_blanks() -> None:
    """It names the row that is sent; a third one names the same row."""
    same = ("a@b.example", "c@d.example", "A@B.example", " a@b.example ", "a@B.EXAMPLE")
    assert checked(accounts_file(*same))[2:] == [
        Duplicate(4, "A@B.example", 2),
        Duplicate(5, "a@b.example", 2),
        Duplicate(6, "a@B.EXAMPLE", 2),
    ]
    again = checked(accounts_file("A@B.EXAMPLE", "a@b.example"))
    assert again[1] == Duplicate(3, "a@b.example", 2)


def test_the_twin_of_a_rejected_row_is_no_duplicate() -> None:
    """Of two rows with one address the good one is sent, in whatever order they are."""
    bad = row("a@b.example", smtpPort="none")
    assert kinds(checked(accounts_file(bad, "a@b.example", bad, "A@b.example"))) == [
        Rejected,
        Accepted,
        Duplicate,
        Duplicate,
    ]


def test_rows_without_an_address_are_no_duplicates_of_each_other() -> None:
    """Rows that lack it are all rejected."""
    nobody = row("", imapEmailAddress="")
    content = accounts_file(nobody, nobody, row("not-an-address"), row("not-an-address"))
    assert kinds(checked(content)) == [Rejected] * 4


def test_two_accounts_may_share_an_imap_address() -> None:
    """Aliases that send have one mailbox to read; they are distinguished by what they send from."""
    shared = {"imapEmailAddress": "inbox@north.example"}
    content = accounts_file(row("a@north.example", **shared), row("b@north.example", **shared))
    assert kinds(checked(content)) == [Accepted, Accepted]


# Warnings.


def gmail(address: str, password: str = "normal-password") -> dict[str, str]:
    """Return a row of a personal mailbox at Google."""
    return {"email": f"{address}@gmail.com", "password": password}


def test_a_normal_password_at_google_is_warned_about() -> None:
    """It is sent anyway; an app password, however it was pasted, is no matter."""
    good = (APP_PASSWORD, GROUPS, GROUPS.upper(), GROUPS.replace(" ", "\xa0"))
    rows = [gmail(f"m{at}", password) for at, password in enumerate(good)]
    assert warnings(*rows, *(one | {"email": one["email"].upper()} for one in rows)) == []
    assert warnings(*rows, *(gmail(f"M{at}", good[at]) for at in range(4))) == []
    (said,) = warnings(gmail("a"), gmail("b", APP_PASSWORD), gmail("c"))
    assert said.startswith("rows 2, 4: ")
    assert "app password" in said


def test_a_password_at_microsoft_is_warned_about() -> None:
    """Most tenants refuse it."""
    personal = {"email": "a@outlook.com", "password": "x"}
    company = {"email": ADDRESS, "password": "x", "provider": "office365"}
    (said,) = warnings(personal, company)
    assert said.startswith("rows 2, 3: ")
    assert "Microsoft" in said


@pytest.mark.parametrize(
    ("smtp", "imap", "warned"),
    [
        (("465", "ssl"), ("993", "ssl"), False),
        (("587", "tls"), ("143", "tls"), False),
        (("2525", "tls"), ("993", ""), False),
        (("2526", "ssl"), ("1143", "tls"), False),
        (("25", "ssl"), ("993", "ssl"), True),
        (("465", "tls"), ("993", "ssl"), True),
        (("587", "ssl"), ("993", "ssl"), True),
        (("2525", "ssl"), ("993", "ssl"), True),
        (("465", "ssl"), ("993", "tls"), True),
        (("465", "ssl"), ("143", "ssl"), True),
    ],
)
def test_an_encryption_that_does_not_match_its_port_is_warned_about(
    smtp: tuple[str, str],
    imap: tuple[str, str],
    warned: bool,  # noqa: FBT001  pytest gives it
) -> None:
    """It looks like a server that does not answer."""
    ports = {"smtp_port": smtp[0], "smtp_ssl": smtp[1], "imap_port": imap[0], "imap_ssl": imap[1]}
    said = warnings(SERVERS | {"email": ADDRESS, "password": "x"} | ports)
    assert [one.startswith("row 2: encryption and port do not match") for one in said] == [
        True for _ in range(warned)
    ]


def test_warnings_count_their_rows_and_name_the_first() -> None:
    """The most frequent comes first."""
    rows = [gmail("a"), gmail("b") | {"smtp_port": "587", "smtp_ssl": "ssl"}]
    many = [gmail(f"m{at}") for at in range(1500)]
    google, mismatch = warnings(*rows, *many)
    assert google.startswith("rows 2, 3, 4 and 1,499 more: Google accepts")
    assert mismatch.startswith("row 3: encryption and port")
    three, _ = warnings(*rows, gmail("c"))
    assert three.startswith("rows 2, 3, 4: ")


def test_rows_that_are_not_sent_are_not_warned_about() -> None:
    """Rejections and duplicates have reasons of their own."""
    bad = gmail("a") | {"smtp_port": "x"}
    assert warnings(bad, gmail("b", APP_PASSWORD), gmail("B"), gmail("b")) == []


def test_warnings_quote_no_password() -> None:
    """They go into terminals and mails."""
    assert MARK not in str(warnings(gmail("a", PASSWORD)))


# Files as a whole.


@pytest.mark.parametrize(
    ("name", "format_", "layout", "first", "count"),
    [
        ("accounts.csv", "CSV", "Saleshandy API", 2, 246),
        ("accounts.json", "JSON", "Saleshandy API", 1, 30),
        ("instantly.csv", "CSV", "Instantly", 2, 120),
        ("smartlead.csv", "CSV", "Smartlead", 2, 60),
    ],
)
def test_a_sample_is_read_whole(
    name: str, format_: str, layout: str, first: int, count: int
) -> None:
    """Every row comes once, in order, and what the file was found to be is told."""
    file = opened((SAMPLES / name).read_bytes())
    rows = list(file.rows)
    assert (file.format, file.encoding, file.layout) == (format_, "UTF-8", layout)
    assert file.unknown_columns == ()
    assert [one.row for one in rows] == [*range(first, first + count)]
    assert kinds(rows).count(Accepted) > 0.9 * count


def test_reading_again_yields_the_same() -> None:
    """Batches are named by the numbers of their rows, and read again for each poll."""
    content = (SAMPLES / "accounts.csv").read_bytes()
    first, second = ([one[:3] for one in opened(content).rows] for _ in range(2))
    assert [one[:2] for one in first] == [one[:2] for one in second]
    accounts = [one.account() for one in opened(content).rows if isinstance(one, Accepted)]
    again = [one.account() for one in opened(content).rows if isinstance(one, Accepted)]
    assert accounts == again


@pytest.mark.parametrize(
    "content",
    [
        accounts_file(ADDRESS) + b'"' + LINE,
        accounts_file(ADDRESS) + b'other,"' + (LINE + b"\n") * 3,
        json.dumps([row(ADDRESS)]).encode()[:-3],
        b"[" + LINE,
        b"{" + LINE,
    ],
)
def test_a_refusal_quotes_no_password(content: bytes) -> None:
    """Whatever is wrong with a file, what is in it is not repeated."""
    with pytest.raises(FileRefusedError) as caught:
        checked(content)
    assert caught.value.problem.endswith(".")
    assert caught.value.fix
    assert MARK not in str(caught.value)


# Memory.


def peak(content: bytes) -> int:
    """Return the most bytes that Python held at once while it checked a file."""
    file = opened(content)
    tracemalloc.start()
    try:
        for _ in file.rows:
            pass
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_ever_new_settings_are_not_kept_for_good() -> None:
    """Hosts of a megabyte each, all different, take the memory of a few."""

    def content(rows: int) -> bytes:
        lines = (f"a{at}@b.example,x,{'h' * 500_000}{at}\n" for at in range(rows))
        return f"email,password,smtp_host\n{''.join(lines)}".encode()

    assert peak(content(16)) < peak(content(8)) + 2_000_000


def test_ever_new_columns_are_not_kept_for_good() -> None:
    """Objects with keys of their own take no memory for good."""

    def content(rows: int) -> bytes:
        items = [{"email": "a", f"note{at}": 1} for at in range(rows)] + [{"email": "a", "pass": 1}]
        return b"\n".join(json.dumps(item).encode() for item in items)

    assert peak(content(1_900)) < peak(content(950)) + 1_000_000


def test_many_rows_take_the_memory_of_few() -> None:
    """Only the row in hand, and a number per accepted one, are in memory."""
    few, many = (accounts_file(*(f"m{at}@b.example" for at in range(n))) for n in (1_000, 6_000))
    assert peak(many) < peak(few) + 100_000
