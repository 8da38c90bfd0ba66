"""Which column of a file holds what, and who wrote it."""

import json
from collections.abc import Callable
from itertools import combinations

import pytest

from email_accounts.errors import FileRefusedError
from email_accounts.intake.columns import Columns, find_columns, resolve
from email_accounts.intake.layouts import (
    ADDRESS,
    ALIASES,
    FULL_NAME,
    IGNORED,
    LAYOUTS,
    PASSWORD,
)
from email_accounts.models.account import FIELDS
from tests.support.files import PASSWORD as SECRET
from tests.support.files import opened, row


def first(columns: Columns) -> dict[str, int]:
    """Return the preferred position of each target."""
    return {target: positions[0] for target, positions in columns.targets.items()}


ADDRESS_OF_ROW = "robin.stone@north.example"
SMARTLEAD = "from_name,from_email,user_name,password,smtp_host,smtp_port,imap_host,imap_port"
SMARTLEAD_OPTIONS = (
    "max_email_per_day,custom_tracking_url,warmup_enabled,total_warmup_per_day,daily_rampup,"
    "reply_rate_percentage,bcc,signature,different_reply_to_address,imap_user_name,imap_password"
)
INSTANTLY = (
    "Email,First Name,Last Name,IMAP Username,IMAP Password,IMAP Host,IMAP Port,"
    "SMTP Username,SMTP Password,SMTP Host,SMTP Port"
)
SALESBLINK = (
    "from_email,password,smtp_host,smtp_port,from_name,user_name,imap_host,imap_port,"
    "imap_user_name,imap_password"
)
SERVERS = {"smtpHost", "smtpPort", "imapHost", "imapPort"}
IMAP_SIGN_IN = {"imapUserName", "imapPassword"}

HEADERS: dict[str, tuple[str, set[str]]] = {
    "Saleshandy API": (",".join(FIELDS), {*FIELDS}),
    "Instantly": (
        INSTANTLY,
        {ADDRESS, "fromFirstName", "fromLastName", "smtpUserName", "smtpPassword"}
        | IMAP_SIGN_IN
        | SERVERS,
    ),
    "Smartlead": (SMARTLEAD, {ADDRESS, FULL_NAME, "smtpUserName", PASSWORD} | SERVERS),
    "EmailBison": (
        (
            "Name,Email,Password,IMAP Server,IMAP Port,SMTP Server,SMTP Port,Daily Limit,"
            "SMTP Secure,IMAP Secure"
        ),
        {ADDRESS, FULL_NAME, PASSWORD, "smtpEncryption", "imapEncryption"} | SERVERS,
    ),
    "Woodpecker": (
        (
            "SMTP email,SMTP login,SMTP password,SMTP server,SMTP port,SMTP from name,"
            "IMAP email,IMAP password,IMAP server,IMAP port"
        ),
        {"smtpEmailAddress", "smtpUserName", "smtpPassword", FULL_NAME, "imapEmailAddress"}
        | {"imapPassword"}
        | SERVERS,
    ),
    "SalesBlink": (
        SALESBLINK,
        {ADDRESS, FULL_NAME, PASSWORD, "smtpUserName"} | IMAP_SIGN_IN | SERVERS,
    ),
    "BrandJet": (
        "email,password,smtpHost,smtpPort,smtpTls,imapHost,imapPort,imapTls,fromName",
        {ADDRESS, FULL_NAME, PASSWORD, "smtpEncryption", "imapEncryption"} | SERVERS,
    ),
    "SendKit": (
        "email,password,smtphost,imaphost,smtpport,imapport,smtpsecure,imapsecure,displayname",
        {ADDRESS, FULL_NAME, PASSWORD, "smtpEncryption", "imapEncryption"} | SERVERS,
    ),
    "Snov.io": ("From email,From name,SMTP host", {ADDRESS, FULL_NAME, "smtpHost"}),
    "warm-up tool": (
        (
            "from_name,from_email,smtp_host,smtp_port,smtp_username,smtp_password,"
            "imap_host,imap_port,imap_username,imap_password"
        ),
        {ADDRESS, FULL_NAME, "smtpUserName", "smtpPassword"} | IMAP_SIGN_IN | SERVERS,
    ),
    "mailbox seller": ("Email,App Password,SMTP,IMAP", {ADDRESS, PASSWORD, "smtpHost", "imapHost"}),
    "address and password": ("email,password", {ADDRESS, PASSWORD}),
}
"""Who writes which headers, and what they are used for."""

ALIASES_OF = {
    ADDRESS: "email email_address e_mail from_email sender_email mailbox address account "
    "email_account",
    "smtpEmailAddress": "smtp_email smtp_email_address smtpEmailAddress",
    "imapEmailAddress": "imap_email imap_email_address",
    "fromFirstName": "first_name firstname first from_first_name sender_first_name",
    "fromLastName": "last_name lastname last surname from_last_name sender_last_name",
    FULL_NAME: "from_name sender_name display_name displayname name full_name smtp_from_name",
    "emailServiceProvider": "provider preset esp email_provider email_service_provider "
    "provider_type provider_code type inbox_type",
    PASSWORD: "password pass app_password app_pass",
    "smtpUserName": "smtp_username smtp_user smtp_user_name smtp_login user_name username login",
    "smtpPassword": "smtp_password smtp_pass smtp_app_password",
    "smtpHost": "smtp_host smtp_server smtp_hostname outgoing_server outgoing_host smtp",
    "smtpPort": "smtp_port outgoing_port",
    "smtpEncryption": "smtp_encryption smtp_security smtp_ssl smtp_secure smtp_tls smtp_use_tls "
    "smtp_port_type security encryption",
    "imapUserName": "imap_username imap_user imap_user_name imap_login",
    "imapPassword": "imap_password imap_pass imap_app_password",
    "imapHost": "imap_host imap_server imap_hostname incoming_server incoming_host imap",
    "imapPort": "imap_port incoming_port",
    "imapEncryption": "imap_encryption imap_security imap_ssl imap_secure imap_tls imap_use_tls "
    "imap_port_type",
}
USELESS = [
    *("daily_limit", "max_email_per_day", "warmup_enabled", "warmup_limit", "warmup_increment"),
    *("warmup", "total_warmup_per_day", "daily_rampup", "reply_rate_percentage"),
    *("custom_tracking_url", "tracking_domain", "bcc", "signature", "footer"),
    *("different_reply_to_address", "status", "created_date", "domain"),
    *("sending_wait_time_min", "sending_wait_time_max"),
]

SPELLINGS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "capitals": str.upper,
    "blanks": lambda name: name.replace("_", " ").title(),
    "together": lambda name: name.replace("_", ""),
    "other signs": lambda name: f" {name.replace('_', ' - ')}: ",
}


def refusal(content: bytes) -> str:
    """Open a file whose columns are refused, and return what its owner is told."""
    with pytest.raises(FileRefusedError) as caught:
        opened(content)
    return str(caught.value)


# Layouts.


def test_the_layouts_are_those_that_people_have() -> None:
    """The tables of this test and of the code speak of the same writers."""
    assert {*LAYOUTS} == {*HEADERS}


@pytest.mark.parametrize("name", HEADERS)
def test_a_layout_is_known_by_its_headers(name: str) -> None:
    """The exact headers of each writer are recognised, every column is used or known."""
    header, targets = HEADERS[name]
    file = opened(f"{header}\n".encode())
    assert (file.layout, file.unknown_columns) == (name, ())
    assert {*resolve(header.split(",")).targets} == targets


@pytest.mark.parametrize("name", HEADERS)
def test_a_layout_is_known_with_further_columns(name: str) -> None:
    """Somebody's notes do not make it another one."""
    header, targets = HEADERS[name]
    layout = resolve(f"{header},Notes,status".split(","))
    assert (layout.layout, {*layout.targets}, layout.unknown) == (name, targets, ("Notes",))


@pytest.mark.parametrize("name", {*HEADERS} - {"SalesBlink", "Smartlead"})
def test_the_order_of_columns_does_not_matter(name: str) -> None:
    """A sheet that somebody sorted is the same layout."""
    header, _ = HEADERS[name]
    assert resolve(header.split(",")[::-1]).layout == name


@pytest.mark.parametrize(
    ("name", "header", "options"),
    [
        ("Instantly", INSTANTLY, "Daily Limit,Warmup Enabled,Warmup Limit,Warmup Increment"),
        ("Smartlead", SALESBLINK, "max_email_per_day"),  # a sorted sheet of Smartlead
        *(
            ("Smartlead", SMARTLEAD, options)
            for options in (
                *SMARTLEAD_OPTIONS.split(","),
                *map(",".join, combinations(SMARTLEAD_OPTIONS.split(",")[-3:], 2)),
                f"max_email_per_day,{SMARTLEAD_OPTIONS.partition('address,')[2]}",
                SMARTLEAD_OPTIONS,
            )
        ),
    ],
)
def test_a_layout_is_known_with_its_optional_columns(name: str, header: str, options: str) -> None:
    """All columns of SalesBlink are among Smartlead's; the order of both tells them apart."""
    layout = resolve(f"{header},{options}".split(","))
    assert (layout.layout, layout.unknown) == (name, ())


def test_columns_of_nobody_are_read_without_a_name() -> None:
    """Reading does not depend on who wrote the file."""
    layout = resolve(["Mailbox", "Pass", "outgoing server"])
    assert layout.layout == ""
    assert first(layout) == {ADDRESS: 0, PASSWORD: 1, "smtpHost": 2}


# Names.


def test_the_names_are_those_that_people_use() -> None:
    """Each target has a field of the service or feeds several of them."""
    assert {*ALIASES} == {*ALIASES_OF} == {*FIELDS, ADDRESS, FULL_NAME, PASSWORD}


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("target", ALIASES_OF)
def test_every_name_leads_to_its_target(target: str, spelling: str) -> None:
    """Case, blanks and signs do not matter; the field's own name always works."""
    for name in (target, *ALIASES_OF[target].split(), *ALIASES[target]):
        layout = find_columns(["note", SPELLINGS[spelling](name)])
        assert (first(layout), layout.unknown) == ({target: 1}, ("note",)), name


@pytest.mark.parametrize("header", ["email,password,SMTP Host", "password,email,imap port,Name"])
def test_an_address_and_a_password_are_no_layout_beside_servers(header: str) -> None:
    """It would read as if the columns of the servers were not used."""
    assert find_columns(header.split(",")).layout == ""
    assert find_columns([*header.split(",")[:2], "Name"]).layout == "address and password"


def test_a_byte_order_mark_is_no_part_of_the_first_name() -> None:
    """Excel writes one in front of UTF-8."""
    file = opened(b"\xef\xbb\xbfemail,password\n")
    assert (file.layout, file.unknown_columns) == ("address and password", ())


def test_of_two_columns_for_one_target_the_first_counts() -> None:
    """A second one of the same meaning changes nothing and is nobody's concern."""
    layout = find_columns(["E-Mail", "smtp_user", "from_email", "login"])
    assert (first(layout), layout.unknown) == ({ADDRESS: 0, "smtpUserName": 1}, ())


# Columns that are not used.


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_known_columns_of_no_use_are_silent(spelling: str) -> None:
    """Who exports a whole tool is not told about each of its columns."""
    names = [*USELESS, *(name.replace("*", "anything") for name in IGNORED)]
    header = ["email", *map(SPELLINGS[spelling], names)]
    assert find_columns(header).unknown == ()
    assert first(find_columns(header)) == {ADDRESS: 0}


def test_columns_that_nobody_knows_are_named_once() -> None:
    """Their owner may have meant something by them; blank ones are nobody's."""
    header = "Notes,email,, Tag ,メモ,Notes,warm up,\n"
    assert find_columns(header.split(",")).unknown == ("Notes", "Tag", "メモ")


@pytest.mark.parametrize("key", ["t\ufffeag", "Tag \x07", "Hunter2-Secret!"])
def test_what_does_not_look_like_a_name_is_told_by_its_place(key: str) -> None:
    """The names go into the ledger and a mail; a password in the first row does not."""
    assert find_columns(["email", key]).unknown == ("column 2",)


def test_a_key_with_a_character_that_no_text_has_is_refused() -> None:
    """The file as a whole cannot be trusted."""
    content = json.dumps([{"email": "a@b.example", "no\x00te": 1, "\u2028": 1}])
    with pytest.raises(FileRefusedError):
        opened(content.encode())


# Refusals.


@pytest.mark.parametrize(
    "content",
    [
        b"name,phone\nRobin,1\n",
        b"First Name;SMTP Host\nRobin;smtp.north.example\n",
        b"password\n",
        b'[{"note": "x"}]',
    ],
)
def test_without_a_column_of_addresses_the_columns_are_listed(content: bytes) -> None:
    """The refusal says which names an address may have, and what else is taken."""
    said = refusal(content)
    assert "No email address column found" in said
    first, *others = ALIASES_OF[ADDRESS].split()
    assert f"Rename the address column to {first} (or {', '.join(others)}" in said
    besides = {"smtpEmailAddress", *ALIASES_OF} - {ADDRESS, "imapEmailAddress"}
    assert [target for target in besides if target not in said] == []


@pytest.mark.parametrize("first", ["", "Account"])
def test_a_file_without_header_is_refused_without_quoting_it(first: str) -> None:
    """Its first row holds passwords, and may hold the name of a column by chance."""
    line = ",".join([first, *row(ADDRESS_OF_ROW).values()])
    said = refusal(f"{line}\n{line}\n".encode())
    assert "contains an email address" in said
    assert SECRET not in said
    assert ADDRESS_OF_ROW not in said


@pytest.mark.parametrize("name", ["email", "smtp_email", "IMAP Email"])
def test_any_address_is_enough(name: str) -> None:
    """A file may have one column only; what is missing is told for each row."""
    assert opened(f"{name}\n".encode()).unknown_columns == ()
