"""How an import ended: its status, its headline and what to do next."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from email_accounts.delivery.outcomes import Outcome
from email_accounts.delivery.summary import Summary
from email_accounts.models.imports import Import, ReasonCode

SHORT_ID = 8
"""Digits of an import id that the command line shows and accepts."""
_GOOD = (Outcome.CONNECTED, Outcome.ALREADY_CONNECTED)
_TO_FIX = (Outcome.FAILED, Outcome.REJECTED)
_FIX_ROWS = (
    "Fix {rows}, save {them} to a new file with the same header row, and upload that file to the "
    "same folder. The command below writes the file, with the problem and the fix next to each row."
)
_FIX_ALL_ROWS = (
    "Nothing was sent to Saleshandy. Fix the file and upload it again to the same folder. The "
    "command below writes a copy, with the problem and the fix next to each row."
)
_LOOK_UP = (
    "Look up each unconfirmed address in Saleshandy. Upload it again only if it is missing there, "
    "or resume the import to check it again."
)
_RESUME = "Then resume the import: it {continues}. A new report follows."


class ImportStatus(StrEnum):
    """How an import ended. `failed` means that no row is connected, and none may be."""

    COMPLETE = "complete"
    PARTIAL = "partial"
    FAILED = "failed"
    REFUSED = "refused"
    STOPPED = "stopped"
    UNFINISHED = "unfinished"


@dataclass(frozen=True, slots=True)
class NextStep:
    """What to do next: a text for everybody, and commands for those who have the command line."""

    text: str
    commands: tuple[str, ...] = ()


_REPLACE_KEY = NextStep(
    f"Replace the API key of the workspace. {_RESUME} Do not upload the file again.",
    ("workspace add {workspace} --replace", "resume {id}"),
)
_NEXT_STEPS: dict[ReasonCode, NextStep] = {
    ReasonCode.FILE_REFUSED: NextStep(
        "Correct the file and upload it again. Nothing was sent to Saleshandy."
    ),
    ReasonCode.WRONG_FOLDER: NextStep(
        "Upload the same file to the folder of an existing workspace. Its content has not been "
        "read yet. The command below lists the workspaces.",
        ("workspace list",),
    ),
    ReasonCode.FILE_NOT_READ: NextStep(
        "Split the file or save it as CSV, and upload it again. Nothing was sent to Saleshandy."
    ),
    ReasonCode.UPLOAD_DELETED: NextStep(
        "Upload the file again, and do not delete it before its result arrives. Mailboxes that are "
        "connected stay connected."
    ),
    ReasonCode.API_KEY_REFUSED: _REPLACE_KEY,
    ReasonCode.API_KEY_MISSING: _REPLACE_KEY,
    ReasonCode.STOPPED_BY_OPERATOR: NextStep(
        "To continue, resume the import: it {continues}. Do not upload the file again.",
        ("resume {id}",),
    ),
    ReasonCode.SUBMISSION_FAILED: NextStep(
        f"Find the error in the log of submit_accounts and fix it. {_RESUME}",
        ("show {id}", "resume {id}"),
    ),
    ReasonCode.DEADLINE_PASSED: NextStep(
        "Resume the import: it {continues}. Do not upload the file again.", ("resume {id}",)
    ),
    ReasonCode.NO_PROGRESS: NextStep(
        "Wait an hour, then resume the import: it {continues}. If it makes no progress again, ask "
        "Saleshandy's support.",
        ("resume {id}",),
    ),
    ReasonCode.EXECUTION_FAILED: NextStep(
        f"Find the error in the log of the function and fix it. {_RESUME}",
        ("show {id}", "resume {id}"),
    ),
}
"""What to do after an import that ended early; `{continues}` is what it does once it is resumed."""


@dataclass(frozen=True, slots=True)
class Link:
    """Links that open the page and outcome.csv for anyone who has them, until a time at most.

    They end earlier when the credentials expire that signed them, which a function cannot know.
    `outcome` is "" if there is no outcome.csv. The time is in seconds since the epoch.
    """

    page: str
    outcome: str
    until: float


@dataclass(frozen=True, slots=True)
class ImportResult:
    """All that is known of an import when it ends.

    `failure_reason` says why it ended early (refused, stopped, interrupted), or is empty; `code` is
    the reason for programs. `reports` maps the name of each report to its s3:// address,
    `consoles` to its page in the AWS console. `link` opens reports without signing in, if wanted.
    """

    imported: Import
    status: ImportStatus
    summary: Summary
    failure_reason: str
    code: ReasonCode | None
    reports: Mapping[str, str]
    consoles: Mapping[str, str]
    link: Link | None = None

    @property
    def workspace(self) -> str:
        """The workspace, as people read it."""
        return self.imported.upload.workspace or "?"

    @property
    def rows(self) -> int:
        """Rows of the upload; 0 if they are not known, because the file was refused."""
        return self.summary.outcomes.total()

    @property
    def headline(self) -> str:
        """The result in one line."""
        return f"[{self.workspace}] {self.imported.upload.name}{self.ending}"

    @property
    def ending(self) -> str:
        """What the headline says after the name of the file: the rows, then how they ended."""
        if self.status is ImportStatus.REFUSED:
            wrong = "wrong folder" if self.code is ReasonCode.WRONG_FOLDER else "unusable file"
            return f": not imported, {wrong}"
        early = {ImportStatus.STOPPED: "stopped", ImportStatus.UNFINISHED: "not finished"}
        resumed = "resumed" if self.imported.resumed else ""
        said = (resumed, early.get(self.status, ""), *self.counts)
        return f", {counted(self.rows, 'row')}: {', '.join(filter(None, said))}"

    @property
    def counts(self) -> list[str]:
        """Each outcome with its number of rows."""
        outcomes = self.summary.outcomes
        return [f"{rows:,} {label(one, rows)}" for one in Outcome if (rows := outcomes[one])]

    @property
    def sentence(self) -> str:
        """How it ended, in one sentence."""
        connected = self.summary.of(*_GOOD)
        match self.status:
            case ImportStatus.REFUSED if self.code is ReasonCode.WRONG_FOLDER:
                said = "Nothing was imported: the file is in the wrong folder"
            case ImportStatus.REFUSED:
                said = "Nothing was imported: the file cannot be used"
            case ImportStatus.COMPLETE if connected == 1:
                said = "The mailbox is connected"
            case ImportStatus.COMPLETE:
                said = f"{all_of(connected, 'mailboxes').capitalize()} are connected"
            case ImportStatus.FAILED if self.rows == 1:
                said = "The mailbox is not connected"
            case ImportStatus.FAILED:
                said = f"No mailbox is connected: {self._attention}"
            case ImportStatus.PARTIAL:
                said = f"{self._attention[0].upper()}{self._attention[1:]}"
            case ImportStatus.STOPPED:
                said = f"The import was stopped{self._after_early_end}"
            case ImportStatus.UNFINISHED:
                said = f"The import did not finish{self._after_early_end}"
        return f"{said}."

    @property
    def _after_early_end(self) -> str:
        if self.summary.needs_attention:
            return f": {self._attention}"
        return ", but every mailbox is connected" if self.rows else ""

    @property
    def _attention(self) -> str:
        many = self.summary.needs_attention
        need = "needs attention" if many == 1 else "need attention"
        if many == self.rows:
            return f"{'the only row' if many == 1 else all_of(many, 'rows')} {need}"
        return f"{many:,} of {counted(self.rows, 'row')} {need}"

    @property
    def next_step(self) -> NextStep:
        """What to do next, whatever the ending."""
        has_reports = self.code is not ReasonCode.EXECUTION_FAILED
        if self.rows and not self.summary.needs_attention and has_reports:
            return NextStep("No action needed.")
        step = _NEXT_STEPS[self.code] if self.code else self._next_for_rows()
        named = {"workspace": self.workspace, "id": self.imported.id[:SHORT_ID]}
        commands = (f"email-accounts {one.format(**named)}" for one in step.commands)
        return NextStep(step.text.format(continues=self._continues), tuple(commands))

    @property
    def _continues(self) -> str:
        """What a resumed import does."""
        unconfirmed = self.summary.outcomes[Outcome.UNCONFIRMED]
        not_sent = self.summary.outcomes[Outcome.NOT_SENT]
        said = list[str]()
        if unconfirmed:
            said.append(f"checks the unconfirmed row{'s' * (unconfirmed > 1)} again")
        if not_sent:
            said.append(f"sends the row{'s that were' if not_sent > 1 else ' that was'} not sent")
        return " and ".join(said) or "continues"

    def _next_for_rows(self) -> NextStep:
        outcomes = self.summary.outcomes
        if outcomes[Outcome.REJECTED] == self.summary.needs_attention == self.rows:
            return NextStep(_FIX_ALL_ROWS, ("failed {id}",))
        texts, commands = list[str](), list[str]()
        if to_fix := self.summary.of(*_TO_FIX):
            rows = ("the row", "it") if to_fix == 1 else (f"the {to_fix:,} rows", "them")
            texts.append(_FIX_ROWS.format(rows=rows[0], them=rows[1]))
            commands.append("failed {id}")
        if outcomes[Outcome.UNCONFIRMED]:
            texts.append(_LOOK_UP)
            commands.append("resume {id}")
        return NextStep(" ".join(texts), tuple(commands))


def label(outcome: str, rows: int) -> str:
    """Return the name of an outcome of so many rows, as people read it."""
    plural = "s" if outcome == Outcome.DUPLICATE and rows != 1 else ""
    return outcome.replace("_", " ") + plural


def all_of(number: int, many: str) -> str:
    """Return a number of things, which is all of them and more than one."""
    return f"both {many}" if number == 2 else f"all {number:,} {many}"  # noqa: PLR2004  both is two


def counted(number: int, one: str, many: str = "") -> str:
    """Return a number with what it counts; the plural is `many`, or ends in s."""
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"
