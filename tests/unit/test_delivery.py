"""Delivering, on fakes: one outcome per row, the counts, and the one message."""

import csv
import io
import json
from collections import Counter
from typing import Any

import pytest

from email_accounts.delivery import OUTCOME_NAME, PAGE_NAME, SUMMARY_NAME
from email_accounts.errors import (
    ApiKeyRefusedError,
    ReportUnavailableError,
    RequestRefusedError,
    UnansweredError,
)
from email_accounts.message import ImportStatus
from email_accounts.ports import Message
from email_accounts.submission import SAFE_MARGIN
from email_accounts.upload import Upload
from tests.fakes import World
from tests.files import PASSWORD, accounts_file, row

ADDRESSES = tuple(f"a{number}@reach.example" for number in range(1, 6))


def plenty() -> float:
    """Return the seconds of an invocation that has just begun."""
    return 300.0


@pytest.fixture
def world() -> World:
    """Give a world in which nothing has happened; a batch has two accounts."""
    return World()


def submitted(world: World, *rows: str | dict[str, str]) -> Upload:
    """Submit a file of these rows, or of five accounts, which is three batches."""
    upload = world.uploads.put("uploads/accounts.csv", accounts_file(*(rows or ADDRESSES)))
    world.submitter().take(upload, plenty)
    return upload


def looked_at(world: World, *rows: str | dict[str, str]) -> Upload:
    """Submit a file and look once."""
    upload = submitted(world, *rows)
    world.tracker().look(upload.import_id, plenty)
    return upload


def delivered(world: World, upload: Upload, failure: str = "") -> Message:
    """Deliver the answer and return its one message."""
    world.deliverer().deliver(upload.import_id, failure)
    (message,) = world.notifications.messages
    return message


def outcome(world: World, upload: Upload) -> list[dict[str, str]]:
    """Return the rows of outcome.csv."""
    text = world.reports.texts[upload.import_id, OUTCOME_NAME]
    assert text.startswith("\ufeff")
    return list(csv.DictReader(io.StringIO(text[1:], newline="")))


def summary(world: World, upload: Upload) -> dict[str, Any]:
    """Return summary.json."""
    loaded: dict[str, Any] = json.loads(world.reports.texts[upload.import_id, SUMMARY_NAME])
    return loaded


def brief(world: World, upload: Upload) -> list[tuple[str, str]]:
    """Return the row number and the outcome of each row."""
    return [(one["row"], one["outcome"]) for one in outcome(world, upload)]


# Every outcome


def everything(world: World) -> Upload:
    """Let a file end with an outcome of every kind that there is so far."""
    world.remote.failing[ADDRESSES[1]] = "Sign-in refused"
    world.remote.connect_errors.extend([None, None, UnansweredError("no answer came")])
    return looked_at(
        world,
        *(ADDRESSES[0], ADDRESSES[1], row("bad@reach.example", smtpPort="0", imapHost="-")),
        *(ADDRESSES[2], ADDRESSES[3], ADDRESSES[0].upper(), ADDRESSES[4]),
    )


def test_every_row_ends_with_one_outcome(world: World) -> None:
    """Rows come in the order of the file with the numbers a spreadsheet shows."""
    upload = everything(world)
    delivered(world, upload)
    assert brief(world, upload) == [
        ("2", "connected"),
        ("3", "failed"),
        ("4", "rejected"),
        ("5", "connected"),
        ("6", "connected"),
        ("7", "duplicate"),
        ("8", "unconfirmed"),
    ]


def test_every_outcome_that_is_not_good_has_its_reason(world: World) -> None:
    """A reason says what happened; a rejection names each field with its cure."""
    upload = everything(world)
    delivered(world, upload)
    reasons = {one["row"]: one["reason"] for one in outcome(world, upload)}
    assert reasons["2"] == ""
    assert reasons["3"] == "Sign-in refused"
    assert "smtpPort: this is not a port; imapHost: this is not the name" in reasons["4"]
    assert reasons["7"] == "the same address as in row 2"
    assert reasons["8"] == "no answer came"


def test_the_counts_add_up(world: World) -> None:
    """The counts of outcome.csv, summary.json and the message are the same."""
    upload = everything(world)
    message = delivered(world, upload)
    counts = Counter(one["outcome"] for one in outcome(world, upload))
    told = summary(world, upload)["counts"]
    assert told.pop("rows") == 7
    assert {name: count for name, count in told.items() if count} == counts
    assert json.loads(message.document)["counts"] == {"rows": 7, **told}
    assert message.subject == (
        "accounts.csv: 3 connected, 1 failed, 1 unconfirmed, 1 rejected, 1 duplicate"
    )
    assert message.attributes == {"status": "partial", "workspace": "default", "failed": 1}


def test_the_summary_names_every_request(world: World) -> None:
    """A machine finds each batch with its rows, its request id and what became of it."""
    upload = everything(world)
    delivered(world, upload)
    batches = summary(world, upload)["batches"]
    assert [
        (one["batch"], one["firstRow"], one["lastRow"], one["accounts"], one["requestId"])
        for one in batches
    ] == [(1, 2, 3, 2, "request-1"), (2, 5, 6, 2, "request-2"), (3, 8, 8, 1, "")]
    assert [one["state"] for one in batches] == ["completed", "completed", "unconfirmed"]


def test_the_message_says_where_the_reports_lie(world: World) -> None:
    """Each report is named by its address and its place in the console."""
    upload = everything(world)
    message = delivered(world, upload)
    folder = f"s3://reports/imports/{upload.import_id}"
    document = json.loads(message.document)
    assert document["reports"] == {
        "page": f"{folder}/report.html",
        "outcome": f"{folder}/outcome.csv",
        "summary": f"{folder}/summary.json",
    }
    assert document["console"].keys() == document["reports"].keys()
    for text in (f"{folder}/outcome.csv", document["console"]["page"], upload.import_id):
        assert text in message.mail


def test_reports_are_written_before_the_message(world: World) -> None:
    """Who reads the message finds the reports; the import is closed last."""
    upload = submitted(world, ADDRESSES[0])
    before = len(world.journal.entries)
    delivered(world, upload)
    assert [entry[0] for entry in world.journal.entries[before:]] == [
        *("report", "report", "report", "publish", "notified")
    ]


def test_reports_have_their_types(world: World) -> None:
    """A browser is told what a report is."""
    upload = looked_at(world)
    delivered(world, upload)
    assert world.reports.content_types == {
        (upload.import_id, OUTCOME_NAME): "text/csv; charset=utf-8",
        (upload.import_id, PAGE_NAME): "text/html; charset=utf-8",
        (upload.import_id, SUMMARY_NAME): "application/json; charset=utf-8",
    }


def test_a_file_all_connected_is_complete(world: World) -> None:
    """Duplicates beside connected accounts do not make an import partial."""
    upload = looked_at(world, ADDRESSES[0], ADDRESSES[0])
    message = delivered(world, upload)
    assert message.attributes["status"] == "complete"
    assert message.subject == "accounts.csv: 1 connected, 1 duplicate"


def test_a_file_of_rejected_rows_is_partial(world: World) -> None:
    """Where nothing could be sent the answer still has every row."""
    upload = looked_at(world, "no address", "none either")
    message = delivered(world, upload)
    assert message.attributes["status"] == "partial"
    assert [one["outcome"] for one in outcome(world, upload)] == ["rejected"] * 2


def test_every_row_has_its_provider_and_what_to_do(world: World) -> None:
    """The cure stands beside the reason, which stays as it was."""
    upload = everything(world)
    delivered(world, upload)
    rows = {one["row"]: one for one in outcome(world, upload)}
    columns = ["row", "address", "provider", "outcome", "reason", "what to do"]
    assert list(rows["2"]) == columns
    assert {number: one["provider"] for number, one in rows.items()} == {
        **dict.fromkeys(("2", "3", "5", "6", "8"), "gsuite"),
        **dict.fromkeys(("4", "7"), ""),
    }
    assert rows["2"]["what to do"] == ""
    assert "make an app password" in rows["3"]["what to do"]
    assert rows["4"]["what to do"].startswith("Give a number from 1 to 65535")
    assert rows["7"]["what to do"].startswith("Nothing")
    assert rows["8"]["what to do"].startswith("Look for the addresses in Saleshandy")


# Secrets and formulas


def test_no_report_and_no_message_holds_a_password(world: World) -> None:
    """Whatever became of a row, its password is nowhere to be found."""
    world.remote.failing[ADDRESSES[0]] = f"Sign-in refused: {PASSWORD}"
    shifted = row("a9@reach.example", smtpEmailAddress=PASSWORD)
    upload = looked_at(world, *ADDRESSES, shifted, row("b@x.example", smtpPort=PASSWORD))
    message = delivered(world, upload)
    assert PASSWORD not in str(world.reports.texts)
    assert PASSWORD not in str(message)
    assert PASSWORD not in str(world.journal.entries)


@pytest.mark.parametrize("reason", ["=1+1", "+1", "-1", "@x", '=HYPERLINK("http://x","y")', "\t=1"])
def test_no_cell_of_the_outcome_is_a_formula(world: World, reason: str) -> None:
    """A spreadsheet takes what the service said for text."""
    world.remote.failing[ADDRESSES[0]] = reason
    upload = looked_at(world, ADDRESSES[0])
    delivered(world, upload)
    (one,) = outcome(world, upload)
    assert one["reason"] == f"'{reason.strip()}"


def test_an_address_that_looks_like_a_formula_is_text(world: World) -> None:
    """An address may begin with a plus sign."""
    upload = looked_at(world, "+news@reach.example")
    delivered(world, upload)
    (one,) = outcome(world, upload)
    assert one["address"] == "'+news@reach.example"


def test_a_reason_of_several_lines_stays_one_cell(world: World) -> None:
    """Line breaks, quotes and commas in a reason do not break the rows."""
    world.remote.failing[ADDRESSES[0]] = 'said "no",\nand again\r\nno'
    upload = looked_at(world)
    delivered(world, upload)
    assert [one["row"] for one in outcome(world, upload)] == ["2", "3", "4", "5", "6"]
    assert outcome(world, upload)[0]["reason"] == 'said "no",\nand again\r\nno'


def test_long_reasons_do_not_outgrow_a_message(world: World) -> None:
    """Twenty endless reasons fit into what a topic takes: 262,144 bytes for all protocols."""
    addresses = [f"a{number}@reach.example" for number in range(20)]
    for at, address in enumerate(addresses):
        world.remote.failing[address] = f'{at} "é" ' * 5000
    upload = looked_at(world, *addresses)
    message = delivered(world, upload)
    texts = {"default": message.mail} | dict.fromkeys("abcde", message.document)
    assert len(json.dumps(texts).encode()) < 262_144
    assert len(outcome(world, upload)) == 20


# Imports that ended early


def test_a_refused_file_is_answered_without_rows(world: World) -> None:
    """The message names the file, what is wrong and the cure; there is no outcome.csv."""
    upload = world.uploads.put("uploads/accounts.pdf", b"%PDF-1.7")
    world.submitter().take(upload, plenty)
    message = delivered(world, upload)
    assert message.subject == "accounts.pdf: not imported, the file cannot be used"
    assert "It is a PDF." in message.mail
    assert "Save it as CSV" in message.mail
    assert message.attributes["status"] == "refused"
    assert {name for _, name in world.reports.texts} == {PAGE_NAME, SUMMARY_NAME}
    assert summary(world, upload)["reports"].keys() == {"page", "summary"}


def test_a_file_that_was_deleted_is_answered(world: World) -> None:
    """Though there is nothing to read, there is an answer."""
    upload = world.uploads.put("uploads/accounts.csv", accounts_file(*ADDRESSES))
    world.uploads.delete_version(upload)
    world.submitter().take(upload, plenty)
    assert "deleted or replaced" in delivered(world, upload).mail


def test_a_stopped_import_says_why_in_every_row(world: World) -> None:
    """With the key refused at the second batch the first is unconfirmed, the rest not sent."""
    refused = ApiKeyRefusedError("the service refused the API key: Unauthorized (HTTP 401)")
    world.remote.connect_errors.extend([None, refused])
    upload = submitted(world)
    message = delivered(world, upload)
    assert message.attributes == {"status": "stopped", "workspace": "default", "failed": 3}
    assert message.subject == "accounts.csv: stopped, 3 failed, 2 unconfirmed"
    assert str(refused) in message.mail
    assert [one["reason"] for one in outcome(world, upload)] == [
        *([str(refused)] * 2),
        *([f"not sent: {refused}"] * 3),
    ]


def test_an_import_past_its_deadline_says_what_is_known(world: World) -> None:
    """Complete batches have their outcome, the others are unconfirmed or were not sent."""
    upload = world.uploads.put("uploads/accounts.csv", accounts_file(*ADDRESSES))
    left = iter([300.0, 300.0, 300.0, SAFE_MARGIN - 1])
    world.submitter().take(upload, lambda: next(left))
    world.remote.running.add("request-2")
    world.tracker().look(upload.import_id, plenty)
    message = delivered(world, upload)
    assert message.attributes["status"] == "unfinished"
    assert "deadline passed" in message.mail
    assert [one["outcome"] for one in outcome(world, upload)] == [
        *(["connected"] * 2),
        *(["unconfirmed"] * 2),
        "failed",
    ]
    assert outcome(world, upload)[4]["reason"].startswith("not sent: the deadline passed")


def test_what_broke_the_tracking_off_is_told(world: World) -> None:
    """A fault of the platform ends in an answer that names it."""
    upload = submitted(world)
    message = delivered(world, upload, "check_status failed with States.Timeout")
    assert message.attributes["status"] == "unfinished"
    assert "the import was broken off: check_status failed with States.Timeout" in message.mail
    assert {one["outcome"] for one in outcome(world, upload)} == {"unconfirmed"}


def test_a_refused_request_fails_its_rows(world: World) -> None:
    """The service's own words are the reason of every row of the batch."""
    world.remote.connect_errors.append(RequestRefusedError("0.smtpPort: no (HTTP 400)"))
    upload = looked_at(world)
    delivered(world, upload)
    assert brief(world, upload)[:3] == [("2", "failed"), ("3", "failed"), ("4", "connected")]
    assert outcome(world, upload)[0]["reason"] == (
        "the service refused the request: 0.smtpPort: no (HTTP 400)"
    )


def test_a_missing_report_confirms_nothing(world: World) -> None:
    """Without its report a batch is unconfirmed, row by row."""
    world.remote.failing[ADDRESSES[0]] = "Sign-in refused"
    world.remote.report_errors.append(ReportUnavailableError("HTTP 404"))
    upload = looked_at(world)
    delivered(world, upload)
    assert brief(world, upload)[:3] == [
        *(("2", "unconfirmed"), ("3", "unconfirmed")),
        ("4", "connected"),
    ]


# Once


def test_the_message_is_sent_once(world: World) -> None:
    """Delivered again, nothing is written and nothing sent."""
    upload = looked_at(world)
    assert world.deliverer().deliver(upload.import_id) is not None
    before = world.journal.names()
    assert world.deliverer().deliver(upload.import_id, "late failure") is None
    assert world.journal.names() == before
    assert len(world.notifications.messages) == 1


def test_the_answer_is_returned(world: World) -> None:
    """Who delivers learns how the import ended."""
    answer = world.deliverer().deliver(looked_at(world).import_id)
    assert answer is not None
    assert answer.status is ImportStatus.COMPLETE
    assert answer.headline == "accounts.csv: 5 connected"


def test_a_sent_answer_is_not_sent_again_because_the_ledger_failed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When only the last write of the ledger fails, the delivery ends well all the same."""
    upload = world.uploads.put("uploads/a.csv", accounts_file("one@x.example"))
    world.submitter().take(upload, plenty)
    monkeypatch.setattr(type(world.ledger), "notified", fail)
    assert world.deliverer().deliver(upload.import_id) is not None
    assert len(world.notifications.messages) == 1


def fail(_ledger: object, _import_id: str) -> bool:
    """Fail as a service does that is not there."""
    raise ConnectionError
