"""What an uploader says about a file as a whole: carried as metadata, checked, used."""

import io
import json

import pytest

from email_accounts.errors import FileRefusedError
from email_accounts.intake.accounts_file import AccountsFile, open_accounts_file
from email_accounts.intake.options import understood
from email_accounts.intake.rows import Accepted
from email_accounts.models.account import Account
from email_accounts.models.upload import UploadOptions, upload_options

SET = (("smtpHost", "mail.n.example"), ("smtpPort", "587"), ("imapHost", "imap.n.example"))
ALL = UploadOptions((*SET, ("imapPort", "993")))
PASSWORD = "abcdefghijklmnop"


def opened(content: str, options: UploadOptions = ALL) -> AccountsFile:
    """Open a file with options."""
    return open_accounts_file(io.BytesIO(content.encode()), options=options)


def accounts(content: str, options: UploadOptions = ALL) -> list[Account]:
    """Return the accounts of a file; every row has to be one."""
    rows = [*opened(content, options).rows]
    assert all(isinstance(one, Accepted) for one in rows), rows
    return [one.account() for one in rows if isinstance(one, Accepted)]


def test_options_come_back_from_the_metadata_of_an_object() -> None:
    """Whatever the names of columns are, the metadata is ASCII; other metadata is left alone."""
    options = UploadOptions(SET, (("Größe & Co=", "password"), ("メモ", "")))
    assert "".join(options.metadata.values()).isascii()
    assert upload_options(options.metadata | {"mtime": "1"}) == options
    assert upload_options({"set": "provider=google&smtpPort=465"}).values[1] == ("smtpPort", "465")
    assert UploadOptions().metadata == {}


@pytest.mark.parametrize("text", ["alone", "a=%ff", "=?UTF-8?Q?a=3Db?=", "a=b&" * 600, "&" * 9])
def test_metadata_that_cannot_be_read_refuses_the_file(text: str) -> None:
    """The refusal has an example and does not quote what is there."""
    with pytest.raises(FileRefusedError, match=r"`set` cannot be read.*provider=google") as error:
        upload_options({"set": text})
    assert text not in str(error.value)


@pytest.mark.parametrize("write", ["csv", "json"])
def test_a_value_for_the_whole_file_fills_blank_cells_alone(write: str) -> None:
    """What a row says wins, also where its neighbours say nothing."""
    names = ("email", "password", "SMTP Host", "SMTP Port")
    rows = [("a@n.example", PASSWORD, "", "N/A"), ("b@n.example", PASSWORD, "own.n.example", "465")]
    content = (
        "\n".join(map(",".join, (names, *rows)))
        if write == "csv"
        else json.dumps([dict(zip(names, row, strict=True)) for row in rows])
    )
    made = [(one.smtp.host, one.smtp.port, one.smtp.encryption) for one in accounts(content)]
    assert made == [("mail.n.example", 587, "tls"), ("own.n.example", 465, "ssl")]


def test_a_provider_for_the_whole_file_brings_its_servers() -> None:
    """It may be given by any of its names, and the field by any of its own."""
    [account] = accounts(
        f"email,password\na@n.example,{PASSWORD}", UploadOptions((("Provider", "Google"),))
    )
    assert (account.provider, account.smtp.host) == ("gsuite", "smtp.gmail.com")


def test_a_mapped_column_is_read_as_it_is_told() -> None:
    """Also below title rows and in whatever case; one that is told to be ignored is ignored."""
    mapped = (("sésame ", "password"), ("Post", "email"), ("SMTP thing", ""))
    content = f"Accounts of North\n\nPost;Sésame;SMTP thing\na@gmail.com;{PASSWORD};x\n"
    file = opened(content, UploadOptions(columns=mapped))
    assert [type(one) for one in file.rows] == [Accepted]
    assert [one.code for one in file.warnings] == ["options_given"]
    assert file.warnings[0].message == (
        "as you asked, the column sésame is read as password, the column Post is read as address, "
        "the column SMTP thing is ignored"
    )


@pytest.mark.parametrize("further", [{"Sésame": PASSWORD}, {}])
def test_a_mapped_column_may_come_later_but_has_to_come(further: dict[str, str]) -> None:
    """The first item of JSON need not have every key; a mapping for none refuses the file."""
    items = [{"email": "a@gmail.com", "password": PASSWORD}, {"email": "b@gmail.com", **further}]
    file = opened(json.dumps(items), UploadOptions(columns=(("Sésame", "password"),)))
    if further:
        assert [type(one) for one in file.rows] == [Accepted] * 2
    else:
        with pytest.raises(FileRefusedError, match="no column `sesame`; its columns are: email"):
            list(file.rows)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (UploadOptions((("smtpPassword", PASSWORD),)), "A password cannot be set"),
        (UploadOptions((("app password", PASSWORD),)), "A password cannot be set"),
        (UploadOptions((("email", "a@n.example"),)), "The field email cannot be set"),
        (UploadOptions((("nothing", "x"),)), "The field nothing cannot be set"),
        (UploadOptions((("smtpPort", "x"),)), "The value set for smtpPort cannot be used"),
        (UploadOptions((("smtpHost", "a b"),)), "The value set for smtpHost cannot be used"),
        (UploadOptions((("provider", "Acme"),)), "The value set for emailServiceProvider"),
        (UploadOptions((("imapEncryption", "rot13"),)), "The value set for imapEncryption"),
        (UploadOptions(columns=(("x", "nothing"),)), "read as nothing: there is no such field"),
        (UploadOptions(columns=(("Mail", "password"), ("Pw", "email"))), "no column `pw`"),
    ],
)
def test_what_cannot_be_meant_is_one_clear_error(options: UploadOptions, message: str) -> None:
    """Unknown fields and columns, secrets, values that no row could have; no value is quoted."""
    with pytest.raises(FileRefusedError, match=message) as error:
        [*opened(f"Mail,Phone\na@gmail.com,{PASSWORD}", options).rows]
    assert PASSWORD not in str(error.value)


def test_a_misspelt_column_is_named() -> None:
    """A server of the file is not replaced by the provider's, because its name has a slip."""
    text = "email,password,smpthost,provder\na@gmail.com,x,mail.n.example,x"
    file = opened(text, UploadOptions())
    [row] = file.rows
    assert not isinstance(row, Accepted)
    assert [one.code for one in file.warnings] == ["column_near", "column_near"]
    assert file.unknown_columns == ()
    assert '--map "smpthost=smtpHost"' in file.warnings[0].message


def test_a_refusal_names_the_row_that_was_taken_for_the_header() -> None:
    """And the column that is nearly known."""
    with pytest.raises(FileRefusedError) as error:
        opened("List,\n\nEmial,Mot\na@n.example,y\n", UploadOptions())
    assert "No email address column found in row 3; its columns are: Emial, Mot." in str(
        error.value
    )
    assert "Rename the column Emial to email." in str(error.value)


def test_a_column_given_twice_is_noted_as_it_is_read() -> None:
    """The last one counts; the notes of the others stay with their own columns."""
    pairs = (("Foo", "smtpPassword"), ("foo", "smtpHost"), ("Bar", ""))
    read = understood(UploadOptions(columns=pairs))
    assert read.columns == {"foo": "smtpHost", "bar": ""}
    said = "the column foo is read as smtpHost, the column Bar is ignored"
    assert read.notes[0].message.endswith(f"you asked, {said}")
