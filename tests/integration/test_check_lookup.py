"""`email-accounts check` of rows without servers: what it looks up, and what it says."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from email_accounts.intake.server_lookup import ServerLookup
from email_accounts_cli import validation
from email_accounts_cli.main import commands
from local.name_server import NameServer
from tests.support.files import MARK
from tests.support.name_servers import answering

ROWS = ("a@workspace.example", "b@workspace.example", "c@own.example", "d@unknown.example")


@pytest.fixture
def name_server(monkeypatch: pytest.MonkeyPatch) -> Iterator[NameServer]:
    """Run the name server that the command asks."""
    with answering() as server:
        monkeypatch.setattr(validation, "ServerLookup", lambda: ServerLookup(server.address))
        yield server


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Make a sheet of addresses and passwords, the last row without a password."""
    path = tmp_path / "sheet.csv"
    lines = [f"{address},{MARK}" for address in ROWS]
    path.write_text("\n".join(["email,password", *lines, "e@workspace.example,", ""]))
    return path


def test_a_person_sees_what_was_found(name_server: NameServer, file: Path) -> None:
    """Each domain is named once with its rows, and the counts are those of an import."""
    done = CliRunner().invoke(commands, ["check", str(file)])
    assert done.exit_code == 1
    assert (
        "Servers found:\n"
        "  workspace.example: Google Workspace (by MX), 2 rows\n"
        "  own.example: mail.own.example (by SRV), 1 row\n"
    ) in done.output
    assert "5 rows: 3 accepted, 2 rejected, 0 duplicates" in done.output
    assert "DNS names none for unknown.example" in " ".join(done.output.split())
    assert ("workspace.example", "MX") in name_server.questions


def test_a_program_gets_each_problem_once(name_server: NameServer, file: Path) -> None:
    """What the first reading said before the lookup is gone."""
    done = CliRunner().invoke(commands, ["check", "--json", str(file)])
    document = json.loads(done.output)
    assert [(one["row"], one["code"]) for one in document["problems"]] == [
        (5, "servers_missing"),
        (6, "password_missing"),
    ]
    [found] = [one for one in document["warningDetails"] if one["code"] == "servers_found"]
    assert found["rows"] == 3
    assert len(name_server.questions) == len(set(name_server.questions))


def test_offline_nothing_is_asked(name_server: NameServer, file: Path) -> None:
    """Rows without servers are rejected then, and no packet leaves this computer."""
    done = CliRunner().invoke(commands, ["check", "--offline", "--json", str(file)])
    assert json.loads(done.output)["accepted"] == 0
    assert name_server.questions == []


def test_a_pipe_is_read_once(name_server: NameServer, file: Path) -> None:
    """It cannot be read again when the servers are known."""
    reading, writing = os.pipe()
    os.write(writing, file.read_bytes())
    os.close(writing)
    done = CliRunner().invoke(commands, ["check", "--json", f"/dev/fd/{reading}"])
    os.close(reading)
    assert json.loads(done.output)["rejected"] == 5
    assert name_server.questions == []
