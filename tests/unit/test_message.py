"""The answer as people and machines get it."""

import json
import re
from dataclasses import replace

import pytest

from email_accounts.delivery.message import (
    ImportResult,
    ImportStatus,
    message_of,
    subject,
)
from email_accounts.delivery.outcomes import Outcome, RowOutcome
from email_accounts.delivery.summary import Summary
from email_accounts.models.account import problem
from email_accounts.models.causes import UNKNOWN, rejection
from tests.support import answers
from tests.support.files import MARK

PORT = rejection(problem("port_invalid", "smtpPort"))
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
            causes = {Outcome.FAILED: (UNKNOWN,), Outcome.REJECTED: (PORT,)}.get(outcome, ())
            summary.add(RowOutcome(number, "", outcome, reason, "gsuite", causes))
    return answers.answer(summary, key, status, failure_reason, unknown_columns)


def test_the_subject_says_it_all() -> None:
    """The file and every count, in the order in which people want to know."""
    message = message_of(answer(SAMPLE_COUNTS))
    assert message.subject == "accounts.csv: 234 connected, 6 failed, 5 rejected, 1 duplicate"


@pytest.mark.parametrize(
    ("status", "counts", "said"),
    [
        (ImportStatus.COMPLETE, {Outcome.CONNECTED: 1_234}, "1,234 connected"),
        (ImportStatus.PARTIAL, {Outcome.ALREADY_CONNECTED: 2}, "2 already connected"),
        (
            ImportStatus.STOPPED,
            {Outcome.CONNECTED: 1, Outcome.FAILED: 2},
            "stopped, 1 connected, 2 failed",
        ),
        (ImportStatus.UNFINISHED, {Outcome.UNCONFIRMED: 3}, "not finished, 3 unconfirmed"),
        (ImportStatus.UNFINISHED, {}, "not finished"),
        (ImportStatus.REFUSED, {}, "not imported, the file cannot be used"),
    ],
)
def test_the_headline_tells_how_an_import_ended(
    status: ImportStatus, counts: dict[Outcome, int], said: str
) -> None:
    """An early end comes before the counts."""
    made = answer(counts, status)
    assert made.headline == f"accounts.csv: {said}"
    assert message_of(made).subject == made.headline


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("märz übersicht.csv", "marz ubersicht.csv"),
        ("Ünïcödé ﬁle.csv", "Unicode file.csv"),
        ("名簿.csv", "??.csv"),
        ("a\tb\nc\x7f.csv", "a?b?c?.csv"),
        (" blank.csv", "blank.csv"),
        ("a: 5 failed, 3.csv", "a: 5 failed, 3.csv"),
        (f"{'long' * 40}.csv", None),
    ],
)
def test_a_subject_is_printable_ascii_of_at_most_99_characters(
    name: str, shown: str | None
) -> None:
    """Nothing else can be sent; it is the name that gives way, and the counts that stay."""
    counts = "234 connected, 6 failed, 5 rejected, 1 duplicate"
    made = subject(name, f"{name}: {counts}")
    assert made.endswith(f": {counts}")
    assert len(made) <= 99
    assert made == made.strip()
    assert made.isascii()
    assert made.isprintable()
    if shown:
        assert made == f"{shown}: {counts}"


def test_a_subject_leaves_out_whole_counts_rather_than_cut_one() -> None:
    """A count that is cut would be a wrong one."""
    said = (
        "not finished, 1,234,567 connected, 1,234,567 already connected, 1,234,567 failed, "
        "1,234,567 unconfirmed, 1,234,567 rejected, 1,234,567 duplicate"
    )
    made = subject("accounts.csv", f"accounts.csv: {said}")
    assert len(made) <= 99
    assert made.startswith("accounts.csv: not finished, 1,234,567 connected, 1,234,567 already")
    assert made.endswith(", ...")
    assert said.startswith(made.removeprefix("accounts.csv: ").removesuffix("..."))


@pytest.mark.parametrize(
    "kind", [answers.clean, answers.sample, answers.refused, answers.stopped, answers.stuck]
)
def test_a_mail_fits_on_a_screen(kind: answers.Kind) -> None:
    """Its first line says how it ended; at most three causes, and no more than 25 lines."""
    mail = answers.told(kind).message.mail
    lines = mail.splitlines()
    assert len(lines) <= 25
    assert len(mail) <= 1_500
    assert lines[0].endswith(".")
    assert sum(line[:2] in ("1.", "2.", "3.", "4.") for line in lines) <= 3


def test_a_mail_has_at_most_three_causes_and_says_how_many_more() -> None:
    """The most frequent ones, each with its first rows and the cure."""
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
    assert "outcome.csv" not in answers.told(answers.refused).message.mail


def test_a_link_says_until_when_it_opens() -> None:
    """In the mail for people, in the document with its zone; without one nothing is said."""
    made = answers.told(answers.clean, link_hours=2)
    assert "2026-11-22 15:40 UTC" in made.message.mail
    assert json.loads(made.message.document)["link"] == {
        "url": f"https://reports.example/imports/{made.upload.import_id}/report.html?seconds=7200",
        "until": "2026-11-22T15:40:10+00:00",
    }
    assert "15:40 UTC" not in answers.told(answers.clean).message.mail
    assert "link" not in json.loads(answers.told(answers.clean).message.document)


def test_no_mail_carries_what_could_do_harm() -> None:
    """No line of its own, no turned text, no ten thousand letters, no password."""
    message = answers.told(answers.hostile).message
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


def test_the_document_holds_the_answer_for_machines() -> None:
    """Plain JSON: the status, the file, each count, the causes, where the reports lie."""
    made = answer(SAMPLE_COUNTS)
    document = json.loads(message_of(made).document)
    assert document == made.document()
    assert document["schema"] == 1
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


def test_the_attributes_let_subscribers_choose() -> None:
    """By how it ended, by workspace, by whether anything failed."""
    message = message_of(answer(SAMPLE_COUNTS))
    assert message.attributes == {"status": "partial", "workspace": "default", "failed": 6}
    assert message_of(answer({})).attributes["failed"] == 0


def test_a_file_of_another_workspace_says_so() -> None:
    """Subscribers of a workspace get what lies in its folder."""
    made = answer(SAMPLE_COUNTS, key="uploads/sales/accounts.csv")
    message = message_of(made)
    assert message.attributes["workspace"] == "sales"
    assert json.loads(message.document)["workspace"] == "sales"


def test_a_supplementary_answer_says_so() -> None:
    """Whoever reads two answers to one file knows which is the later one, and of which kind."""
    first = answer({Outcome.UNCONFIRMED: 3}, ImportStatus.UNFINISHED)
    message = message_of(replace(first, imported=replace(first.imported, resumed=2)))
    assert message.subject == "accounts.csv: resumed, not finished, 3 unconfirmed"
    assert json.loads(message.document)["answer"] == 3
