"""An outcome rests on what the account list shows."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.cloud import LocalCloud
from tests.support.files import accounts_file, row

pytestmark = pytest.mark.e2e

GOOD = row("good@accounts.example")
BAD = row("bad@accounts.example", smtpPassword="wrong-password", imapPassword="wrong-password")


@pytest.fixture(autouse=True, scope="module")
def verifying(cloud: LocalCloud) -> Iterator[None]:
    """Have the account list decide, soon after a completion."""
    changed = {"VERIFY_CONNECTED": "true", "SETTLE_SECONDS": "1"}
    with (
        cloud.environment_of("submit_accounts", **changed),
        cloud.environment_of("check_status", **changed),
    ):
        yield


def outcomes(
    cloud: LocalCloud, file: Path, *rows: dict[str, str], code: int = 1
) -> list[tuple[str, str]]:
    """Drop a file of rows and return the outcome of each, and the evidence."""
    file.write_bytes(accounts_file(*rows))
    [dropped, *_] = cloud.operate("drop", "--follow", file, code=code)
    found = cloud.outcomes(dropped["importId"])
    return [(one["outcome"], one["evidence"]) for one in found]


def test_what_fails_in_silence_is_found(cloud: LocalCloud, tmp_path: Path) -> None:
    """Every tenth account is saved, never activated, and in no report."""
    cloud.behave(silent_failure_every=10)
    rows = [row(f"a{number}@accounts.example") for number in range(1, 31)]
    found = outcomes(cloud, tmp_path / "a.csv", *rows)
    assert {at for at, (outcome, _) in enumerate(found, 1) if outcome == "failed"} == {10, 20, 30}
    assert found.count(("connected", "account list")) == 27
    assert found.count(("failed", "account list")) == 3


@pytest.mark.parametrize(
    ("behaviour", "good", "bad"),
    [
        ({}, ("connected", "account list"), ("failed", "account list")),
        ({"report": "none"}, ("connected", "account list"), ("failed", "account list")),
        ({"list_lag_seconds": 0.5}, ("connected", "account list"), ("failed", "account list")),
        ({"list_ignores": ["sort"]}, ("connected", "account list"), ("failed", "account list")),
        ({"list_times": "missing"}, ("connected", "account list"), ("failed", "account list")),
        ({"list_ignores": ["page"]}, ("connected", "account list"), ("failed", "account list")),
        ({"listing_delay_seconds": 3600}, ("unconfirmed", "none"), ("failed", "report")),
    ],
)
def test_a_new_account_is_what_list_and_report_say(
    cloud: LocalCloud,
    tmp_path: Path,
    behaviour: dict[str, Any],
    good: tuple[str, str],
    bad: tuple[str, str],
) -> None:
    """Whatever the list is like."""
    cloud.behave(**behaviour)
    assert outcomes(cloud, tmp_path / "a.csv", GOOD, BAD) == [good, bad]


def test_without_a_list_nothing_is_connected(cloud: LocalCloud, tmp_path: Path) -> None:
    """What was reported is told as such."""
    cloud.behave()
    rule = {"operation": "list", "fault": "not_found", "times": None}
    cloud.control("POST", "faults", [rule])
    assert outcomes(cloud, tmp_path / "a.csv", GOOD, BAD) == [
        ("unconfirmed", "none"),
        ("failed", "report"),
    ]


@pytest.mark.parametrize("already_listed", ["tried_again", "reported"])
def test_what_was_active_and_is_sent_anyway_is_already_connected(
    cloud: LocalCloud, tmp_path: Path, already_listed: str
) -> None:
    """That its new settings work is not proven."""
    cloud.behave(already_listed=already_listed)
    file, one = tmp_path / "a.csv", row(f"{already_listed}@accounts.example")
    assert outcomes(cloud, file, one, code=0) == [("connected", "account list")]
    # What was read for the first file serves those dropped within half a minute.
    cloud.forget_accounts()
    assert outcomes(cloud, file, one, code=0) == [("already_connected", "account list")]
