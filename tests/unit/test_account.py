"""The rules of one account."""

import pytest

from email_accounts.account import (
    ENCRYPTIONS,
    FIELDS,
    PROVIDERS,
    Problem,
    account_of,
    address_of,
    is_address,
    normalise,
    problems_of,
)
from email_accounts.secret import Secret
from tests.files import PASSWORD, account, row

ADDRESS = "robin.stone@north.example"


def problems(**changed: str) -> tuple[Problem, ...]:
    """Judge a good row with some fields changed."""
    return problems_of(normalise(list(row(ADDRESS, **changed).values())))


@pytest.mark.parametrize(
    "address",
    [
        "a@b.example",
        "Robin.Stone+news@mail.north.example",
        "o'neil_1@sub-domain.example",
        "x@xn--bcher-kva.example",
        "a@b.xn--p1ai",
    ],
)
def test_an_address_is_taken(address: str) -> None:
    """Addresses as mail servers know them pass, whatever their case."""
    assert is_address(address)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not-an-address",
        "@north.example",
        "robin@",
        "robin@north",
        "robin@@north.example",
        "robin stone@north.example",
        "<robin@north.example>",
        "robin@north.example, toni@north.example",
        ".robin@north.example",
        "robin.@north.example",
        "ro..bin@north.example",
        "robin@-north.example",
        "robin@north-.example",
        "robin@north.example.",
        "robin@north.example\n",
        "robin@north.7",
        f"robin@{'n' * 64}.example",
        f"{'r' * 250}@north.example",
        "röbin@north.example",
        "robin@nörth.example",
        "\u0131@north.example",
        "\u017f@north.example",
        "\u212a@north.example",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    """Blanks, brackets, lists, single labels and letters beyond ASCII are no address."""
    assert not is_address(text)


def test_a_good_row_has_no_problems() -> None:
    """A row with fifteen good values is an account."""
    assert problems() == ()


@pytest.mark.parametrize(
    ("field", "code", "values"),
    [
        ("emailServiceProvider", "provider_unknown", ["", "hotmail", "g mail"]),
        ("fromFirstName", "name_unusable", ["x" * 256, "Ro\x00bin", "Ro\nbin", "\ud800"]),
        ("fromLastName", "name_unusable", ["x" * 256, "Sto\x7fne", "\udfff"]),
        ("smtpEmailAddress", "address_invalid", ["", "not-an-address"]),
        ("imapEmailAddress", "address_invalid", ["", "robin@north"]),
        ("smtpUserName", "user_name_missing", ["", " ", "x" * 256]),
        ("imapUserName", "user_name_missing", ["", "a\tb"]),
        ("smtpPassword", "password_missing", ["", "  ", "x" * 256, "a\nb", "\ud800"]),
        ("imapPassword", "password_missing", ["", "\x00"]),
        ("smtpHost", "host_invalid", ["", "localhost", "http://smtp.example", "a b.example"]),
        ("imapHost", "host_invalid", ["imap.north.example:993", "imap..example", "ïmap.example"]),
        ("smtpPort", "port_invalid", ["", "0", "65536", "-1", "587.5", "smtp", "4 65", "٤٦٥"]),
        ("imapPort", "port_invalid", ["993 ssl", "99999", "+993", "true", "1e2"]),
        ("smtpEncryption", "encryption_invalid", ["", "none", "starttls"]),
        ("imapEncryption", "encryption_invalid", ["yes", "ssl/tls"]),
    ],
)
def test_a_bad_value_is_one_problem_of_its_field(field: str, code: str, values: list[str]) -> None:
    """Each bad value is named by its field and code, alone, with a message and a cure."""
    for value in values:
        (problem,) = problems(**{field: value})
        assert (problem.field, problem.code) == (field, code), repr(value)
        assert problem.message
        assert problem.cure.endswith(".")


def test_every_problem_of_a_row_is_named_in_the_order_of_the_fields() -> None:
    """A row that is wrong all over gets all its problems at once."""
    blank = problems_of([""] * len(FIELDS))
    assert [problem.field for problem in blank] == [
        field for field in FIELDS if field not in ("fromFirstName", "fromLastName")
    ]


def test_a_problem_never_quotes_the_value() -> None:
    """What stands in a field is not repeated: where columns are shifted it may be a password."""
    secret = "hunter2 <hunter2>\n"
    said = str(problems_of([secret] * len(FIELDS)))
    assert "hunter2" not in said


@pytest.mark.parametrize("port", ["1", "465", "587", "993", "65535", "587.0", "0587"])
def test_a_port_may_be_written_as_spreadsheets_do(port: str) -> None:
    """A whole number is a port, also with the decimals that a spreadsheet puts behind it."""
    assert problems(smtpPort=port) == ()
    assert account(ADDRESS, smtpPort=port).smtp.port == int(float(port))


@pytest.mark.parametrize("provider", PROVIDERS)
def test_every_provider_is_taken_in_any_case(provider: str) -> None:
    """The provider is sent in lower case, however it was written."""
    assert problems(emailServiceProvider=provider.upper()) == ()
    assert account(ADDRESS, emailServiceProvider=provider.upper()).provider == provider


@pytest.mark.parametrize("encryption", ENCRYPTIONS)
def test_every_encryption_is_taken_in_any_case(encryption: str) -> None:
    """The encryption is sent in lower case, however it was written."""
    made = account(ADDRESS, smtpEncryption=encryption.upper(), imapEncryption=encryption.title())
    assert (made.smtp.encryption, made.imap.encryption) == (encryption, encryption)


def test_blanks_around_values_go_and_blanks_inside_stay() -> None:
    """A password pasted with a line's blanks loses those around it, not those inside it."""
    made = account(f"  {ADDRESS} ", smtpPassword="\t abcd efgh ijkl mnop \n")
    assert made.smtp.address == ADDRESS
    assert made.smtp.password == Secret("abcd efgh ijkl mnop")


def test_the_case_of_addresses_and_passwords_stays() -> None:
    """Only the provider and the encryptions are folded."""
    made = account("Robin.Stone@North.example", smtpPassword="ABCdef")
    assert made.smtp.address == "Robin.Stone@North.example"
    assert made.smtp.password == Secret("ABCdef")


def test_an_account_takes_each_value_from_its_field() -> None:
    """No field is taken for another."""
    values = [f"v{at}" for at in range(len(FIELDS))]
    values[FIELDS.index("smtpPort")] = "1"
    values[FIELDS.index("imapPort")] = "2"
    made = account_of(values)
    assert (made.provider, made.first_name, made.last_name) == ("v0", "v1", "v2")
    smtp, imap = made.smtp, made.imap
    assert (smtp.address, smtp.user_name, smtp.host, smtp.encryption) == ("v3", "v4", "v6", "v8")
    assert (imap.address, imap.user_name, imap.host, imap.encryption) == ("v9", "v10", "v12", "v14")
    assert (smtp.port, imap.port) == (1, 2)
    assert made.secrets == (Secret("v5"), Secret("v11"))


def test_an_account_does_not_print_its_passwords() -> None:
    """An account may be logged by accident."""
    made = account(ADDRESS)
    assert PASSWORD not in f"{made!r} {made} {made.smtp}"
    assert ADDRESS in repr(made)


def test_the_address_of_a_row_is_shown_only_when_it_is_one() -> None:
    """Where the columns are shifted, a password stands in the address's place."""
    values = list(row(ADDRESS).values())
    assert address_of(values) == ADDRESS
    values[FIELDS.index("smtpEmailAddress")] = PASSWORD
    assert address_of(values) == ""
