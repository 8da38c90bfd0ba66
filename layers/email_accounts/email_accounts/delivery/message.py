"""The answer: its headline, the mail a person reads, the document a machine reads."""

import json
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

from email_accounts.delivery.outcomes import Outcome
from email_accounts.delivery.summary import Group, Summary
from email_accounts.models.causes import UNKNOWN
from email_accounts.models.imports import Import
from email_accounts.models.messages import Message
from email_accounts.models.upload import WORKSPACE_NAME
from email_accounts.text.display import one_line, within

SCHEMA = 1
_LONGEST_SUBJECT = 99
_SHORTEST_NAME = 20
_CAUSES_SHOWN = 3
_CAUSES_SENT = 10
_WARNINGS_SHOWN = 5
_WARNINGS_SENT = 10
_LONGEST_TEXT = 1000
_LARGEST_DOCUMENT = 47_000
"""Bytes of the document in a notification, which has it five times, and the mail, in 256 KB.
Source: https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
"""
_COLUMNS_SHOWN = 5
_LONGEST_REASON = 160
_LONGEST_TROUBLE = 500
MEANINGS = {
    Outcome.CONNECTED: "Saleshandy can send from them",
    Outcome.ALREADY_CONNECTED: "nothing was to be done",
    Outcome.FAILED: "not connected",
    Outcome.UNCONFIRMED: "nobody knows yet",
    Outcome.REJECTED: "not sent, something in the row is wrong",
    Outcome.DUPLICATE: "left out, the address stands in the file before",
}
_AGAIN = "Then put these rows, mended, into a new file below the same first line, and drop it."


class ImportStatus(StrEnum):
    """How an import ended."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    REFUSED = "refused"
    STOPPED = "stopped"
    UNFINISHED = "unfinished"


@dataclass(frozen=True, slots=True)
class Link:
    """A link that opens the page for everybody who has it, at the latest until a time.

    It ends sooner when the credentials end that it was signed with, and nobody tells a function
    when its own do; the time is in seconds since the epoch.
    """

    url: str
    until: float


@dataclass(frozen=True, slots=True)
class ImportResult:
    """All that is known of an import when it ends.

    `trouble` says why it ended early (refused, stopped, cut off), else it is empty. `reports`
    maps the name of each report to its s3:// address, `consoles` to its place in the AWS
    console; `link` opens the page without signing in, where that is wanted.
    """

    imported: Import
    status: ImportStatus
    summary: Summary
    failure_reason: str
    reports: Mapping[str, str]
    consoles: Mapping[str, str]
    link: Link | None = None

    @property
    def headline(self) -> str:
        """The answer in one line."""
        return f"{self.imported.upload.name}: {self._said}"

    def _link(self) -> dict[str, object]:
        if not self.link:
            return {}
        until = datetime.fromtimestamp(self.link.until, UTC)
        return {"link": {"url": self.link.url, "until": until.isoformat(timespec="seconds")}}

    @property
    def _said(self) -> str:
        if self.status is ImportStatus.REFUSED:
            return "not imported, the file cannot be used"
        counts = ", ".join(
            f"{self.summary.outcomes[outcome]:,} {outcome.replace('_', ' ')}"
            for outcome in Outcome
            if self.summary.outcomes[outcome]
        )
        prefix = {
            ImportStatus.STOPPED: "stopped",
            ImportStatus.UNFINISHED: "not finished",
        }.get(self.status, "")
        resumed = "resumed" if self.imported.resumed else ""
        return ", ".join(filter(None, (resumed, prefix, counts)))

    @property
    def sentence(self) -> str:
        """How it ended, as one says it."""
        if self.status is ImportStatus.REFUSED:
            return "Nothing was imported: the file cannot be used."
        outcomes = self.summary.outcomes
        mailboxes = outcomes.total() - outcomes[Outcome.DUPLICATE]
        good = self.summary.of(Outcome.CONNECTED, Outcome.ALREADY_CONNECTED)
        counted = f"{good:,} of {counted_as(mailboxes, 'mailbox', 'mailboxes')}"
        are = "is" if good == 1 else "are"
        match self.status:
            case ImportStatus.COMPLETE if mailboxes == 1:
                return "The mailbox is connected."
            case ImportStatus.COMPLETE:
                return f"All {mailboxes:,} mailboxes are connected."
            case ImportStatus.PARTIAL:
                return f"{counted} {are} connected, {mailboxes - good:,} need care."
            case ImportStatus.STOPPED:
                return f"The import was stopped: {counted} {are} connected."
            case _:
                return f"The import is stuck: {counted} {are} known to be connected."

    def document(self, causes: int = _CAUSES_SENT) -> dict[str, object]:
        """Return the answer as plain data, with so many causes; also for summary.json."""
        upload = self.imported.upload
        counts = {outcome.value: self.summary.outcomes[outcome] for outcome in Outcome}
        return {
            "schema": SCHEMA,
            "importId": self.imported.id,
            "answer": self.imported.resumed + 1,
            "workspace": upload.workspace,
            "status": self.status.value,
            "headline": self.headline,
            "failureReason": within(self.failure_reason, _LONGEST_TEXT),
            "file": {
                "name": upload.name,
                "bucket": upload.bucket,
                "key": upload.key,
                "version": upload.version,
                "bytes": upload.size,
            },
            "counts": {"rows": sum(counts.values()), **counts},
            "causes": [
                {
                    "code": group.cause.code,
                    "outcome": group.outcome.value,
                    "rows": group.rows,
                    "title": within(group.cause.title, _LONGEST_TEXT),
                    "explanation": within(group.cause.explanation, _LONGEST_TEXT),
                    "fix": within(group.cause.fix, _LONGEST_TEXT),
                    "reason": group.reason[:_LONGEST_REASON],
                    "firstRows": group.first_rows,
                }
                for group in self.summary.groups[:causes]
            ],
            "warnings": [
                {
                    "code": warning.code,
                    "message": within(warning.message, _LONGEST_TEXT),
                    "rows": warning.rows,
                    "firstRows": warning.first_rows,
                }
                for warning in self.summary.warnings[:_WARNINGS_SENT]
            ],
            "moreCauses": max(len(self.summary.groups) - causes, 0),
            "reports": dict(self.reports),
            "console": dict(self.consoles),
            **self._link(),
        }


def message_of(answer: ImportResult) -> Message:
    """Write the one notification."""
    workspace = answer.imported.upload.workspace
    return Message(
        subject=subject(answer.imported.upload.name, answer.headline),
        mail=_mail(answer),
        document=_document(answer),
        attributes={
            "status": answer.status.value,
            "failed": answer.summary.outcomes[Outcome.FAILED],
        }
        # SNS refuses an empty attribute, and more than its filters can name.
        | ({"workspace": workspace} if WORKSPACE_NAME.fullmatch(workspace) else {}),
    )


def _document(answer: ImportResult) -> str:
    """Write the document with as many causes as fit into a notification, there quoted once more."""
    written = (json.dumps(answer.document(causes)) for causes in range(_CAUSES_SENT, -1, -1))
    return next(one for one in written if len(json.dumps(one)) <= _LARGEST_DOCUMENT)


def subject(name: str, headline: str) -> str:
    """Fit a headline into a subject: printable ASCII, at most 99 characters.

    The file's name is shortened first, then whole counts are left out from the end.
    """
    said = _ascii(headline.removeprefix(f"{name}: "))
    name = _ascii(name).strip() or "?"
    room = max(_LONGEST_SUBJECT - len(": ") - len(said), _SHORTEST_NAME)
    if len(name) > room:
        name = name[: room - len("...")] + "..."
    text = f"{name}: {said}"
    while len(text) > _LONGEST_SUBJECT:
        said = said.removesuffix(", ...").rpartition(", ")[0] + ", ..."
        text = f"{name}: {said}"
    return text


def _ascii(text: str) -> str:
    folded = unicodedata.normalize("NFKD", text)
    kept = (char for char in folded if not unicodedata.combining(char))
    return "".join(char if " " <= char <= "~" else "?" for char in kept)


def counted_as(number: int, one: str, many: str) -> str:
    """Return a number with what it counts."""
    return f"{number:,} {one if number == 1 else many}"


def again(answer: ImportResult) -> str:
    """Say how mended rows are sent, where there are some."""
    is_mendable = any(group.outcome is not Outcome.UNCONFIRMED for group in answer.summary.groups)
    return _AGAIN if is_mendable else ""


def title_of(group: Group) -> str:
    """Return what a cause is, in the service's words where we do not know better."""
    if group.cause is UNKNOWN:
        return one_line(f"{group.cause.title}: {group.reason}")
    return one_line(group.cause.title)


def rows_of(group: Group) -> str:
    """Say which rows a cause is about: their number and the first of them."""
    first = ", ".join(group.first_places)
    if group.rows == 1:
        return f"row {first}"
    more = ", …" if group.rows > len(group.first_rows) else ""
    return f"{group.rows:,} rows: {first}{more}"


def moment(seconds: float) -> str:
    """Write a time for people."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"


def _mail(answer: ImportResult) -> str:
    paragraphs = [
        [answer.sentence, f"File: {one_line(answer.imported.upload.name)}"],
        [one_line(answer.failure_reason, _LONGEST_TROUBLE)],
        _counted(answer),
        _causes(answer),
        _warnings(answer),
        _unknown_columns(answer),
        [*_places(answer)],
    ]
    return "\n\n".join("\n".join(lines) for lines in paragraphs if any(lines)) + "\n"


def _counted(answer: ImportResult) -> list[str]:
    counts = answer.summary.outcomes
    width = max((len(f"{count:,}") for count in counts.values()), default=0)
    return [
        f"{counts[outcome]:>{width},}  {outcome.replace('_', ' ')}: {meaning}"
        for outcome, meaning in MEANINGS.items()
        if counts[outcome]
    ]


def _causes(answer: ImportResult) -> list[str]:
    groups = answer.summary.groups
    if not groups:
        return []
    lines = ["What to do"]
    for number, group in enumerate(groups[:_CAUSES_SHOWN], 1):
        lines += [f"{number}. {title_of(group)} ({rows_of(group)})"]
        lines += [f"   {group.cause.fix}"]
    more = len(groups) - _CAUSES_SHOWN
    if more > 0:
        lines += [f"{counted_as(more, 'more cause is', 'more causes are')} in the report."]
    return [*lines, *filter(None, [again(answer)])]


def _warnings(answer: ImportResult) -> list[str]:
    warnings = answer.summary.warnings[:_WARNINGS_SHOWN]
    return [one_line(f"Warning, {one.text}", _LONGEST_TROUBLE) for one in warnings]


def _unknown_columns(answer: ImportResult) -> list[str]:
    columns = answer.imported.unknown_columns
    if not columns:
        return []
    more = ", …" if len(columns) > _COLUMNS_SHOWN else ""
    return [one_line(f"Columns that were not used: {', '.join(columns[:_COLUMNS_SHOWN])}{more}")]


def _places(answer: ImportResult) -> Iterator[str]:
    if "page" in answer.consoles:
        yield f"Report: {answer.consoles['page']}"
    if "outcome" in answer.reports:
        yield f"Each row: {answer.reports['outcome']}"
    if answer.link:
        yield (
            f"Report without signing in, until {moment(answer.link.until)} at the latest: "
            f"{answer.link.url}"
        )
