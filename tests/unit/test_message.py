"""The answer as people and machines get it."""

import json
import re
from dataclasses import replace

import pytest

from email_accounts.delivery.message import document as whole_document
from email_accounts.delivery.message import message_of, subject
from email_accounts.delivery.outcomes import Evidence, Outcome, RowOutcome
from email_accounts.delivery.result import ImportResult, ImportStatus
from email_accounts.delivery.summary import Summary
from email_accounts.models.account import problem
from email_accounts.models.causes import NOT_SENT, UNCONFIRMED, UNKNOWN, rejection
from email_accounts.models.imports import ReasonCode
from tests.support import answers
from tests.support.files import MARK

PORT = rejection(problem("port_invalid", "smtpPort"))
CAUSES = {
    Outcome.FAILED: (UNKNOWN,),
    Outcome.UNCONFIRMED: (UNCONFIRMED,),
    Outcome.NOT_SENT: (NOT_SENT,),
    Outcome.REJECTED: (PORT,),
}
RESUMABLE = {
    *(ReasonCode.API_KEY_REFUSED, ReasonCode.API_KEY_MISSING, ReasonCode.STOPPED_BY_OPERATOR),
    *(ReasonCode.SUBMISSION_FAILED, ReasonCode.EXECUTION_FAILED),
    *(ReasonCode.DEADLINE_PASSED, ReasonCode.NO_PROGRESS),
}
PER_BATCH = {
    *(ReasonCode.REQUEST_REFUSED, ReasonCode.ANSWER_LOST, ReasonCode.REQUEST_FORGOTTEN),
    *(ReasonCode.REPORT_MISSING, ReasonCode.NOT_SENT),
}
"""Codes that no import has as a whole."""
SAMPLE_COUNTS = {
    Outcome.CONNECTED: 234,
    Outcome.FAILED: 6,
    Outcome.REJECTED: 5,
    Outcome.DUPLICATE: 1,
}


def answer(
    counts: dict[Outcome, int],
    status: ImportStatus = ImportStatus.PARTIAL,
    *,
    key: str = "uploads/accounts.csv",
    failure_reason: str = "",
    unknown_columns: tuple[str, ...] = (),
) -> ImportResult:
    """Make the answer to an import whose rows ended like this."""
    summary = Summary()
    number = 1
    for outcome, count in counts.items():
        for at in range(count):
            number += 1
            reason = f"cause {'abcd'[at % 4]}\nsecond line"
            causes = CAUSES.get(outcome, ())
            summary.add(RowOutcome(number, "", outcome, reason, "gsuite", causes))
    return answers.answer(summary, key, status, failure_reason, unknown_columns)


@pytest.mark.parametrize(
    ("status", "counts", "said"),
    [
        (
            ImportStatus.PARTIAL,
            SAMPLE_COUNTS,
            ", 246 rows: 234 connected, 6 failed, 5 rejected, 1 duplicate",
        ),
        (ImportStatus.COMPLETE, {Outcome.CONNECTED: 1_234}, ", 1,234 rows: 1,234 connected"),
        (ImportStatus.COMPLETE, {Outcome.ALREADY_CONNECTED: 1}, ", 1 row: 1 already connected"),
        (
            ImportStatus.STOPPED,
            {Outcome.CONNECTED: 1, Outcome.NOT_SENT: 2},
            ", 3 rows: stopped, 1 connected, 2 not sent",
        ),
        (
            ImportStatus.UNFINISHED,
            {Outcome.UNCONFIRMED: 3, Outcome.DUPLICATE: 2},
            ", 5 rows: not finished, 3 unconfirmed, 2 duplicates",
        ),
        (ImportStatus.FAILED, {Outcome.REJECTED: 500}, ", 500 rows: 500 rejected"),
        (ImportStatus.REFUSED, {}, ": not imported, unusable file"),
    ],
)
def test_the_headline_reports_how_an_import_ended(
    status: ImportStatus, counts: dict[Outcome, int], said: str
) -> None:
    """The rows first, then an early end, then the counts."""
    made = answer(counts, status)
    assert made.headline == f"[default] accounts.csv{said}"
    assert message_of(made).subject == made.headline


@pytest.mark.parametrize(
    ("status", "counts", "said"),
    [
        (ImportStatus.COMPLETE, {Outcome.CONNECTED: 1, Outcome.DUPLICATE: 1}, "The mailbox is"),
        (ImportStatus.COMPLETE, {Outcome.CONNECTED: 2}, "Both mailboxes are connected."),
        (ImportStatus.COMPLETE, {Outcome.CONNECTED: 1_234}, "All 1,234 mailboxes are connected."),
        (
            ImportStatus.PARTIAL,
            {Outcome.CONNECTED: 3, Outcome.FAILED: 1},
            "1 of 4 rows needs attention.",
        ),
        (
            ImportStatus.PARTIAL,
            {Outcome.CONNECTED: 3, Outcome.REJECTED: 1, Outcome.UNCONFIRMED: 1},
            "2 of 5 rows need attention.",
        ),
        (ImportStatus.FAILED, {Outcome.FAILED: 1}, "The mailbox is not connected."),
        (
            ImportStatus.FAILED,
            {Outcome.REJECTED: 500},
            "No mailbox is connected: all 500 rows need attention.",
        ),
        (
            ImportStatus.STOPPED,
            {Outcome.NOT_SENT: 2},
            "The import was stopped: both rows need attention.",
        ),
        (
            ImportStatus.STOPPED,
            {Outcome.CONNECTED: 2},
            "The import was stopped, but every mailbox is connected.",
        ),
        (ImportStatus.UNFINISHED, {}, "The import did not finish."),
    ],
)
def test_the_first_sentence_counts_in_rows(
    status: ImportStatus, counts: dict[Outcome, int], said: str
) -> None:
    """Singular and plural are right, and all counts have one denominator."""
    assert answer(counts, status).sentence.startswith(said)


@pytest.mark.parametrize("code", [None, *ReasonCode])
def test_every_ending_says_what_to_do_next(code: ReasonCode | None) -> None:
    """A sentence, and commands that name the import or its workspace."""
    made = replace(answer({Outcome.NOT_SENT: 2, Outcome.FAILED: 1}), code=code)
    if code in PER_BATCH:
        return
    step = made.next_step
    assert step.text.endswith(".")
    for command in step.commands:
        assert re.fullmatch(
            r"email-accounts [a-z ]+ (?:[0-9a-f]{8}|default --replace|list)", command
        )
    assert ("resume" in str(step.commands)) == (code in RESUMABLE)


@pytest.mark.parametrize(
    ("counts", "commands"),
    [
        ({Outcome.CONNECTED: 2}, []),
        ({Outcome.CONNECTED: 2, Outcome.FAILED: 1}, ["failed"]),
        ({Outcome.CONNECTED: 2, Outcome.UNCONFIRMED: 1}, ["resume"]),
        ({Outcome.UNCONFIRMED: 2, Outcome.REJECTED: 1}, ["failed", "resume"]),
        ({Outcome.REJECTED: 2}, ["failed"]),
        ({Outcome.CONNECTED: 2, Outcome.REJECTED: 1}, ["failed"]),
    ],
)
def test_the_next_step_follows_from_the_outcomes(
    counts: dict[Outcome, int], commands: list[str]
) -> None:
    """Rows to fix go into a new file; unconfirmed ones are looked up first."""
    step = answer(counts).next_step
    assert [command.split()[1] for command in step.commands] == commands
    assert (step.text == "No action needed.") == (counts.keys() == {Outcome.CONNECTED})
    assert ("Nothing was sent" in step.text) == (counts.keys() == {Outcome.REJECTED})


@pytest.mark.parametrize(
    ("counts", "said"),
    [
        ({Outcome.CONNECTED: 1, Outcome.FAILED: 1}, "Fix the row, save it to a new file"),
        ({Outcome.FAILED: 1, Outcome.REJECTED: 1}, "Fix the 2 rows, save them to a new file"),
    ],
)
def test_rows_to_fix_are_counted(counts: dict[Outcome, int], said: str) -> None:
    """Singular and plural are right; other rows that need attention are not meant."""
    step = answer(counts | {Outcome.UNCONFIRMED: 3}).next_step
    assert step.text.startswith(said)


@pytest.mark.parametrize(
    ("counts", "does"),
    [
        ({Outcome.NOT_SENT: 1}, "sends the row that was not sent."),
        ({Outcome.UNCONFIRMED: 2}, "checks the unconfirmed rows again."),
        (
            {Outcome.UNCONFIRMED: 1, Outcome.NOT_SENT: 2},
            "checks the unconfirmed row again and sends the rows that were not sent.",
        ),
        ({}, "continues."),
    ],
)
@pytest.mark.parametrize("code", sorted(RESUMABLE))
def test_a_resumed_import_does_what_is_left(
    counts: dict[Outcome, int], does: str, code: ReasonCode
) -> None:
    """No more is promised."""
    made = replace(answer(counts, ImportStatus.STOPPED), code=code)
    assert f"resume the import: it {does}" in made.next_step.text.replace("Resume", "resume")


@pytest.mark.parametrize(
    ("invalid", "held", "meaning"),
    [
        (2, 0, "2  rejected (invalid row, not sent)"),
        (0, 2, "2  rejected (sign-in failed, not sent)"),
        (1, 2, "3  rejected (not sent: 1 invalid row, 2 with failed sign-in)"),
    ],
)
def test_rows_held_back_by_the_sign_in_check_are_not_called_invalid(
    invalid: int, held: int, meaning: str
) -> None:
    """The mail separates invalid rows from those whose sign-in failed."""
    made = answer({Outcome.REJECTED: invalid})
    for at in range(held):
        made.summary.add(
            RowOutcome(9 + at, "", Outcome.REJECTED, "", "", (), evidence=Evidence.SIGN_IN)
        )
    assert meaning in message_of(made).mail


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("märz übersicht.csv", "marz ubersicht.csv"),
        ("Ünïcödé ﬁle.csv", "Unicode file.csv"),
        ("名簿.csv", "??.csv"),
        ("a\tb\nc\x7f.csv", "a?b?c?.csv"),
        (" blank.csv", "blank.csv"),
        ("a: 5 failed, 3.csv", "a: 5 failed, 3.csv"),
    ],
)
def test_a_subject_has_the_name_in_ascii(name: str, shown: str) -> None:
    """Nothing else can be sent; other tests vary its length."""
    ending = ", 246 rows: 234 connected, 6 failed, 5 rejected, 1 duplicate"
    assert subject("north", name, ending) == f"[north] {shown}{ending}"


@pytest.mark.parametrize("workspace", ["n" * 63, "Ñ\n" * 200, "?"])
def test_a_long_workspace_does_not_crowd_out_the_counts(workspace: str) -> None:
    """Anything may be the name of a folder."""
    made = subject(workspace, "accounts.csv", ", 246 rows: 234 connected, 12 failed")
    assert made.endswith("accounts.csv, 246 rows: 234 connected, 12 failed")


@pytest.mark.parametrize("kind", [kind for kind in answers.ENDINGS if kind is not answers.hostile])
def test_a_mail_fits_on_a_screen(kind: answers.Kind) -> None:
    """Its first line says how it ended; at most three causes, and no more than 30 lines."""
    mail = answers.delivered(kind).message.mail
    lines = mail.splitlines()
    assert len(lines) <= 30
    assert len(mail) <= 1_700
    assert lines[0].endswith(".")
    assert sum(line[:2] in ("1.", "2.", "3.", "4.") for line in lines) <= 3


def test_a_mail_has_at_most_three_causes_and_says_how_many_more() -> None:
    """The most frequent ones, each with its first rows and the fix."""
    mail = message_of(answer(SAMPLE_COUNTS, unknown_columns=("Daily Limit", "Tag"))).mail
    causes = re.findall(r"^(\d)\. .+\((\d) rows: ([\d, ]+)\)\n   (.+)$", mail, re.MULTILINE)
    assert causes == [
        ("1", "5", "242, 243, 244, 245, 246", PORT.fix),
        ("2", "2", "236, 240", UNKNOWN.fix),
        ("3", "2", "237, 241", UNKNOWN.fix),
    ]
    assert "\n2 more causes " in mail
    assert ": Daily Limit, Tag\n" in mail


def test_a_refused_file_has_no_outcomes() -> None:
    """Where nothing was read there are no rows to download."""
    assert "outcome.csv" not in answers.delivered(answers.refused).message.mail


def test_a_link_says_until_when_it_opens() -> None:
    """In the mail for people, in the document with its zone; without one neither has it."""
    made = answers.delivered(answers.clean, link_hours=2)
    assert "2026-11-22 15:40 UTC" in made.message.mail
    folder = f"https://reports.example/imports/{made.upload.import_id}"
    assert json.loads(made.message.document)["link"] == {
        "url": f"{folder}/report.html?seconds=7200",
        "outcome": f"{folder}/outcome.csv?seconds=7200",
        "until": "2026-11-22T15:40:10+00:00",
    }
    assert f'<a href="{folder}/outcome.csv?seconds=7200"' in made.page
    assert "15:40 UTC" not in answers.delivered(answers.clean).message.mail
    assert "link" not in json.loads(answers.delivered(answers.clean).message.document)


def test_no_mail_carries_what_could_do_harm() -> None:
    """No line of its own, no turned text, no ten thousand letters, no password."""
    message = answers.delivered(answers.hostile).message
    assert all(line.isprintable() for line in message.mail.splitlines())
    assert not any(line.startswith("Subject:") for line in message.mail.splitlines())
    assert len(message.mail) < 3_000
    assert MARK not in str(message)
    assert message.subject.isascii()


def test_a_mail_has_no_lines_without_end() -> None:
    """Long names, columns and causes are cut; control characters do not break a line."""
    made = answer(
        SAMPLE_COUNTS,
        ImportStatus.UNFINISHED,
        key=f"uploads/{'x' * 500}\n.csv",
        failure_reason="y" * 5_000,
        unknown_columns=tuple("z" * 100 for _ in range(20)),
    )
    lines = message_of(made).mail.splitlines()
    assert all(line.isprintable() for line in lines)
    assert max(map(len, lines)) < 600


def test_the_document_has_the_result_for_programs() -> None:
    """Plain JSON: the status, the file, each count, the causes, the places of the reports."""
    made = answer(SAMPLE_COUNTS)
    document = json.loads(message_of(made).document)
    assert document == whole_document(made)
    assert document["schema"] == 2
    assert document["importId"] == made.imported.id
    assert (document["answer"], document["workspace"]) == (1, "default")
    assert document["status"] == "partial"
    assert document["headline"] == made.headline
    assert document["file"] == {
        "name": "accounts.csv",
        "bucket": "inbox",
        "key": "uploads/accounts.csv",
        "version": "v1",
        "bytes": 54_208,
    }
    assert document["counts"] == {
        "rows": 246,
        "connected": 234,
        "already_connected": 0,
        "failed": 6,
        "unconfirmed": 0,
        "not_sent": 0,
        "rejected": 5,
        "duplicate": 1,
    }
    assert [cause["rows"] for cause in document["causes"]] == [5, 2, 2, 1, 1]
    assert document["causes"][0] == {
        "code": "port_invalid",
        "outcome": "rejected",
        "rows": 5,
        "title": "smtpPort: not a port",
        "explanation": "",
        "fix": PORT.fix,
        "reason": "cause a\nsecond line",
        "firstRows": [242, 243, 244, 245, 246],
    }
    assert document["nextStep"]["commands"] == [f"email-accounts failed {made.imported.id[:8]}"]
    assert (document["failureReason"], document["failureCode"]) == ("", "")
    assert document["reports"] == made.reports
    assert document["console"] == made.consoles


def test_a_message_fits_into_a_notification() -> None:
    """A notification carries 256 KB, the mail and the document several times over."""
    made = answer({}, key=f"uploads/{'é' * 500}", unknown_columns=("€" * 60,) * 50)
    for number in range(300):
        reason = f"{'x' * number} {'€' * 500}"
        made.summary.add(RowOutcome(number, "", Outcome.FAILED, reason, causes=(UNKNOWN,)))
    message = message_of(made)
    assert len(message.document.encode()) < 32_000
    assert len(message.mail.encode()) < 32_000
    document = json.loads(message.document)
    assert document["moreCauses"] == len(made.summary.groups) - len(document["causes"]) > 0


def test_the_attributes_let_subscribers_choose() -> None:
    """By how it ended, by workspace, by whether anything failed."""
    message = message_of(answer(SAMPLE_COUNTS))
    assert message.attributes == {"status": "partial", "workspace": "default", "failed": 6}
    assert message_of(answer({})).attributes["failed"] == 0
    assert "workspace" not in message_of(answer({}, key="uploads//a.csv")).attributes


def test_a_file_of_another_workspace_says_so() -> None:
    """Subscribers of a workspace get what is in its folder."""
    made = answer(SAMPLE_COUNTS, key="uploads/sales/accounts.csv")
    message = message_of(made)
    assert message.attributes["workspace"] == "sales"
    assert message.subject.startswith("[sales] accounts.csv, ")
    assert "\nWorkspace: sales\n" in message.mail
    assert json.loads(message.document)["workspace"] == "sales"


def test_a_supplementary_answer_says_so() -> None:
    """Anyone who reads two answers to one file knows which is the later one, and of which kind."""
    first = answer({Outcome.UNCONFIRMED: 3}, ImportStatus.UNFINISHED)
    message = message_of(replace(first, imported=replace(first.imported, resumed=2)))
    assert message.subject == (
        "[default] accounts.csv, 3 rows: resumed, not finished, 3 unconfirmed"
    )
    assert json.loads(message.document)["answer"] == 3
