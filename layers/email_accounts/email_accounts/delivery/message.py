"""The notification: its subject, the mail for people, the JSON document for programs."""

import json
import unicodedata
from collections.abc import Iterator

from email_accounts.delivery.outcomes import Outcome
from email_accounts.delivery.result import ImportResult, counted, label
from email_accounts.delivery.summary import Group, Summary
from email_accounts.models.causes import UNKNOWN
from email_accounts.models.messages import Message, file_document
from email_accounts.models.upload import WORKSPACE_NAME
from email_accounts.text.display import iso, moment, one_line, within

SCHEMA = 2
_LONGEST_SUBJECT = 99
_LONGEST_WORKSPACE = 20
_SHORTEST_NAME = 20
_CAUSES_SHOWN = 3
_CAUSES_SENT = 10
_WARNINGS_SHOWN = 5
_WARNINGS_SENT = 10
_LONGEST_TEXT = 1000
_LARGEST = 260_000
"""Bytes of a notification, which has the mail once and the document five times; SNS takes 256 KB.
Source: https://docs.aws.amazon.com/sns/latest/api/API_Publish.html
"""
_TIMES = 5
_COLUMNS_SHOWN = 5
_LONGEST_REASON = 160
_LONGEST_FAILURE = 500
_MEANINGS = {
    Outcome.CONNECTED: "ready to send from in Saleshandy",
    Outcome.ALREADY_CONNECTED: "no action needed",
    Outcome.FAILED: "not connected",
    Outcome.UNCONFIRMED: "sent, but the status is unknown",
    Outcome.NOT_SENT: "the import ended early",
    Outcome.REJECTED: "invalid row, not sent",
    Outcome.DUPLICATE: "skipped: the address appears earlier in the file",
}


def document(
    result: ImportResult, causes: int = _CAUSES_SENT, warnings: int = _WARNINGS_SENT
) -> dict[str, object]:
    """Return the result as plain data, with so many causes and warnings; also for summary.json."""
    upload = result.imported.upload
    next_step = result.next_step
    return {
        "schema": SCHEMA,
        "importId": result.imported.id,
        "answer": result.imported.resumed + 1,
        "workspace": upload.workspace,
        "status": result.status.value,
        "headline": result.headline,
        "failureReason": within(result.failure_reason, _LONGEST_TEXT),
        "failureCode": result.code.value if result.code else "",
        "nextStep": {"text": next_step.text, "commands": list(next_step.commands)},
        "file": file_document(upload),
        "counts": {
            "rows": result.rows,
            **{outcome.value: result.summary.outcomes[outcome] for outcome in Outcome},
        },
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
            for group in result.summary.groups[:causes]
        ],
        "warnings": [
            {
                "code": warning.code,
                "message": within(warning.message, _LONGEST_TEXT),
                "rows": warning.rows,
                "firstRows": warning.first_rows,
            }
            for warning in result.summary.warnings[:warnings]
        ],
        "moreCauses": max(len(result.summary.groups) - causes, 0),
        "moreWarnings": max(len(result.summary.warnings) - warnings, 0),
        "reports": dict(result.reports),
        "console": dict(result.consoles),
        **_link(result),
    }


def _link(result: ImportResult) -> dict[str, object]:
    link = result.link
    if not link:
        return {}
    outcome = {"outcome": link.outcome} if link.outcome else {}
    return {"link": {"url": link.page, **outcome, "until": iso(link.until)}}


def message_of(result: ImportResult) -> Message:
    """Write the one notification."""
    workspace = result.imported.upload.workspace
    mail = _mail(result)
    return Message(
        subject=subject(result.workspace, result.imported.upload.name, result.ending),
        mail=mail,
        document=_document(result, (_LARGEST - len(json.dumps(mail))) // _TIMES),
        attributes={
            "status": result.status.value,
            "failed": result.summary.outcomes[Outcome.FAILED],
        }
        # SNS refuses an empty attribute, and more than its filters can name.
        | ({"workspace": workspace} if WORKSPACE_NAME.fullmatch(workspace) else {}),
    )


def _document(result: ImportResult, largest: int) -> str:
    """Write the document with as many causes, then warnings, as fit; it is quoted once more."""
    sizes = [
        *((causes, _WARNINGS_SENT) for causes in range(_CAUSES_SENT, 1, -1)),
        *((1, warnings) for warnings in range(_WARNINGS_SENT, -1, -1)),
    ]
    written = (json.dumps(document(result, *size)) for size in sizes)
    return next(one for one in written if len(json.dumps(one)) <= largest)


def subject(workspace: str, name: str, ending: str) -> str:
    """Fit a headline into a subject: printable ASCII, at most 99 characters.

    The file's name is shortened first, then whole counts are dropped from the end.
    """
    whose = f"[{_shortened(_ascii(workspace), _LONGEST_WORKSPACE)}] "
    said = _ascii(ending)
    room = max(_LONGEST_SUBJECT - len(whose) - len(said), _SHORTEST_NAME)
    named = whose + _shortened(_ascii(name).strip() or "?", room)
    while len(named + said) > _LONGEST_SUBJECT and ", " in said:
        said = said.removesuffix(", ...").rpartition(", ")[0] + ", ..."
    return _shortened(named + said, _LONGEST_SUBJECT)


def _shortened(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - len("...")] + "..."


def _ascii(text: str) -> str:
    folded = unicodedata.normalize("NFKD", text)
    kept = (char for char in folded if not unicodedata.combining(char))
    return "".join(char if " " <= char <= "~" else "?" for char in kept)


def title_of(group: Group) -> str:
    """Return what a cause is, in the original words if the importer does not recognize it."""
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


def failure_of(result: ImportResult) -> str:
    """Return why an import ended early, as a sentence; "" if it did not."""
    reason = one_line(result.failure_reason, _LONGEST_FAILURE)
    if not reason:
        return ""
    return reason[0].upper() + reason[1:] + ("" if reason.endswith((".", "…")) else ".")


def _mail(result: ImportResult) -> str:
    name, step = result.imported.upload.name, result.next_step
    paragraphs = [
        [result.sentence],
        [f"File: {one_line(name)}", f"Workspace: {one_line(result.workspace)}"],
        [failure_of(result)],
        _counts(result),
        ["Next step", step.text, *(f"   {command}" for command in step.commands)],
        _causes(result),
        _warnings(result),
        _unknown_columns(result),
        [*_places(result)],
    ]
    return "\n\n".join("\n".join(lines) for lines in paragraphs if any(lines)) + "\n"


def _counts(result: ImportResult) -> list[str]:
    counts = result.summary.outcomes
    if not result.rows:
        return []
    width = len(f"{result.rows:,}")
    return [
        f"{result.rows:>{width},}  row{'' if result.rows == 1 else 's'}",
        *(
            f"{counts[outcome]:>{width},}  {label(outcome, counts[outcome])} "
            f"({meaning_of(outcome, result.summary)})"
            for outcome in Outcome
            if counts[outcome]
        ),
    ]


def meaning_of(outcome: Outcome, summary: Summary) -> str:
    """Return what an outcome means for its rows; of duplicates, also which they are."""
    if outcome is Outcome.DUPLICATE and (rows := summary.duplicates):
        return f"{_MEANINGS[outcome]}; {rows_of(rows)}"
    rejected, held = summary.outcomes[Outcome.REJECTED], summary.held
    if outcome is not Outcome.REJECTED or not held:
        return _MEANINGS[outcome]
    if held == rejected:
        return "sign-in failed, not sent"
    return f"not sent: {counted(rejected - held, 'invalid row')}, {held:,} with failed sign-in"


def _causes(result: ImportResult) -> list[str]:
    groups = result.summary.groups
    if not groups:
        return []
    lines = ["Causes and fixes"]
    for number, group in enumerate(groups[:_CAUSES_SHOWN], 1):
        lines += [f"{number}. {title_of(group)} ({rows_of(group)})"]
        lines += [f"   {group.cause.fix}"]
    more = len(groups) - _CAUSES_SHOWN
    if more > 0:
        lines += [f"{counted(more, 'more cause is', 'more causes are')} in the report."]
    return lines


def _warnings(result: ImportResult) -> list[str]:
    warnings = result.summary.warnings
    lines = [
        one_line(f"Warning, {one.text}", _LONGEST_FAILURE) for one in warnings[:_WARNINGS_SHOWN]
    ]
    more = len(warnings) - _WARNINGS_SHOWN
    if more > 0:
        lines += [f"{counted(more, 'more warning is', 'more warnings are')} in the report."]
    return lines


def _unknown_columns(result: ImportResult) -> list[str]:
    columns = result.imported.unknown_columns
    if not columns:
        return []
    more = ", …" if len(columns) > _COLUMNS_SHOWN else ""
    return [one_line(f"Columns that were not used: {', '.join(columns[:_COLUMNS_SHOWN])}{more}")]


def _places(result: ImportResult) -> Iterator[str]:
    if "page" in result.consoles:
        yield f"Report: {result.consoles['page']}"
    if "outcome" in result.reports:
        yield f"Full results (CSV): {result.reports['outcome']}"
    if result.link:
        yield (
            f"Report without signing in, until {moment(result.link.until)} at the latest: "
            f"{result.link.page}"
        )
        if result.link.outcome:
            yield f"Full results (CSV) without signing in: {result.link.outcome}"
