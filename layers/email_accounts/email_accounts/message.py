"""The answer: its headline, the mail a person reads, the document a machine reads."""

import json
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from email_accounts.ledger import Import
from email_accounts.outcomes import Outcome
from email_accounts.ports import WORKSPACE, Message
from email_accounts.tally import Tally

SCHEMA = 1
_LONGEST_SUBJECT = 99
_SHORTEST_NAME = 20
_CAUSES_SHOWN = 3
_CAUSES_SENT = 10
_COLUMNS_SHOWN = 5
_LONGEST_LINE = 160
_MEANINGS = {
    Outcome.CONNECTED: "Saleshandy can send from them",
    Outcome.ALREADY_CONNECTED: "nothing was to be done",
    Outcome.FAILED: "not connected; the causes are below",
    Outcome.UNCONFIRMED: "nobody knows yet; look at them in Saleshandy before sending again",
    Outcome.REJECTED: "not sent, because something in the row is wrong",
    Outcome.DUPLICATE: "left out, because the address stands in the file before",
}


class ImportStatus(StrEnum):
    """How an import ended."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    REFUSED = "refused"
    STOPPED = "stopped"
    UNFINISHED = "unfinished"


@dataclass(frozen=True, slots=True)
class Answer:
    """All that is known of an import when it ends.

    `trouble` says why it ended early (refused, stopped, cut off), else it is empty;
    `reports` maps the name of each report to its s3:// address.
    """

    imported: Import
    status: ImportStatus
    tally: Tally
    trouble: str
    reports: Mapping[str, str]

    @property
    def headline(self) -> str:
        """The answer in one line."""
        return f"{self.imported.upload.name}: {self._said}"

    @property
    def _said(self) -> str:
        if self.status is ImportStatus.REFUSED:
            return "not imported, the file cannot be used"
        counts = ", ".join(
            f"{self.tally.outcomes[outcome]:,} {outcome.replace('_', ' ')}"
            for outcome in Outcome
            if self.tally.outcomes[outcome]
        )
        prefix = {
            ImportStatus.STOPPED: "stopped",
            ImportStatus.UNFINISHED: "not finished",
        }.get(self.status, "")
        return ", ".join(filter(None, (prefix, counts)))

    def document(self) -> dict[str, object]:
        """Return the answer as plain data, the same for the message and for summary.json."""
        upload = self.imported.upload
        counts = {outcome.value: self.tally.outcomes[outcome] for outcome in Outcome}
        return {
            "schema": SCHEMA,
            "importId": self.imported.id,
            "workspace": WORKSPACE,
            "status": self.status.value,
            "headline": self.headline,
            "trouble": self.trouble,
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
                    "title": group.cause.title,
                    "explanation": group.cause.explanation,
                    "cure": group.cause.cure,
                    "reason": group.reason[:_LONGEST_LINE],
                    "firstRows": group.first_rows,
                }
                for group in self.tally.groups[:_CAUSES_SENT]
            ],
            "reports": dict(self.reports),
        }


def message_of(answer: Answer) -> Message:
    """Write the one notification."""
    return Message(
        subject=subject(answer.imported.upload.name, answer.headline),
        mail=_mail(answer),
        document=json.dumps(answer.document()),
        attributes={
            "status": answer.status.value,
            "workspace": WORKSPACE,
            "failed": answer.tally.outcomes[Outcome.FAILED],
        },
    )


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


def _mail(answer: Answer) -> str:
    paragraphs = [
        [_line(answer.headline)],
        [_line(answer.trouble, 500)] if answer.trouble else [],
        _counted(answer),
        _causes(answer),
        _unknown_columns(answer),
        _places(answer),
    ]
    return "\n\n".join("\n".join(lines) for lines in paragraphs if lines) + "\n"


def _counted(answer: Answer) -> list[str]:
    counts = answer.tally.outcomes
    if not counts:
        return []
    width = max(len(f"{count:,}") for count in counts.values())
    return [f"Of {sum(counts.values()):,} rows"] + [
        f"  {counts[outcome]:>{width},}  {outcome.replace('_', ' '):<17}  {meaning}"
        for outcome, meaning in _MEANINGS.items()
        if counts[outcome]
    ]


def _causes(answer: Answer) -> list[str]:
    groups = answer.tally.groups[:_CAUSES_SHOWN]
    if not groups:
        return []
    lines = (
        line
        for group in groups
        for line in (f"  {group.rows:,} x  {group.cause.title}", f"       {group.cause.cure}")
    )
    return ["Why", *(_line(line, 300) for line in lines)]


def _unknown_columns(answer: Answer) -> list[str]:
    columns = answer.imported.unknown_columns
    if not columns:
        return []
    return [_line(f"Columns that were not used: {', '.join(columns[:_COLUMNS_SHOWN])}")]


def _places(answer: Answer) -> list[str]:
    upload = answer.imported.upload
    outcome = answer.reports.get("outcome")
    each_row = [f"What became of each row: {outcome}"] if outcome else []
    return [
        *each_row,
        f"The file: s3://{upload.bucket}/{_printable(upload.key)}",
        f"The import: {answer.imported.id}",
    ]


def _line(text: str, longest: int = _LONGEST_LINE) -> str:
    text = _printable(text)
    return text if len(text) <= longest else text[: longest - 1] + "…"


def _printable(text: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in text)
