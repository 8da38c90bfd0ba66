"""`list` and `show`: what is known of imports."""

import re
import time
from datetime import datetime
from functools import partial
from itertools import count

import boto3
import click
import pytest

from email_accounts.models.imports import BatchRange, Plan
from email_accounts.models.upload import import_id
from email_accounts_cli.history import History
from email_accounts_cli.main import Moment
from email_accounts_cli.show import Wanted, list_imports, show
from email_accounts_cli.stack import Stack
from email_accounts_cli.terminal import CommandError
from email_accounts_cli.watch import _Watched
from tests.support.deployment import NOW, Captured, documents, imported, ledger, received
from tests.support.files import MARK, accounts_file, row
from tests.support.ledger import planned, send, submit


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90m", time.time() - 5_400),
        ("7d", time.time() - 7 * 86_400),
        ("1795354735.7164035", 1795354735.7164035),
        ("2026-11-22T13:38:55Z", 1795354735),
        ("2026-11-22T14:38:55+01:00", 1795354735),
    ],
    ids=["minutes", "days", "epoch", "UTC", "another zone"],
)
def test_times_are_read_as_people_write_them(text: str, seconds: float) -> None:
    """How long ago, a date with its zone, or the exact number of a next page."""
    assert Moment().convert(text, None, None) == pytest.approx(seconds, abs=600)


@pytest.mark.parametrize("text", ["yesterday", "7", "7w", "2026-13-01"])
def test_what_is_no_time_is_refused(text: str) -> None:
    """The error shows how to write one."""
    with pytest.raises(click.BadParameter, match="write 7d, 12h"):
        Moment().convert(text, None, None)


def test_the_list_is_newest_first_and_paged(stack: Stack, capsys: Captured) -> None:
    """The last import of a page has the cursor of the next one, which follows without a gap."""
    since = NOW - 3 * 86_400
    times = [NOW, NOW - 0.000001, NOW - 86_400, since, since - 0.5]
    ids = [received(stack, f"uploads/{at}.csv", time) for at, time in enumerate(times)]
    shown: list[str] = []
    wanted = Wanted(since, None, None, None)
    for _ in range(2):
        list_imports(stack, wanted, 2, as_json=True)
        page = documents(capsys.readouterr().out)
        shown += [one["importId"] for one in page]
        *others, cursor = [one["next"] for one in page]
        assert not any(others)
        assert bool(cursor) == (len(shown) == 2)
        list_imports(stack, wanted, 2, as_json=False)
        assert (f"--before {cursor}" in capsys.readouterr().out) == bool(cursor)
        if cursor:
            wanted = Wanted(wanted.since, Moment().convert(cursor, None, None), None, None)
    assert shown == ids[:4]


def test_the_expected_end_moves_on(stack: Stack, capsys: Captured) -> None:
    """It is estimated again from queue and batches each time, by `list`, `show` and `watch`."""
    now = time.time()
    identity, book = received(stack, "uploads/a.csv", now), ledger(stack)
    ranges = tuple(BatchRange(number, number + 1, number + 1, 1) for number in range(1, 11))
    planned(book, identity, Plan(ranges, 10, 0, 0), now, expected_end=now + 7)
    history = History(stack)

    def expected() -> float:
        list_imports(stack, Wanted(now - 60, None, None, None), 2, as_json=True)
        show(stack, identity, as_json=True)
        told = [one["expectedEnd"] for one in documents(capsys.readouterr().out)]
        watched = _Watched(history, identity, "", "")
        watched.poll()
        ends = [datetime.fromisoformat(one).timestamp() for one in told]
        assert ends == pytest.approx([watched.progress.expected_end] * 2, abs=5)
        return watched.progress.expected_end - time.time()

    assert expected() == pytest.approx(10 * 3 * 66 / 60 + 25, abs=5)
    book.close_budget("default", now, now + 100)
    assert expected() == pytest.approx(100 + 10 * 3 * 66 / 60 + 25, abs=5)
    for number in range(1, 6):
        send(book, identity, number, now)
        submit(book, identity, number, now)
    assert expected() == pytest.approx(5 * 3 * 66 / 60 + 25, abs=5)


def listed(stack: Stack, capsys: Captured, status: str | None, workspace: str | None) -> set[str]:
    """Return the ids that `list` prints."""
    list_imports(stack, Wanted(NOW - 60, None, status, workspace), 20, as_json=True)
    return {one["importId"] for one in documents(capsys.readouterr().out)}


def test_the_list_is_filtered(stack: Stack, capsys: Captured) -> None:
    """Status and workspace choose; the default workspace has what is directly in uploads."""
    north = received(stack, "uploads/north/a.csv")
    done = imported(stack, "b.csv", accounts_file("a@n.example"))
    some = imported(
        stack, "c.csv", accounts_file("a@n.example", "b@n.example"), refused="a@n.example"
    )

    found = partial(listed, stack, capsys)
    assert found(None, None) == {north, done, some}
    assert found("running", None) == {north}
    assert found("partial", None) == {some}
    assert found(None, "north") == {north}
    assert found("complete", "default") == {done}


def test_duplicates_are_counted_in_the_plural(stack: Stack, capsys: Captured) -> None:
    """By `list` and `show`, as in the headline."""
    identity = imported(stack, "a.csv", accounts_file("a@n.example", "A@n.example", "a@N.example"))
    list_imports(stack, Wanted(NOW - 60, None, None, None), 1, as_json=False)
    assert "3 rows: 1 connected, 2 duplicates" in capsys.readouterr().out
    show(stack, identity, as_json=False)
    assert re.search(r"^Duplicates +2 *$", capsys.readouterr().out, re.MULTILINE)


def test_an_import_is_found_by_the_beginning_of_its_id(stack: Stack) -> None:
    """Where two ids begin alike, both are named; what is no id is told so."""
    seen: dict[str, str] = {}
    bucket = stack.output("InboxBucketName")
    for number in count():
        key = f"uploads/{number}.csv"
        other = seen.setdefault(import_id(bucket, key, "v1")[:4], key)
        if other != key:
            break
    one, two = received(stack, key), received(stack, other)
    history = History(stack)
    assert history.find(one[:31]).id == one
    assert history.find(two).id == two
    with pytest.raises(CommandError, match=f"More than one import begins with {one[:4]}") as error:
        history.find(one[:4])
    assert one in error.value.message
    assert two in error.value.message
    for given in ("zz", "abc", "0" * 32):
        with pytest.raises(CommandError, match="email-accounts list"):
            history.find(given)


def test_show_tells_everything(stack: Stack, capsys: Captured) -> None:
    """File, counts, batches with request ids, reports and what happened are in one document."""
    identity = imported(
        stack,
        "north/a.csv",
        accounts_file("a@n.example", "b@n.example", row("c@n.example", smtpPort="x")),
        refused="b@n.example",
    )
    show(stack, identity, as_json=True)
    [document] = documents(capsys.readouterr().out)
    assert document["workspace"] == "north"
    assert document["counts"] == {"rows": 3, "connected": 1, "failed": 1, "rejected": 1}
    assert (
        document["upload"]["address"]
        == f"s3://{stack.output('InboxBucketName')}/uploads/north/a.csv"
    )
    [batch] = document["batches"]
    assert (batch["requestId"], batch["state"], batch["accounts"]) == ("request-1", "completed", 2)
    assert {"outcome", "summary"} <= document["reports"].keys()
    assert document["messageSent"]
    assert document["execution"]["status"] == "not started"
    assert [one["code"] for one in document["timeLine"]] == ["received", "first_batch_sent"]
    show(stack, identity, as_json=False)
    printed = capsys.readouterr().out
    assert "request-1" in printed
    assert MARK not in printed


def test_a_failed_execution_is_a_broken_import(stack: Stack, capsys: Captured) -> None:
    """An import whose execution was ended is not said to run."""
    identity = received(stack, "uploads/a.csv")
    machines = boto3.client("stepfunctions")
    machine = stack.output("TrackImportStateMachineArn")
    arn = machines.start_execution(stateMachineArn=machine, name=identity)["executionArn"]
    assert listed(stack, capsys, "running", None) == {identity}
    machines.stop_execution(executionArn=arn)
    assert listed(stack, capsys, "broken", None) == {identity}
