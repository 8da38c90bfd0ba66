"""What commands print cannot steer the terminal; what they copy cannot leave its folder."""

import io
from pathlib import Path

import pytest

from email_accounts.models.service import AccountStatus
from email_accounts.saleshandy.reconciliation import (
    Observation,
    read_reconciliation,
    write_reconciliation,
)
from email_accounts_cli.report import _place
from email_accounts_cli.terminal import CommandError, console, echo, table

STEERING = "a\x1b[2Jb\x9bc\u202ed\u200be\rf"


def test_nothing_that_is_printed_steers_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Lines, cells of tables, texts of the console and errors."""
    echo(STEERING)
    echo(STEERING, err=True)
    console().print(STEERING, style="bold")
    console().print(table((STEERING,), [(STEERING,)]))
    CommandError(STEERING).show()
    out, err = capsys.readouterr()
    assert not {*out, *err} & {*"\x1b\x9b\u202e\u200b\r"}
    assert out.count("a?[2Jb?c?d?e f") == 4
    assert err.count("a?[2Jb?c?d?e f") == 2


@pytest.mark.parametrize(
    "name", ["../x", "a/../../x", "/etc/x", "a//x", "C:x", "a\\..\\x", ".", "x\x1b", "x/"]
)
def test_an_object_cannot_leave_the_folder(tmp_path: Path, name: str) -> None:
    """Names of objects are anybody's who may write into the bucket."""
    with pytest.raises(CommandError, match="not the name of a report"):
        _place(tmp_path, name)


def test_a_copy_overwrites_nothing(tmp_path: Path) -> None:
    """Two imports are never mixed in one folder, and no link is followed."""
    assert _place(tmp_path, "remote/batch-000001.csv") == tmp_path / "remote/batch-000001.csv"
    (tmp_path / "outcome.csv").touch()
    (tmp_path / "link.csv").symlink_to(tmp_path / "nowhere")
    for name in ("outcome.csv", "link.csv"):
        with pytest.raises(CommandError, match="exists"):
            _place(tmp_path, name)


def test_an_address_is_no_formula_in_a_reconciliation_record() -> None:
    """And it is read back as it was."""
    text = io.StringIO(newline="")
    known = {
        "+a@b.example": Observation(AccountStatus.ABSENT, AccountStatus.ACTIVE, is_new=True),
        "c@d.example": Observation(AccountStatus.ACTIVE, sent=False),
        "e@f.example": Observation(sent=False, held=True),
    }
    write_reconciliation(text, known)
    assert "\n'+a@b.example" in text.getvalue()
    text.seek(0)
    assert read_reconciliation(text) == known
