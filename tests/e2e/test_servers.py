"""Servers found by DNS, on the cloud's own name server."""

import csv
from pathlib import Path

import pytest

from tests.support.cloud import LocalCloud
from tests.support.files import MARK

pytestmark = pytest.mark.e2e


def test_rows_without_servers(cloud: LocalCloud, tmp_path: Path) -> None:
    """Those whose domain leads to servers are connected; each other one says what DNS said."""
    cloud.control("POST", "reset")
    domains = ("workspace", "microsoft", "own", "unknown", "missing", "broken")
    file = tmp_path / "addresses.csv"
    lines = (f"a@{domain}.example,{MARK}\n" for domain in domains)
    file.write_text(f"email,password\n{''.join(lines)}")
    shown = cloud.take(file)
    folder = Path(shown.splitlines()[-1].removeprefix("Reports: "))
    with (folder / "outcome.csv").open(newline="", encoding="utf-8-sig") as outcome:
        rows = list(csv.DictReader(outcome))
    assert [row["outcome"] for row in rows] == ["connected"] * 3 + ["rejected"] * 3
    assert [row["provider"] for row in rows[:3]] == ["gsuite", "o365", "other"]
    assert "workspace.example: Google Workspace (by MX)" in rows[0]["warnings"]
    for row, said in zip(rows[3:], ("DNS names none", "does not exist", "did not"), strict=True):
        assert said in row["reason"]
    assert "servers found by DNS: " in shown
    known = {one["address"] for one in cloud.control("GET", "accounts").json()}
    assert known == {row["address"] for row in rows[:3]}
