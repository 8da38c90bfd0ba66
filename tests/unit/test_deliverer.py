"""Delivering, on fakes: one outcome per row, the counts, and the one message."""

import itertools
import json
import threading
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from email_accounts.delivery.deliverer import LONGEST_RUN, READERS
from email_accounts.delivery.result import ImportStatus
from email_accounts.errors import (
    ApiKeyRefusedError,
    ImportLockedError,
    LedgerConflictError,
    OutcomeUnknownError,
    ReportUnavailableError,
    RequestRefusedError,
)
from email_accounts.models.account import FIELDS
from email_accounts.models.imports import (
    LEASE_MARGIN,
    NO_PROGRESS,
    OUTCOME_NAME,
    PAGE_NAME,
    SUMMARY_NAME,
    BatchRange,
    ImportState,
    Plan,
    ReasonCode,
)
from email_accounts.models.messages import IMPORT_COMPLETED, Message
from email_accounts.models.steps import NextAction
from email_accounts.models.upload import Upload
from email_accounts.saleshandy.rate_limit import SAFE_MARGIN
from email_accounts.saleshandy.reconciliation import reconciliation_name
from email_accounts.saleshandy.report import report_name
from tests.support.fakes import World
from tests.support.files import MARK, PASSWORD, accounts_file, row
from tests.support.reading import saved, sheets

ADDRESSES = tuple(f"a{number}@reach.example" for number in range(1, 6))


def submitted(world: World, *rows: str | dict[str, str]) -> Upload:
    """Submit a file of these rows, or of five accounts, which is three batches."""
    return world.drop(*(rows or ADDRESSES), key="uploads/accounts.csv")


def looked_at(world: World, *rows: str | dict[str, str]) -> Upload:
    """Submit a file and look until there is no more to look for."""
    upload = submitted(world, *rows)
    follow(world, upload)
    return upload


def follow(world: World, upload: Upload) -> None:
    """Poll from the time of the first poll on, until there is no more to look for."""
    world.clock.advance(world.policy.initial_poll_delay)
    world.follow(upload)


def delivered(world: World, upload: Upload, failure: str = "") -> Message:
    """Deliver the answer and return its one message."""
    world.deliverer().deliver(upload.import_id, failure)
    (message,) = world.notifications.messages
    return message


def summary(world: World, upload: Upload) -> dict[str, Any]:
    """Return summary.json."""
    loaded: dict[str, Any] = json.loads(world.reports.texts[upload.import_id, SUMMARY_NAME])
    return loaded


def brief(world: World, upload: Upload) -> list[tuple[str, str]]:
    """Return the row number and the outcome of each row."""
    return [(one["row"], one["outcome"]) for one in world.outcome(upload)]


# Every outcome


def everything(world: World) -> Upload:
    """Let a file end with an outcome of every kind that there is."""
    world.policy = replace(world.policy, skip_connected=True)
    world.saleshandy.have(ADDRESSES[3])
    world.saleshandy.failing[ADDRESSES[1]] = "Sign-in refused"
    world.saleshandy.connect_errors.extend(
        [None, None, *[OutcomeUnknownError("no answer came")] * 3]
    )
    return looked_at(
        world,
        *(ADDRESSES[0], ADDRESSES[1], row("bad@reach.example", smtpPort="0", imapHost="-")),
        *(ADDRESSES[2], ADDRESSES[3], ADDRESSES[0].upper(), ADDRESSES[4]),
    )


def test_every_row_ends_with_one_outcome(world: World) -> None:
    """Rows come in the order of the file with the numbers a spreadsheet shows, each with a reason.

    A reason says what happened; a rejection names each field with its fix.
    """
    upload = everything(world)
    delivered(world, upload)
    assert brief(world, upload) == [
        ("2", "connected"),
        ("3", "failed"),
        ("4", "rejected"),
        ("5", "connected"),
        ("6", "already_connected"),
        ("7", "duplicate"),
        ("8", "unconfirmed"),
    ]
    reasons = {one["row"]: one["reason"] for one in world.outcome(upload)}
    assert reasons["2"] == ""
    assert reasons["3"] == "Sign-in refused"
    assert "smtpPort: not a port" in reasons["4"]
    assert reasons["7"] == "the same address as in row 2"
    assert reasons["8"] == "no answer came; the account list does not show it"


def test_the_counts_add_up(world: World) -> None:
    """The counts of outcome.csv, summary.json and the message are the same.

    In the summary a machine finds each batch with its rows, its request id and its outcome.
    """
    upload = everything(world)
    message = delivered(world, upload)
    counts = Counter(one["outcome"] for one in world.outcome(upload))
    told = summary(world, upload)["counts"]
    assert told.pop("rows") == 7
    assert {name: count for name, count in told.items() if count} == counts
    assert json.loads(message.document)["counts"] == {"rows": 7, **told}
    assert message.subject == (
        "[default] accounts.csv, 7 rows: 2 connected, 1 already connected, 1 failed, "
        "1 unconfirmed, ..."
    )
    assert message.attributes == {"status": "partial", "workspace": "default", "failed": 1}
    batches = summary(world, upload)["batches"]
    assert [
        (one["batch"], one["firstRow"], one["lastRow"], one["accounts"], one["requestId"])
        for one in batches
    ] == [(1, 2, 3, 2, "request-1"), (2, 5, 6, 2, "request-2"), (3, 8, 8, 1, "")]
    assert [one["state"] for one in batches] == ["completed", "completed", "listed"]


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
    """Who reads the message finds the reports, each of its type; the import is closed last."""
    upload = submitted(world, ADDRESSES[0])
    before = len(world.journal.entries)
    delivered(world, upload)
    assert world.journal.names()[before:] == [
        *("deliver", "report", "report", "report", "put", "publish", "notified")
    ]
    assert world.reports.content_types == {
        (upload.import_id, OUTCOME_NAME): "text/csv; charset=utf-8",
        (upload.import_id, PAGE_NAME): "text/html; charset=utf-8",
        (upload.import_id, SUMMARY_NAME): "application/json; charset=utf-8",
    }


def test_nothing_is_sent_from_the_moment_the_answer_is_written(world: World) -> None:
    """Anyone who takes the upload on while it is being delivered finds nothing to do."""
    upload = world.drop(*ADDRESSES, key="uploads/accounts.csv", time_left=lambda: SAFE_MARGIN - 1)
    now = world.clock()
    assert world.ledger.deliver(world.imported(upload), now, now + 300)
    assert world.receive(upload) is None
    world.submit(upload)
    assert "connect" not in world.journal.names()
    world.clock.advance(300)
    assert delivered(world, upload).subject.endswith("5 not sent")


def test_a_file_all_connected_is_complete(world: World) -> None:
    """Duplicates beside connected accounts do not make an import partial."""
    upload = looked_at(world, ADDRESSES[0], ADDRESSES[0])
    message = delivered(world, upload)
    assert message.attributes["status"] == "complete"
    assert message.subject == "[default] accounts.csv, 2 rows: 1 connected, 1 duplicate"


def test_a_file_of_rejected_rows_has_failed(world: World) -> None:
    """If nothing could be sent, the answer still has every row."""
    upload = looked_at(world, "no address", "none either")
    message = delivered(world, upload)
    assert message.attributes["status"] == "failed"
    assert [one["outcome"] for one in world.outcome(upload)] == ["rejected"] * 2


def test_every_row_has_its_provider_and_what_to_do(world: World) -> None:
    """The fix is beside the reason, which stays as it was."""
    upload = everything(world)
    delivered(world, upload)
    rows = {one["row"]: one for one in world.outcome(upload)}
    assert list(rows["2"]) == [
        *("row", "address", "provider", "outcome", "evidence", "reason", "what to do"),
        *("warnings", "sheet"),
    ]
    assert {number: one["provider"] for number, one in rows.items()} == {
        **dict.fromkeys(("2", "3", "5", "6", "8"), "gsuite"),
        **dict.fromkeys(("4", "7"), ""),
    }
    assert {number: one["evidence"] for number, one in rows.items()} == {
        **dict.fromkeys(("2", "3", "5"), "report"),
        "6": "account list",
        **dict.fromkeys(("4", "7", "8"), "none"),
    }
    assert rows["2"]["what to do"] == ""
    assert "create an app password" in rows["3"]["what to do"]
    assert rows["4"]["what to do"].startswith("Enter a number from 1 to 65535")
    assert rows["7"]["what to do"].startswith("No action needed")
    assert rows["8"]["what to do"].startswith("Resume the import to check again")


def test_warnings_reach_everybody(world: World) -> None:
    """The row, the page, the mail and the documents tell what a check of the file tells."""
    world.saleshandy.failing |= dict.fromkeys(ADDRESSES[:2], "Sign-in refused")
    upload = looked_at(world, row(ADDRESSES[0], smtpPassword=" blanks "), ADDRESSES[1])
    message = delivered(world, upload)
    first, second = world.outcome(upload)
    assert "spaces before or after" in first["warnings"]
    assert "spaces before or after" not in second["warnings"]
    for document in (summary(world, upload), json.loads(message.document)):
        told = {one["code"]: (one["rows"], one["firstRows"]) for one in document["warnings"]}
        assert told == {"google_sign_in": (2, [2, 3]), "password_trimmed": (1, [2])}
    for text in (message.mail, world.reports.texts[upload.import_id, PAGE_NAME]):
        assert "row 2: spaces before or after the password were removed" in text


def test_rows_of_several_sheets_are_told_by_sheet_and_row(world: World) -> None:
    """No person has ever seen the number by which such a row is known inside."""
    lines = [
        list(FIELDS),
        list(row("a@elm.example", smtpPort="0").values()),
        list(row("b@elm.example").values()),
    ]
    content = saved(sheets(Sheet=lines, Elm=lines))
    upload = world.uploads.put("uploads/accounts.xlsx", content)
    world.receive(upload)
    follow(world, upload)
    message = delivered(world, upload)
    rows = world.outcome(upload)
    assert [(one["sheet"], one["row"]) for one in rows] == [
        *(("Sheet", "2"), ("Sheet", "3"), ("Elm", "2"), ("Elm", "3"))
    ]
    assert rows[3]["reason"] == "the same address as in row Sheet 3"
    assert "2 rows: Sheet 2, Elm 2" in message.mail


# Secrets and formulas


def test_no_report_and_no_message_holds_a_password(world: World) -> None:
    """Whatever happened to a row, its password is nowhere to be found."""
    world.saleshandy.failing[ADDRESSES[0]] = f"Sign-in refused: {PASSWORD}"
    shifted = row("a9@reach.example", smtpEmailAddress=PASSWORD)
    upload = looked_at(world, *ADDRESSES, shifted, row("b@x.example", smtpPort=PASSWORD))
    message = delivered(world, upload)
    assert MARK not in str(world.reports.texts)
    assert MARK not in str(message)
    assert MARK not in str(world.journal.entries)


@pytest.mark.parametrize("reason", ["=1+1", "+1", "-1", "@x", '=HYPERLINK("http://x","y")', "\t=1"])
def test_no_cell_of_the_outcome_is_a_formula(world: World, reason: str) -> None:
    """A spreadsheet takes what the service said for text, and an address with a plus sign."""
    world.saleshandy.failing["+news@reach.example"] = reason
    upload = looked_at(world, "+news@reach.example")
    delivered(world, upload)
    (one,) = world.outcome(upload)
    assert one["address"] == "'+news@reach.example"
    assert one["reason"] == f"'{reason.strip()}"


def test_a_reason_of_several_lines_stays_one_cell(world: World) -> None:
    """Line breaks, quotes and commas in a reason do not break the rows."""
    world.saleshandy.failing[ADDRESSES[0]] = 'said "no",\nand again\r\nno'
    upload = looked_at(world)
    delivered(world, upload)
    assert [one["row"] for one in world.outcome(upload)] == ["2", "3", "4", "5", "6"]
    assert world.outcome(upload)[0]["reason"] == 'said "no",\nand again\r\nno'


def test_long_reasons_do_not_outgrow_a_message(world: World) -> None:
    """Twenty endless reasons fit into what a topic takes: 262,144 bytes for all protocols."""
    addresses = [f"a{number}@reach.example" for number in range(20)]
    for at, address in enumerate(addresses):
        world.saleshandy.failing[address] = f'{at} "é" ' * 5000
    upload = looked_at(world, *addresses)
    message = delivered(world, upload)
    texts = {"default": message.mail} | dict.fromkeys("abcde", message.document)
    assert len(json.dumps(texts).encode()) < 262_144
    assert len(world.outcome(upload)) == 20


# Imports that ended early


def test_a_refused_file_is_answered_without_rows(world: World) -> None:
    """The message names the file, what is wrong and the fix; there is no outcome.csv."""
    upload = world.uploads.put("uploads/accounts.pdf", b"%PDF-1.7")
    world.receive(upload)
    message = delivered(world, upload)
    assert message.subject == "[default] accounts.pdf: not imported, unusable file"
    assert "It is a PDF." in message.mail
    assert "Save it as CSV" in message.mail
    assert message.attributes["status"] == "refused"
    assert {name for _, name in world.reports.texts} == {PAGE_NAME, SUMMARY_NAME}
    assert summary(world, upload)["reports"].keys() == {"page", "summary"}


def test_a_refused_file_is_answered_though_its_submitter_died(world: World) -> None:
    """There is nothing that could still be sent, so nobody is waited for."""
    upload = world.uploads.put("uploads/accounts.pdf", b"%PDF-1.7")
    world.submitter().start_import(upload)
    now = world.clock()
    lease = world.ledger.lease(upload.import_id, now, now + 300)
    assert lease
    world.ledger.refuse(upload.import_id, lease, ReasonCode.FILE_REFUSED, "It is a PDF.")
    assert delivered(world, upload).attributes["status"] == "refused"


def test_a_stopped_import_says_why_in_every_row(world: World) -> None:
    """With the key refused at the second batch the first is unconfirmed, the rest not sent."""
    refused = ApiKeyRefusedError("Saleshandy refused the API key: Unauthorized (HTTP 401)")
    world.saleshandy.connect_errors.extend([None, refused])
    upload = submitted(world)
    message = delivered(world, upload)
    assert message.attributes == {"status": "stopped", "workspace": "default", "failed": 0}
    assert message.subject == "[default] accounts.csv, 5 rows: stopped, 2 unconfirmed, 3 not sent"
    assert str(refused) in message.mail
    assert [(one["outcome"], one["reason"]) for one in world.outcome(upload)] == [
        *([("unconfirmed", str(refused))] * 2),
        *([("not_sent", str(refused))] * 3),
    ]


def test_an_import_past_its_deadline_says_what_is_known(world: World) -> None:
    """Complete batches have their outcome, the others are unconfirmed or were not sent."""
    upload = world.uploads.put("uploads/accounts.csv", accounts_file(*ADDRESSES))
    left = iter([300.0, 300.0, 300.0, SAFE_MARGIN - 1])
    world.receive(upload, lambda: next(left))
    world.saleshandy.running.add("request-2")
    world.clock.advance(10)
    world.poll(upload)
    message = delivered(world, upload)
    assert message.attributes["status"] == "unfinished"
    assert "deadline passed" in message.mail
    assert [one["outcome"] for one in world.outcome(upload)] == [
        *(["connected"] * 2),
        *(["unconfirmed"] * 2),
        "not_sent",
    ]
    assert world.outcome(upload)[4]["reason"].startswith("the deadline passed")


def test_what_broke_the_tracking_off_is_told(world: World) -> None:
    """A fault of the platform ends in an answer that names it."""
    upload = submitted(world)
    message = delivered(world, upload, "check_status failed with States.Timeout")
    assert message.attributes["status"] == "unfinished"
    assert "The import was interrupted: check_status failed with States.Timeout" in message.mail
    assert {one["outcome"] for one in world.outcome(upload)} == {"unconfirmed"}


def test_a_refused_request_fails_its_rows(world: World) -> None:
    """The service's own words are the reason of every row of the batch."""
    world.saleshandy.connect_errors.append(RequestRefusedError("0.smtpPort: no (HTTP 400)"))
    upload = looked_at(world)
    delivered(world, upload)
    assert brief(world, upload)[:3] == [("2", "failed"), ("3", "failed"), ("4", "connected")]
    assert world.outcome(upload)[0]["reason"] == (
        "Saleshandy refused the request: 0.smtpPort: no (HTTP 400)"
    )


def test_a_missing_report_is_made_up_for_by_the_list(world: World) -> None:
    """Without its report a batch is answered with what the account list shows, row by row."""
    world.saleshandy.failing[ADDRESSES[0]] = "Sign-in refused"
    world.saleshandy.report_errors.extend([ReportUnavailableError("HTTP 404")] * 3)
    upload = submitted(world)
    world.saleshandy.accounts.pop(1)
    follow(world, upload)
    message = delivered(world, upload)
    assert message.attributes["status"] == "partial"
    assert brief(world, upload) == [
        *(("2", "failed"), ("3", "unconfirmed")),
        *(("4", "connected"), ("5", "connected"), ("6", "connected")),
    ]
    reasons = [one["reason"] for one in world.outcome(upload)]
    assert reasons[0] == "Saleshandy has saved it, but it is not connected there"
    assert reasons[1] == (
        "Saleshandy finished, but its report is missing: HTTP 404; "
        "the account list does not show it"
    )


def test_a_batch_whose_answer_was_lost_is_answered_by_the_list(world: World) -> None:
    """Where the list shows every account connected, nobody need know that an answer was lost."""
    world.saleshandy.connect_errors.append(OutcomeUnknownError("no answer came"))
    upload = submitted(world, *ADDRESSES[:2])
    world.saleshandy.carry_out("lost", ADDRESSES[:2])
    follow(world, upload)
    message = delivered(world, upload)
    assert message.attributes["status"] == "complete"
    assert message.subject == "[default] accounts.csv, 2 rows: 2 connected"


def test_what_was_connected_before_is_complete(world: World) -> None:
    """A file dropped a second time needs nobody: everything in it is connected already."""
    world.policy = replace(world.policy, skip_connected=True)
    looked_at(world)
    world.clock.advance(3600)
    upload = looked_at(world)
    message = delivered(world, upload)
    assert message.subject == "[default] accounts.csv, 5 rows: 5 already connected"
    assert all("already connected at 1970-" in one["reason"] for one in world.outcome(upload))
    assert message.attributes["status"] == "complete"
    assert world.journal.names().count("connect") == 3


def test_a_service_that_makes_no_progress_is_named(world: World) -> None:
    """Rows that the list has not, or not as active, are unconfirmed: they may yet be tried."""
    world.saleshandy.failing[ADDRESSES[3]] = "not tried yet"
    upload = submitted(world)
    world.saleshandy.running.update(world.saleshandy.requests)
    world.saleshandy.accounts.pop(1)
    follow(world, upload)
    message = delivered(world, upload)
    assert message.attributes["status"] == "unfinished"
    assert NO_PROGRESS[1:] in message.mail
    assert Counter(one["outcome"] for one in world.outcome(upload)) == {
        "connected": 3,
        "unconfirmed": 2,
    }


def test_no_progress_that_the_list_makes_up_for_is_none(world: World) -> None:
    """Where the list shows everything connected, the import is complete."""
    upload = submitted(world)
    world.saleshandy.running.update(world.saleshandy.requests)
    follow(world, upload)
    assert delivered(world, upload).attributes["status"] == "complete"


def test_an_import_of_which_nothing_is_known_has_not_failed(world: World) -> None:
    """A row whose status is unknown may be connected."""
    world.policy = replace(world.policy, verify_connected=True)
    upload = submitted(world, ADDRESSES[0])
    world.saleshandy.accounts.clear()
    follow(world, upload)
    assert delivered(world, upload).attributes["status"] == "partial"


def test_an_import_that_is_stopped_is_not_called_stuck(world: World) -> None:
    """Who stopped it knows why it ended, and that decides what to do next."""
    upload = submitted(world)
    world.saleshandy.running.update(world.saleshandy.requests)
    world.saleshandy.accounts.pop(1)
    follow(world, upload)
    assert world.submitter().stop(upload.import_id)
    document = json.loads(delivered(world, upload).document)
    assert document["failureCode"] == ReasonCode.STOPPED_BY_OPERATOR


# Where the rows cannot be named


def test_a_file_deleted_before_its_answer_is_counted(world: World) -> None:
    """What the ledger knows is told, though no row can be named; there are no reports."""
    bad = row("bad@reach.example", smtpPort="0")
    world.saleshandy.failing[ADDRESSES[2]] = "Sign-in refused"
    world.saleshandy.connect_errors.extend([None, None, RequestRefusedError("no (HTTP 400)")])
    upload = looked_at(world, *ADDRESSES, bad, ADDRESSES[0])
    world.uploads.delete_version(upload)
    message = delivered(world, upload)
    assert message.subject == (
        "[default] accounts.csv, 7 rows: not finished, 2 connected, 1 failed, 2 unconfirmed, "
        "1 rejected, ..."
    )
    assert "The file was deleted before its report was written" in message.mail
    document = json.loads(message.document)
    assert document["reports"] == {}
    assert document["counts"]["rows"] == 7
    assert OUTCOME_NAME not in {name for _, name in world.reports.texts}


def test_a_file_deleted_while_it_is_imported_is_answered(world: World) -> None:
    """Its deletion stops the import; the rest is not sent."""
    upload = world.uploads.put("uploads/accounts.csv", accounts_file(*ADDRESSES))
    left = iter([300.0, 300.0, 0.0])
    world.receive(upload, lambda: next(left))
    world.uploads.delete_version(upload)
    assert world.submit(upload).next == NextAction.DELIVER
    assert world.imported(upload).stopped == "the file was deleted during its import"
    message = delivered(world, upload)
    assert message.attributes["status"] == "stopped"
    counts = json.loads(message.document)["counts"]
    assert counts["unconfirmed"] + counts["not_sent"] == counts["rows"] == 5


def test_what_was_left_out_is_not_counted_as_connected(world: World) -> None:
    """Without the file nobody can tell the outcome of a batch of which the list was asked."""
    world.policy = replace(world.policy, skip_connected=True)
    world.saleshandy.have(ADDRESSES[0])
    upload = looked_at(world)
    world.uploads.delete_version(upload)
    counts = json.loads(delivered(world, upload).document)["counts"]
    assert (counts["connected"], counts["unconfirmed"]) == (0, 5)


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("name", [report_name(1), reconciliation_name(1)])
def test_a_batch_whose_records_are_gone_is_unconfirmed(
    world: World, name: str, *, verify: bool
) -> None:
    """The file is there, so every row is named; the other batches are as they were."""
    world.policy = replace(world.policy, verify_connected=verify)
    world.saleshandy.failing[ADDRESSES[0]] = "Sign-in refused"
    upload = looked_at(world)
    is_known = not world.reports.texts.pop((upload.import_id, name), None)
    message = delivered(world, upload)
    assert json.loads(message.document)["failureReason"] == ""
    first = [("2", "failed"), ("3", "connected")]
    unknown = [("2", "unconfirmed"), ("3", "unconfirmed")]
    others = [(str(number), "connected") for number in (4, 5, 6)]
    assert brief(world, upload) == [*(first if is_known else unknown), *others]


def test_a_refused_batch_whose_records_are_gone_is_still_refused(world: World) -> None:
    """Saleshandy's reason is in the ledger."""
    world.policy = replace(world.policy, skip_connected=True)
    world.saleshandy.connect_errors.append(RequestRefusedError("HTTP 400"))
    upload = submitted(world, *ADDRESSES[:2])
    del world.reports.texts[upload.import_id, reconciliation_name(1)]
    delivered(world, upload)
    assert brief(world, upload) == [("2", "failed"), ("3", "failed")]


@pytest.fixture
def broken(world: World, monkeypatch: pytest.MonkeyPatch) -> World:
    """Give a world in which no report can be written."""
    monkeypatch.setattr(type(world.reports), "writer", fail)
    return world


def test_the_last_resort_sends_the_message_without_reports(broken: World) -> None:
    """Before it the delivery fails, so that reports are tried again, and nothing has been sent.

    There is an answer then: what was interrupted, what the ledger knows, and what to do. A failure
    after it, or one that comes twice, sends nothing.
    """
    upload = looked_at(broken)
    with pytest.raises(ConnectionError):
        broken.deliverer().deliver(upload.import_id)
    assert broken.notifications.messages == []
    assert broken.imported(upload).state is ImportState.DELIVERING
    assert broken.imported(upload).lease_until == 0
    failure = "deliver_report failed with ConnectionError"
    answer = broken.deliverer().deliver(upload.import_id, failure, best_effort=True)
    assert answer is not None
    assert (answer.status, answer.reports) == (ImportStatus.UNFINISHED, {})
    (message,) = broken.notifications.messages
    assert message.subject == "[default] accounts.csv, 5 rows: not finished, 5 connected"
    assert failure in message.mail
    assert "email-accounts resume" in message.mail
    assert broken.imported(upload).state is ImportState.NOTIFIED
    assert broken.deliverer().deliver(upload.import_id, "failed", best_effort=True) is None
    assert len(broken.notifications.messages) == 1


def test_the_last_resort_writes_the_reports_where_it_can(world: World) -> None:
    """An execution that failed for another reason does not cost the rows their names."""
    upload = looked_at(world)
    answer = world.deliverer().deliver(upload.import_id, "it was aborted", best_effort=True)
    assert answer is not None
    assert answer.reports.keys() == {"outcome", "page", "summary"}
    assert len(world.outcome(upload)) == 5


def test_the_last_resort_does_less_than_a_delivery_that_failed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It counts what the ledger knows, and reads and writes nothing that has not worked before."""
    upload = looked_at(world, *ADDRESSES, row("bad@reach.example", smtpPort="0"))
    now = world.clock()
    assert world.ledger.deliver(world.imported(upload), now, now)
    for what, name in ((world.uploads, "open"), (world.reports, "open"), (world.reports, "writer")):
        monkeypatch.setattr(type(what), name, fail)
    answer = world.deliverer().deliver(upload.import_id, "it timed out", best_effort=True)
    assert answer is not None
    assert (answer.status, answer.reports) == (ImportStatus.UNFINISHED, {})
    assert answer.summary.outcomes.total() == 6
    assert "email-accounts resume" in world.notifications.messages[0].mail


def test_the_last_resort_waits_while_the_answer_is_written(world: World) -> None:
    """A stopped execution may have left one who writes it: there is one message, not two."""
    upload = looked_at(world)
    now = world.clock()
    world.ledger.deliver(world.imported(upload), now, now + LONGEST_RUN)
    with pytest.raises(ImportLockedError):
        world.deliverer().deliver(upload.import_id, "it was aborted", best_effort=True)
    assert world.notifications.messages == []
    world.clock.advance(LONGEST_RUN)
    world.deliverer().deliver(upload.import_id, "it was aborted", best_effort=True)
    assert len(world.notifications.messages) == 1


def test_a_refused_file_keeps_its_reason_at_the_last_resort(broken: World) -> None:
    """What is wrong with the file is still what its owner has to know."""
    upload = broken.uploads.put("uploads/accounts.pdf", b"%PDF-1.7")
    broken.receive(upload)
    broken.deliverer().deliver(upload.import_id, "it failed", best_effort=True)
    (message,) = broken.notifications.messages
    assert message.attributes["status"] == "refused"
    assert "It is a PDF." in message.mail


def test_a_file_whose_plan_broke_off_has_no_rows(broken: World) -> None:
    """Batches that were written before the end of a plan belong to no import."""
    upload = broken.uploads.put("uploads/a.csv", accounts_file(*ADDRESSES))
    broken.submitter().start_import(upload)
    plan = Plan((BatchRange(1, 2, 6, 5),), rows=5, rejected=0, duplicates=0)
    with pytest.raises(LedgerConflictError):
        broken.ledger.plan(upload.import_id, "somebody else's lease", plan, ())
    broken.deliverer().deliver(upload.import_id, "it failed", best_effort=True)
    (message,) = broken.notifications.messages
    assert message.attributes["status"] == "refused"
    assert set(json.loads(message.document)["counts"].values()) == {0}


def test_a_failure_of_an_earlier_execution_ends_nothing(world: World) -> None:
    """A late task or event of it comes after the import was resumed: another runs now."""
    upload = submitted(world)
    first = world.imported(upload).execution
    assert world.deliverer().deliver(upload.import_id, execution=first)
    assert world.submitter().restart(upload.import_id)
    assert world.deliverer().deliver(upload.import_id, execution=first) is None
    assert world.imported(upload).state is ImportState.PLANNED
    second = world.imported(upload).execution
    assert world.deliverer().deliver(upload.import_id, execution=second)


@pytest.mark.parametrize("has_upload", [True, False])
def test_an_import_whose_deliverer_is_gone_can_be_resumed(
    world: World, monkeypatch: pytest.MonkeyPatch, *, has_upload: bool
) -> None:
    """Its message is sent, but the ledger does not know: once the lease is over, it may go on.

    Without its file it keeps the state from which its execution has it answered.
    """
    upload = submitted(world)
    with monkeypatch.context() as patched:
        patched.setattr(type(world.ledger), "notified", fail)
        assert world.deliverer().deliver(upload.import_id)
    assert len(world.notifications.messages) == 1
    assert not world.submitter().restart(upload.import_id)
    world.clock.advance(LONGEST_RUN + LEASE_MARGIN)
    if not has_upload:
        world.uploads.delete_version(upload)
    assert world.submitter().restart(upload.import_id) is has_upload
    state = ImportState.PLANNED if has_upload else ImportState.DELIVERING
    assert world.imported(upload).state is state


def test_a_file_nobody_could_read_is_refused_when_its_execution_ends(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Delivering does not read it either: it is answered by what is known of it."""
    upload = world.uploads.put("uploads/accounts.csv", accounts_file(*ADDRESSES))
    world.submitter().start_import(upload)
    monkeypatch.setattr(type(world.uploads), "open", fail)
    answer = world.deliverer().deliver(upload.import_id, "submit_accounts failed with MemoryError")
    assert answer is not None
    assert answer.status is ImportStatus.REFUSED
    assert "Nothing was sent" in world.notifications.messages[0].mail


# Many batches


def failing(world: World, many: int) -> Upload:
    """Import accounts that all fail for one reason."""
    addresses = [f"a{number}@reach.example" for number in range(many)]
    world.saleshandy.failing |= dict.fromkeys(addresses, "Sign-in refused")
    return looked_at(world, *addresses)


def test_reports_are_read_ahead_side_by_side(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each read waits until so many have begun; rows and reasons are still the right ones."""
    upload = failing(world, 2 * (2 * READERS + 1))
    everyone = threading.Barrier(READERS)
    opened, begun = type(world.reports).open, itertools.count(1)

    def open_together(*named: Any) -> Any:  # noqa: ANN401  what it represents
        if next(begun) <= 2 * READERS:
            everyone.wait(timeout=10)
        return opened(*named)

    monkeypatch.setattr(type(world.reports), "open", open_together)
    delivered(world, upload)
    rows = world.outcome(upload)
    assert [one["address"] for one in rows] == [f"a{at}@reach.example" for at in range(len(rows))]
    assert {one["reason"] for one in rows} == {"Sign-in refused"}


def test_a_report_that_cannot_be_read_fails_the_delivery(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its error comes out, though another thread met it."""
    upload = failing(world, 10)
    monkeypatch.setattr(type(world.reports), "open", fail)
    with pytest.raises(ConnectionError):
        world.deliverer().deliver(upload.import_id)
    assert world.notifications.messages == []


# The event


def test_other_systems_are_told_what_the_message_tells(world: World) -> None:
    """The event carries the document of the message."""
    message = delivered(world, looked_at(world))
    assert world.events.of(IMPORT_COMPLETED) == [message.event]


def test_an_event_that_is_not_taken_is_tried_again_before_anybody_is_told(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The delivery fails, so that the state machine repeats it, and no mail comes twice."""
    upload = looked_at(world)
    with monkeypatch.context() as patch:
        patch.setattr(type(world.events), "put", fail)
        with pytest.raises(ConnectionError):
            world.deliverer().deliver(upload.import_id)
    assert world.notifications.messages == []
    assert delivered(world, upload).attributes["status"] == "complete"


def test_the_last_resort_sends_the_message_without_an_event(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who lost the event bus still hears the outcome of the file."""
    upload = looked_at(world)
    monkeypatch.setattr(type(world.events), "put", fail)
    assert world.deliverer().deliver(upload.import_id, "it failed", best_effort=True)
    assert len(world.notifications.messages) == 1


# Taken up again


def test_a_supplementary_answer_replaces_the_first(world: World) -> None:
    """After a resumption there is a second message, and the reports say how it is now."""
    refused = ApiKeyRefusedError("Saleshandy refused the API key: Unauthorized (HTTP 401)")
    world.saleshandy.connect_errors.extend([None, refused])
    upload = submitted(world)
    assert delivered(world, upload).attributes["status"] == "stopped"
    assert world.submitter().restart(upload.import_id)
    follow(world, upload)
    answer = world.deliverer().deliver(upload.import_id)
    assert answer is not None
    assert answer.status is ImportStatus.COMPLETE
    first, second = world.notifications.messages
    assert second.subject == "[default] accounts.csv, 5 rows: resumed, 5 connected"
    assert [json.loads(one.document)["answer"] for one in (first, second)] == [1, 2]
    assert [one["outcome"] for one in world.outcome(upload)] == ["connected"] * 5
    assert summary(world, upload)["answer"] == 2
    assert world.deliverer().deliver(upload.import_id) is None


# Once


def test_the_message_is_sent_once(world: World) -> None:
    """Who delivers learns how the import ended; again, nothing is written and nothing sent."""
    upload = looked_at(world)
    answer = world.deliverer().deliver(upload.import_id)
    assert answer is not None
    assert answer.status is ImportStatus.COMPLETE
    assert answer.headline == "[default] accounts.csv, 5 rows: 5 connected"
    before = world.journal.names()
    assert world.deliverer().deliver(upload.import_id, "late failure") is None
    assert world.journal.names() == before
    assert len(world.notifications.messages) == 1


def fail(*_: object) -> None:
    """Fail as a service does that is not there."""
    raise ConnectionError
