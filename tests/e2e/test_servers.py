"""Servers found by DNS, on the cloud's own name server."""

import pytest

from tests.support.cloud import LocalCloud, Subscriber
from tests.support.files import MARK

pytestmark = pytest.mark.e2e


def test_rows_without_servers(cloud: LocalCloud, subscriber: Subscriber) -> None:
    """Those whose domain leads to servers are connected; each other one says what DNS said."""
    cloud.behave()
    domains = ("workspace", "microsoft", "own", "unknown", "missing", "broken")
    lines = (f"a@{domain}.example,{MARK}\n" for domain in domains)
    identity = cloud.upload("uploads/found.csv", f"email,password\n{''.join(lines)}".encode())
    answer = subscriber.answer(identity)
    rows = [*cloud.outcomes(identity)]
    assert [row["outcome"] for row in rows] == ["connected"] * 3 + ["rejected"] * 3
    assert [row["provider"] for row in rows[:3]] == ["gsuite", "o365", "other"]
    assert "workspace.example: Google Workspace (by MX)" in rows[0]["warnings"]
    for row, said in zip(rows[3:], ("DNS names none", "does not exist", "did not"), strict=True):
        assert said in row["reason"]
    [found] = [one for one in answer.document["warnings"] if one["code"] == "servers_found"]
    assert "own.example: mail.own.example (by SRV), 1 row" in found["message"]
