"""Every command on terminals of 60, 80 and 130 columns."""

import re
from pathlib import Path
from typing import TYPE_CHECKING

import boto3
import pytest
from click.testing import CliRunner

from email_accounts_cli.check import check_files
from email_accounts_cli.doctor import doctor
from email_accounts_cli.drop import drop
from email_accounts_cli.failed import failed
from email_accounts_cli.main import commands
from email_accounts_cli.recovery import redrive
from email_accounts_cli.report import report
from email_accounts_cli.show import Wanted, list_imports, show
from email_accounts_cli.stack import Stack
from email_accounts_cli.terminal import wrapped
from email_accounts_cli.watch import watch
from email_accounts_cli.workspaces import listed, try_workspace
from tests.support.deployment import NOW, complete, imported, received
from tests.support.files import accounts_file, row
from tests.support.terminal import shown_on_terminal
from tools.docs.commands import every_command

if TYPE_CHECKING:
    from collections.abc import Callable

WIDTHS = pytest.mark.parametrize("columns", [60, 80, 130])
NAME = f"{'accounts of a client ' * 4}.csv"
ADDRESS = "first.of.a.long.name@accounts-of-a-client.example"
CONTENT = accounts_file(
    ADDRESS, ADDRESS, row("b@n.example", smtpPort="0"), row("c@n.example", imapHost="http://c")
)


def too_wide(text: str, columns: int) -> list[str]:
    """Return the lines that are too wide, except a command or an address on its own line."""
    return [
        line
        for line in text.splitlines()
        if len(line) > columns and not re.fullmatch(r" *(?:email-accounts .+|\S+)", line)
    ]


@WIDTHS
def test_what_commands_print_fits_the_terminal(
    stack: Stack, tmp_path: Path, columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No line is wider, no column is squeezed, ids and commands stay whole."""
    monkeypatch.chdir(tmp_path)
    complete(stack)
    boto3.client("secretsmanager").create_secret(Name=f"{stack.name}/workspaces/{'n' * 30}")
    identity = imported(stack, NAME, CONTENT, refused=ADDRESS)
    running = received(stack, f"uploads/north/{NAME}", NOW - 1)
    recent = Wanted(NOW - 60, None, None, None)
    file = tmp_path / "accounts.csv"
    file.write_bytes(CONTENT)
    runs: dict[str, Callable[[], object]] = {
        "check": lambda: check_files([file.name], 1, offline=True, as_json=False),
        "drop": lambda: drop(stack, [file], "default", anyway=True, follow=False, as_json=False),
        "list": lambda: list_imports(stack, recent, 9, as_json=False),
        "page": lambda: list_imports(stack, recent, 1, as_json=False),
        "show": lambda: show(stack, identity, as_json=False),
        "watch": lambda: watch(stack, [identity], as_json=False),
        "report": lambda: report(stack, identity, Path("reports"), opened=False, as_json=False),
        "failed": lambda: failed(stack, identity, None, as_json=False),
        "doctor": lambda: doctor(stack, as_json=False),
        "redrive": lambda: redrive(stack, as_json=False),
        "workspaces": lambda: listed(stack, as_json=False),
        "test": lambda: try_workspace(stack, "default", as_json=False),
    }
    shown = {name: shown_on_terminal(run, columns) for name, run in runs.items()}
    assert {name: wide for name, text in shown.items() if (wide := too_wide(text, columns))} == {}
    checked = " ".join(shown["check"].split())
    for whole in ("smtpPort", "not a port", "Enter a number from 1 to 65535", "4 rows: 1 accepted"):
        assert whole in checked
    assert identity in shown["show"]
    folder = f"s3://{stack.output('ReportsBucketName')}/imports/{identity}"
    assert f"{folder}/report.html\n" in shown["show"]
    assert f"email-accounts failed {identity[:8]}" in shown["watch"]
    for whole in (identity[:8], running[:8], "running", "failed", "north"):
        assert whole in shown["list"]
    assert "4 rows: 1 failed, 2 rejected, 1 duplicate" in " ".join(shown["list"].split())
    assert "--before" in shown["page"]
    assert re.search("^Batch +Rows +Accounts +State +Request +Reason", shown["show"], re.MULTILINE)
    assert re.match("Workspace +Key +Results go to", shown["workspaces"])


@WIDTHS
def test_help_fits_the_terminal(columns: int) -> None:
    """Of each command."""
    for name, _ in every_command():
        words = [*name.split(), "--help"]
        text = CliRunner().invoke(commands, words, terminal_width=columns).output
        assert too_wide(text, columns) == [], name


@WIDTHS
def test_commands_and_addresses_are_not_broken(columns: int) -> None:
    """They stay whole, to be copied; all else is wrapped below the start of its line."""
    command = "email-accounts workspace add accounts-of-a-client --replace"
    text = wrapped(f"  The key of the workspace is refused. To replace it: {command}", columns)
    assert command in text
    assert too_wide(text.replace(command, command.replace(" ", "_")), columns) == []
    assert all(line.startswith("  ") for line in text.splitlines())
    assert "s3://bucket/a/b" in wrapped(f"{'x ' * 40}s3://bucket/a/b", columns)
