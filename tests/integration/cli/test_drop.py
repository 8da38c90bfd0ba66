"""`drop`: checked files go into the inbox, all of them or none."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from click.testing import CliRunner

from email_accounts.aws.s3 import InboxBucket
from email_accounts.models.upload import Upload, UploadOptions, import_id
from email_accounts_cli.drop import drop
from email_accounts_cli.main import commands
from email_accounts_cli.stack import Stack
from email_accounts_cli.terminal import CommandError
from tests.support.deployment import Captured, deployed, documents, stored
from tests.support.files import accounts_file, row


@pytest.mark.parametrize(
    ("workspace", "key"),
    [("default", "uploads/a+b é.csv"), ("north", "uploads/north/a+b é.csv")],
)
def test_a_file_goes_into_the_share_of_its_workspace(
    stack: Stack, tmp_path: Path, capsys: Captured, workspace: str, key: str
) -> None:
    """The upload is under the workspace's prefix, and the id is that of the import it becomes."""
    if workspace != "default":
        boto3.client("secretsmanager").create_secret(Name=f"{stack.name}/workspaces/{workspace}")
    file = tmp_path / "a+b é.csv"
    file.write_bytes(accounts_file("a@n.example"))
    assert drop(stack, [file], workspace, anyway=False, follow=False, as_json=True) == 0
    [document] = documents(capsys.readouterr().out)
    [(found, version, size)] = stored(stack)
    assert (found, size) == (key, len(file.read_bytes()))
    assert document["importId"] == import_id(stack.output("InboxBucketName"), key, version)
    assert document["workspace"] == workspace


def test_a_large_file_goes_up_in_parts(stack: Stack, tmp_path: Path, capsys: Captured) -> None:
    """The import of an upload in parts is known by the version that its last answer names."""
    file = tmp_path / "large.csv"
    file.write_bytes(os.urandom(9 << 20))
    drop(stack, [file], "default", anyway=True, follow=False, as_json=True)
    [(key, version, size)] = stored(stack)
    head = boto3.client("s3").head_object(Bucket=stack.output("InboxBucketName"), Key=key)
    assert head["ETag"].endswith('-2"')
    assert size == 9 << 20
    [document] = documents(capsys.readouterr().out)
    assert document["version"] == version


def test_one_file_that_is_refused_stops_all(stack: Stack, tmp_path: Path, capsys: Captured) -> None:
    """Nothing is uploaded where a file is refused as a whole, but what is wanted anyway."""
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_bytes(accounts_file("a@n.example"))
    bad.write_text("a,b\n1,2\n", encoding="utf-8")
    with pytest.raises(CommandError, match="Nothing was uploaded"):
        drop(stack, [good, bad], "default", anyway=False, follow=False, as_json=False)
    assert "bad.csv: No email address column found" in capsys.readouterr().err
    assert stored(stack) == []
    drop(stack, [good, bad], "default", anyway=True, follow=False, as_json=False)
    assert len(stored(stack)) == 2


SOME = accounts_file("a@n.example", row("b@n.example", smtpPort="x"))


@pytest.mark.parametrize(
    ("content", "workspace", "wish", "said"),
    [
        (b"", "default", {"anyway": True, "follow": True}, "a.csv is empty"),
        (bytes(2_000_000), "default", {}, "the limit of the stack is 1 MB"),
        (SOME, "south", {}, "email-accounts workspace add south"),
        (SOME, "default", {"strict": True}, "email-accounts check /"),
    ],
    ids=["empty", "large", "no such workspace", "strict"],
)
def test_what_cannot_be_taken_is_not_uploaded(  # noqa: PLR0913, PLR0917  one column each
    stack: Stack,
    tmp_path: Path,
    capsys: Captured,
    content: bytes,
    workspace: str,
    wish: dict[str, Any],
    said: str,
) -> None:
    """An empty file would start no import, and its dropper wait forever."""
    file = tmp_path / "a.csv"
    file.write_bytes(content)
    small = replace(stack, parameters={**stack.parameters, "MaxFileMegabytes": "1"})
    asked = {"anyway": False, "follow": False, "as_json": False} | wish
    with pytest.raises(CommandError) as error:
        drop(small, [file], workspace, **asked)
    assert said in error.value.message + capsys.readouterr().err
    assert stored(stack) == []


def test_what_a_terminal_cannot_show_stops_nothing(stack: Stack, tmp_path: Path) -> None:
    """Where the output has no such characters, others are in their place."""
    file = tmp_path / "größe.csv"
    file.write_bytes(accounts_file("a@n.example"))
    with deployed(stack):
        done = CliRunner(charset="latin-1").invoke(
            commands, ["drop", str(file), "--stack", stack.name]
        )
    assert done.exit_code == 0
    assert "größe.csv ? s3://" in done.stdout


SAID = ("--set", "provider=google", "--map", "Sesam offen=password")


def test_what_a_file_cannot_say_goes_with_it(stack: Stack, tmp_path: Path) -> None:
    """The check and the import read the file by the same options, of which no password is one."""
    file = tmp_path / "a.csv"
    file.write_text("email,Sesam offen\na@n.example,abcdefghijklmnop\n", encoding="utf-8")
    with deployed(stack):
        arguments = ["drop", str(file), "--stack", stack.name, "--strict"]
        assert CliRunner().invoke(commands, arguments).exit_code == 2
        done = CliRunner().invoke(commands, [*arguments, *SAID])
        refused = CliRunner().invoke(commands, [*arguments, "--set", "smtpPassword=abcdefgh"])
    assert (done.exit_code, done.stderr) == (0, "")
    [(key, version, size)] = stored(stack)
    upload = Upload(stack.output("InboxBucketName"), key, version, size)
    options = InboxBucket(boto3.client("s3")).options(upload)
    assert options.values == (("provider", "google"),)
    assert options.columns == (("Sesam offen", "password"),)
    assert refused.exit_code == 2
    assert refused.stderr == (
        "Error: A password cannot be set for a whole file. Put it into a column of the file.\n"
    )


@pytest.mark.parametrize(("answer", "uploads"), [("y\n", 1), ("n\n", 0), ("\n", 0)])
def test_a_person_is_asked_before_passwords_leave(
    stack: Stack, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, answer: str, uploads: int
) -> None:
    """The counts and warnings come first; only yes uploads."""
    file = tmp_path / "a.csv"
    file.write_bytes(SOME)
    monkeypatch.setattr("email_accounts_cli.main.is_interactive", lambda: True)
    with deployed(stack):
        arguments = ["drop", str(file), "--stack", stack.name]
        told = CliRunner().invoke(commands, arguments, input=answer)
    assert "a.csv: 2 rows: 1 accepted, 1 rejected, 0 duplicates" in told.stderr
    assert "Warning: row 2: Google accepts only app passwords" in told.stderr
    assert f"to the workspace default of {stack.name}? [y/N]" in told.stderr
    assert (told.exit_code, len(stored(stack))) == (0 if uploads else 2, uploads)


@pytest.mark.parametrize("resend", [False, True])
def test_a_file_says_whether_everything_is_sent(
    stack: Stack, tmp_path: Path, capsys: Captured, *, resend: bool
) -> None:
    """The object carries it, in one part or in several."""
    for size in (10, 9 << 20):
        file = tmp_path / f"{size}.csv"
        file.write_bytes(bytes(size))
        options = UploadOptions(resend=resend)
        drop(stack, [file], "default", anyway=True, follow=False, as_json=True, options=options)
        [document] = documents(capsys.readouterr().out)
        upload = Upload(document["bucket"], document["key"], document["version"], size)
        assert InboxBucket(boto3.client("s3")).options(upload).resend is resend
