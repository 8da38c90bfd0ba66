"""`report`: the reports on an import are copied."""

import os
from pathlib import Path

import pytest

from email_accounts_cli.report import report
from email_accounts_cli.stack import Stack
from email_accounts_cli.terminal import CommandError
from tests.support.deployment import Captured, documents, imported, received
from tests.support.files import accounts_file


def test_reports_are_copied(stack: Stack, tmp_path: Path, capsys: Captured) -> None:
    """All that lies in the import's folder arrives, folders included."""
    identity = imported(stack, "a.csv", accounts_file("a@n.example"), refused="a@n.example")
    report(stack, identity, tmp_path / "to", opened=False, as_json=True)
    [document] = documents(capsys.readouterr().out)
    files = sorted(
        str(path.relative_to(tmp_path / "to")) for path in (tmp_path / "to").rglob("*.*")
    )
    assert files == sorted(document["files"])
    assert "remote/batch-000001.csv" in files
    with pytest.raises(CommandError, match=r"null: File exists\. Name another folder"):
        report(stack, identity, Path(os.devnull), opened=False, as_json=True)
    with pytest.raises(CommandError, match=r"no report on b\.csv yet"):
        report(stack, received(stack, "uploads/b.csv"), None, opened=False, as_json=False)
