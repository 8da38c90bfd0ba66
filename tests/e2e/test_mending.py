"""What was not connected is fixed, dropped again or resumed, and connected."""

import csv
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from tests.support.cloud import SAMPLE, LocalCloud, Subscriber, wait_until
from tests.support.files import accounts_file, api_key, row

pytestmark = pytest.mark.e2e

CONNECT = "/v1/email-accounts/connect"
GOOD = row("fixed@accounts.example")
REJECTED = 5
LEFT = 11  # rows of the sample that fail or are rejected


def fixed(rows: Iterable[dict[str, str]]) -> list[dict[str, str]]:
    """Fix what the fake API refuses, and the fields that `problem` names where there is one."""
    return [
        {
            name: value
            if name not in GOOD or (is_good(value) and f"{name}: " not in one.get("problem", ""))
            else GOOD[name]
            for name, value in one.items()
        }
        for one in rows
    ]


def is_good(value: str) -> bool:
    """Say whether the fake API connects an account with this value."""
    return value not in ("wrong-password", "imap-disabled") and "unreachable" not in value


def sent(cloud: LocalCloud) -> list[int]:
    """Count the accounts in each request, in the order of the calls."""
    calls = cloud.control("GET", "calls").json()
    return [one["accounts"] for one in calls if one["path"] == CONNECT]


def follow(cloud: LocalCloud, file: Path, code: int) -> tuple[str, str]:
    """Drop a file and follow it to its end; return the id of its import and the headline."""
    [dropped, *_, last] = cloud.operate("drop", "--follow", file, code=code)
    return dropped["importId"], last["headline"]


def messages(subscriber: Subscriber, identity: str) -> list[dict[str, Any]]:
    """Return the messages about an import that have come so far."""
    subscriber.receive()
    texts = (envelope["Message"] for envelope in subscriber.envelopes)
    return [json.loads(text) for text in texts if identity in text]


def test_the_failed_rows_are_mended_and_dropped_again(cloud: LocalCloud, tmp_path: Path) -> None:
    """Of the sample only what failed and what was rejected is sent again, and all is connected."""
    cloud.behave()
    first, headline = follow(cloud, SAMPLE, 1)
    assert (
        headline
        == "[default] accounts.csv, 246 rows: 234 connected, 6 failed, 5 rejected, 1 duplicate"
    )
    assert sent(cloud) == [100, 100, 40]
    left, again = tmp_path / "left.csv", tmp_path / "again.csv"
    [written] = cloud.operate("failed", first, "--output", left)
    assert (written["rows"], written["unreadable"]) == (LEFT, [])
    with left.open(encoding="utf-8-sig", newline="") as file:
        rows = fixed(csv.DictReader(file))
    again.write_bytes(accounts_file(*rows))

    _, headline = follow(cloud, again, 0)
    assert headline == f"[default] again.csv, {LEFT} rows: {LEFT} connected"
    assert sent(cloud) == [100, 100, 40, LEFT]
    known = cloud.control("GET", "accounts").json()
    assert len(known) == 240 + REJECTED
    assert {one["status"] for one in known} == {1}
    assert Counter(one["times_sent"] for one in known) == {1: 234 + REJECTED, 2: 6}


def test_the_whole_file_is_mended_and_dropped_again(cloud: LocalCloud, tmp_path: Path) -> None:
    """Where connected accounts are skipped, the whole file may be dropped: the rest is sent."""
    cloud.behave()
    follow(cloud, SAMPLE, 1)
    with SAMPLE.open(encoding="utf-8", newline="") as file:
        rows = fixed(csv.DictReader(file))
    whole = tmp_path / "whole.csv"
    whole.write_bytes(accounts_file(*rows))
    with cloud.environment_of("submit_accounts", SKIP_CONNECTED="true"):
        identity, headline = follow(cloud, whole, 1)
    assert headline == (
        "[default] whole.csv, 246 rows: 6 connected, 234 already connected, 5 rejected, 1 duplicate"
    )
    assert sum(sent(cloud)) == 240 + 6
    known = cloud.control("GET", "accounts").json()
    assert {one["status"] for one in known} == {1}
    assert Counter(one["times_sent"] for one in known) == {1: 234, 2: 6}
    assert len(cloud.outcomes(identity)) == 246


def test_a_stopped_import_is_resumed(
    cloud: LocalCloud, subscriber: Subscriber, tmp_path: Path
) -> None:
    """With the right key in its place, `resume` connects what was stopped and answers again."""
    cloud.behave()
    key = (cloud.state / "api-key").read_text()
    cloud.operate("workspace", "add", "stopped", given=api_key("wrong"), code=1)
    file = tmp_path / "accounts.csv"
    file.write_bytes(accounts_file("a@accounts.example", "b@accounts.example"))
    dropped, *_, last = cloud.operate("drop", "--follow", "--workspace", "stopped", file, code=1)
    identity = dropped["importId"]
    assert last["headline"] == "[stopped] accounts.csv, 2 rows: stopped, 2 not sent"
    assert subscriber.answer(identity).attributes["status"] == "stopped"

    cloud.control("PUT", "behaviour", {"completion_seconds": 5})
    cloud.operate("workspace", "add", "stopped", "--replace", given=key)
    assert cloud.operate("resume", identity) == [
        {"importId": identity, "resumed": True, "code": "", "reason": ""}
    ]
    polls = cloud.operate("watch", identity)
    assert polls[0]["status"] == "running"
    assert polls[-1]["headline"] == "[stopped] accounts.csv, 2 rows: resumed, 2 connected"
    wait_until(lambda: len(messages(subscriber, identity)) == 2)
    assert [one["answer"] for one in messages(subscriber, identity)] == [1, 2]
    assert sent(cloud)[-1] == 2
    known = cloud.control("GET", "accounts").json()
    assert [one["times_sent"] for one in known] == [1, 1]
