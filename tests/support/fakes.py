"""In-memory stand-ins for all that the domain needs of the world.

Each effect is written to a journal just before it happens: a journal that raises there is a crash
between two effects. The contract tests hold the fakes to what the real adapters do.
"""

import csv
import io
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from typing import BinaryIO, TextIO

from email_accounts.delivery.deliverer import Deliverer
from email_accounts.errors import (
    ImporterError,
    LedgerConflictError,
    ReportUnavailableError,
    RequestNotFoundError,
    UploadMissingError,
    WorkspaceUnknownError,
)
from email_accounts.models.account import Account
from email_accounts.models.imports import (
    FINAL,
    AccountScan,
    Batch,
    BatchState,
    Import,
    ImportState,
    Plan,
)
from email_accounts.models.messages import Message
from email_accounts.models.policy import Policy
from email_accounts.models.service import ListedAccount, RequestStatus
from email_accounts.models.steps import Step
from email_accounts.models.upload import DEFAULT_WORKSPACE, Upload
from email_accounts.ports import Saleshandy
from email_accounts.saleshandy.account_list import AccountList
from email_accounts.saleshandy.budget import Budget
from email_accounts.submission.submitter import Submitter
from email_accounts.text.secret import Secret
from email_accounts.tracking.poller import Poller
from tests.support.files import api_key

INBOX = "inbox"


class Journal:
    """The effects in their order, each a name and what it was about."""

    def __init__(self) -> None:
        """Begin empty."""
        self.entries: list[tuple[str, object]] = []

    def effect(self, name: str, about: object) -> None:
        """Write down an effect that is about to happen."""
        self.entries.append((name, about))

    def names(self) -> list[str]:
        """Return the names of the effects."""
        return [name for name, _ in self.entries]


@dataclass(slots=True)
class FakeClock:
    """A clock that goes only when it is told to; in seconds since the epoch."""

    time: float = 1_000_000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.time

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self.time += seconds


@dataclass(slots=True)
class FakeLedger:
    """The ledger in dictionaries."""

    journal: Journal
    _imports: dict[str, Import] = field(default_factory=dict)
    _batches: dict[str, dict[int, Batch]] = field(default_factory=dict)
    _budgets: dict[str, Budget] = field(default_factory=dict)
    _scans: dict[str, tuple[AccountScan, float]] = field(default_factory=dict)
    _last_resort: dict[str, bool] = field(default_factory=dict)

    def claim(self, upload: Upload, now: float, deadline: float, lease_until: float) -> bool:
        """Take an upload on, or take it over."""
        import_id = upload.import_id
        if import_id in self._imports:
            return self.lease(import_id, now, lease_until)
        self.journal.effect("claim", import_id)
        self._imports[import_id] = Import(
            import_id, upload, ImportState.RECEIVED, now, now, deadline, lease_until
        )
        return True

    def lease(self, import_id: str, now: float, lease_until: float) -> bool:
        """Become the one who submits."""
        imported = self._imports.get(import_id)
        if imported is None or imported.lease_until > now:
            return False
        if imported.state in (ImportState.DELIVERING, ImportState.NOTIFIED):
            return False
        self.journal.effect("lease", import_id)
        self._imports[import_id] = replace(imported, lease_until=lease_until)
        return True

    def release(self, import_id: str) -> None:
        """Let the next submitter begin at once."""
        imported = self._known(import_id)
        self.journal.effect("release", import_id)
        self._imports[import_id] = replace(imported, lease_until=0.0)

    def get(self, import_id: str) -> Import:
        """Return the import."""
        if import_id not in self._imports:
            raise ImporterError(f"no import {import_id}")
        return self._imports[import_id]

    def refuse(self, import_id: str, refusal: str) -> None:
        """Remember that the file as a whole is refused."""
        imported = self._received(import_id)
        self.journal.effect("refuse", refusal)
        self._imports[import_id] = replace(imported, state=ImportState.REFUSED, refusal=refusal)

    def plan(self, import_id: str, plan: Plan, unknown_columns: Sequence[str]) -> None:
        """Remember the batches, then that the import is planned."""
        self._received(import_id)
        self.journal.effect("plan batches", len(plan.batches))
        self._batches.setdefault(import_id, {}).update(
            {batch.number: Batch(batch, BatchState.PLANNED) for batch in plan.batches}
        )
        self.journal.effect("plan", import_id)
        self._imports[import_id] = replace(
            self._received(import_id),
            state=ImportState.PLANNED,
            batches=len(plan.batches),
            rows=plan.rows,
            accepted=plan.accepted,
            rejected=plan.rejected,
            duplicates=plan.duplicates,
            unknown_columns=tuple(unknown_columns),
        )

    def stop(self, import_id: str, reason: str) -> None:
        """Remember that nothing more is to be sent, and why."""
        imported = self._known(import_id)
        self.journal.effect("stop", reason)
        self._imports[import_id] = replace(imported, stopped=reason)

    def batches(self, import_id: str) -> Iterator[Batch]:
        """Yield the batches in their order, as they were when they were asked for."""
        batches = self._batches.get(import_id, {})
        yield from [batches[number] for number in sorted(batches)]

    def intend(self, import_id: str, number: int, now: float, *, reconciliation: bool) -> bool:
        """Remember, before a request, that it is being sent."""
        batch = self._batches.get(import_id, {}).get(number)
        if batch is None or batch.state is not BatchState.PLANNED:
            return False
        self.journal.effect("intend", number)
        self._put(
            import_id,
            replace(
                batch,
                state=BatchState.SENDING,
                sent=batch.sent + 1,
                sent_at=now,
                changed_at=now,
                reason="",
                reconciliation=reconciliation,
            ),
        )
        return True

    def withdraw(self, import_id: str, number: int) -> None:
        """Remember that a request was not carried out."""
        batch = self._batch(import_id, number, BatchState.SENDING, BatchState.UNCONFIRMED)
        self.journal.effect("withdraw", number)
        sent = batch.sent - (batch.state is BatchState.SENDING)
        self._put(import_id, replace(batch, state=BatchState.PLANNED, sent=sent))

    def submitted(
        self, import_id: str, number: int, request_id: str, now: float, next_poll_at: float
    ) -> None:
        """Remember the request id of a request being sent, and when to look at it."""
        batch = self._batch(import_id, number, BatchState.SENDING)
        self.journal.effect("submitted", number)
        self._put(
            import_id,
            replace(
                batch,
                state=BatchState.SUBMITTED,
                request_id=request_id,
                changed_at=now,
                next_poll_at=next_poll_at,
            ),
        )

    def unconfirmed(
        self, import_id: str, number: int, reason: str, now: float, next_poll_at: float
    ) -> None:
        """Remember that it is not known what became of a batch, and when to look for it."""
        batch = self._batch(import_id, number, BatchState.SENDING, BatchState.SUBMITTED)
        self.journal.effect("unconfirmed", number)
        self._put(
            import_id,
            replace(
                batch,
                state=BatchState.UNCONFIRMED,
                reason=reason,
                changed_at=now,
                next_poll_at=next_poll_at,
            ),
        )

    def polled(
        self, import_id: str, number: int, next_poll_at: float, *, reports_missed: int = 0
    ) -> None:
        """Remember when to look at a batch again."""
        batch = self._batch(import_id, number, BatchState.SUBMITTED, BatchState.UNCONFIRMED)
        self.journal.effect("looked", number)
        self._put(
            import_id, replace(batch, next_poll_at=next_poll_at, reports_missed=reports_missed)
        )

    def settle(  # noqa: PLR0913  what is not named stays as it is usual
        self,
        import_id: str,
        number: int,
        state: BatchState,
        now: float,
        *,
        reason: str = "",
        report: bool = False,
        reconciliation: bool | None = None,
    ) -> None:
        """Remember how a batch ended."""
        batch = self._batch(import_id, number, *(one for one in BatchState if one not in FINAL))
        self.journal.effect("settle", (number, state))
        self._put(
            import_id,
            replace(
                batch,
                state=state,
                reason=reason,
                report=report,
                changed_at=now,
                reconciliation=batch.reconciliation if reconciliation is None else reconciliation,
            ),
        )

    def take_call(
        self, workspace: str, holder: str, wanted: int, now: float, calls_per_minute: int
    ) -> float:
        """Take one call out of the budget."""
        budget = self._budgets.get(workspace, Budget())
        after, wait = budget.take(holder, wanted, now, calls_per_minute)
        self.journal.effect("wait" if wait else "take call", workspace)
        self._budgets[workspace] = after
        return wait

    def close_budget(self, workspace: str, now: float, until: float) -> None:
        """Let nobody call before a time."""
        self.journal.effect("close budget", workspace)
        self._budgets[workspace] = self._budgets.get(workspace, Budget()).closed(now, until)

    def scan(self, owner: str) -> AccountScan | None:
        """Return the last walk through the account list."""
        return self._scans[owner][0] if owner in self._scans else None

    def lease_scan(
        self,
        owner: str,
        seen: AccountScan | None,
        scan: AccountScan,
        now: float,
        lease_until: float,
    ) -> bool:
        """Become the one who goes on with a walk, or begins one."""
        last, leased_until = self._scans.get(owner, (None, 0.0))
        if last != seen or leased_until > now:
            return False
        self.journal.effect("take walk", owner)
        self._scans[owner] = scan, lease_until
        return True

    def save_scan(self, owner: str, scan: AccountScan) -> None:
        """Remember how far a walk has come."""
        self.journal.effect("walked", owner)
        self._scans[owner] = scan, 0.0

    def restart(self, import_id: str, now: float, deadline: float) -> bool:
        """Take an import up again that was answered."""
        imported = self.get(import_id)
        if imported.state is not ImportState.NOTIFIED:
            return False
        self.journal.effect("reopen", import_id)
        for batch in list(self.batches(import_id)):
            if batch.state in (BatchState.RECONCILED, BatchState.UNCONFIRMED):
                state = BatchState.SUBMITTED if batch.request_id else BatchState.UNCONFIRMED
                self._put(
                    import_id, replace(batch, state=state, next_poll_at=now, reports_missed=0)
                )
        self._imports[import_id] = replace(
            imported,
            state=ImportState.PLANNED,
            began_at=now,
            deadline=deadline,
            lease_until=0.0,
            resumed=imported.resumed + 1,
            stopped="",
        )
        return True

    def deliver(self, import_id: str, now: float, lease_until: float, *, best_effort: bool) -> bool:
        """Have nothing more sent, because the answer is written now."""
        imported = self._known(import_id)
        if imported.state is ImportState.NOTIFIED:
            return False
        delivering = imported.state is ImportState.DELIVERING
        again = delivering and not (best_effort or self._last_resort[import_id])
        free = imported.lease_until <= now or imported.state is ImportState.REFUSED
        if not (free or again):
            return False
        self.journal.effect("deliver", import_id)
        self._last_resort[import_id] = best_effort
        self._imports[import_id] = replace(
            imported, state=ImportState.DELIVERING, lease_until=lease_until
        )
        return True

    def notified(self, import_id: str) -> bool:
        """Remember that the message was sent."""
        imported = self.get(import_id)
        if imported.state is ImportState.NOTIFIED:
            return False
        self.journal.effect("notified", import_id)
        self._imports[import_id] = replace(imported, state=ImportState.NOTIFIED, lease_until=0.0)
        return True

    def _known(self, import_id: str) -> Import:
        if import_id not in self._imports:
            raise LedgerConflictError(f"no import {import_id}")
        return self._imports[import_id]

    def _received(self, import_id: str) -> Import:
        imported = self._known(import_id)
        if imported.state is not ImportState.RECEIVED:
            raise LedgerConflictError(f"import {import_id} is {imported.state}")
        return imported

    def _batch(self, import_id: str, number: int, *states: BatchState) -> Batch:
        batch = self._batches.get(import_id, {}).get(number)
        if batch is None or batch.state not in states:
            raise LedgerConflictError(f"batch {number} is not {' or '.join(states)}")
        return batch

    def _put(self, import_id: str, batch: Batch) -> None:
        self._batches[import_id][batch.number] = batch


@dataclass(slots=True)
class FakeUploads:
    """The inbox: of each key its versions, the newest last; None where one was deleted."""

    _versions: dict[tuple[str, str], list[bytes | None]] = field(default_factory=dict)
    _marked: set[tuple[str, str]] = field(default_factory=set)

    def put(self, key: str, content: bytes, bucket: str = INBOX) -> Upload:
        """Upload a new version."""
        versions = self._versions.setdefault((bucket, key), [])
        versions.append(content)
        self._marked.discard((bucket, key))
        return Upload(bucket, key, f"v{len(versions)}", len(content))

    def delete(self, upload: Upload) -> None:
        """Delete as a person does: the versions stay behind a marker."""
        self._marked.add((upload.bucket, upload.key))

    def delete_version(self, upload: Upload) -> None:
        """Delete one version for good."""
        self._versions[upload.bucket, upload.key][int(upload.version[1:]) - 1] = None

    def found(self, upload: Upload) -> Upload:
        """Return the upload with its version and size."""
        place = upload.bucket, upload.key
        versions = self._versions.get(place, [])
        if upload.version or place not in self._marked:
            for number in range(len(versions), 0, -1):
                content, version = versions[number - 1], f"v{number}"
                if content is not None and upload.version in ("", version):
                    return replace(upload, version=version, size=len(content))
        raise UploadMissingError("the upload is gone")

    def open(self, upload: Upload) -> BinaryIO:
        """Open exactly this version, or the newest where none is named."""
        if not upload.version:
            upload = self.found(upload)
        versions = self._versions.get((upload.bucket, upload.key), [])
        named = dict(zip((f"v{at}" for at in range(1, len(versions) + 1)), versions, strict=True))
        content = named.get(upload.version)
        if content is None:
            raise UploadMissingError("the upload is gone")
        return io.BytesIO(content)


@dataclass(slots=True)
class FakeReports:
    """The reports bucket: text and content type of each report."""

    journal: Journal
    texts: dict[tuple[str, str], str] = field(default_factory=dict)
    content_types: dict[tuple[str, str], str] = field(default_factory=dict)

    def address(self, import_id: str, name: str) -> str:
        """Return the s3:// address of a report."""
        return f"s3://reports/imports/{import_id}/{name}"

    def console(self, import_id: str, name: str) -> str:
        """Return where the AWS console shows a report."""
        return (
            "https://eu-central-1.console.aws.amazon.com/s3/object/reports?region=eu-central-1"
            f"&bucketType=general&prefix=imports%2F{import_id}%2F{name}"
        )

    def link(self, import_id: str, name: str, seconds: float) -> str:
        """Return a link that opens a report without signing in."""
        return f"https://reports.example/imports/{import_id}/{name}?seconds={seconds:.0f}"

    @contextmanager
    def writer(self, import_id: str, name: str, content_type: str) -> Iterator[TextIO]:
        """Open a report for writing."""
        text = io.StringIO(newline="")
        yield text
        self.journal.effect("report", name)
        self.texts[import_id, name] = text.getvalue()
        self.content_types[import_id, name] = f"{content_type}; charset=utf-8"

    def open(self, import_id: str, name: str) -> AbstractContextManager[TextIO]:
        """Open a report for reading."""
        return io.StringIO(self.texts[import_id, name], newline="")


@dataclass(slots=True)
class FakeRemote:
    """The remote API; it completes a request at once unless that is in `running`.

    `failing` maps addresses to the reason why they cannot be connected. `connect_errors`,
    `status_errors`, `report_errors` and `list_errors` are what the next calls are answered with;
    None lets a call through. `reports` replaces the report behind a link, `links` the link of a
    request. `accounts` is the account list, the oldest first, to which the accounts of a request
    come at once; `closed` is for how long its answers allow no further call.
    """

    journal: Journal
    clock: FakeClock = field(default_factory=FakeClock)
    failing: dict[str, str] = field(default_factory=dict)
    running: set[str] = field(default_factory=set)
    connect_errors: deque[Exception | None] = field(default_factory=deque)
    status_errors: deque[Exception | None] = field(default_factory=deque)
    report_errors: deque[Exception | None] = field(default_factory=deque)
    links: dict[str, str] = field(default_factory=dict)
    reports: dict[str, bytes] = field(default_factory=dict)
    requests: dict[str, tuple[str, ...]] = field(default_factory=dict)
    list_errors: deque[Exception | None] = field(default_factory=deque)
    accounts: list[ListedAccount] = field(default_factory=list)
    page_size: int = 100
    closed: float = 0.0

    def connect(self, accounts: Sequence[Account]) -> str:
        """Take accounts."""
        addresses = tuple(account.smtp.address for account in accounts)
        self.journal.effect("connect", addresses)
        _raise_next(self.connect_errors)
        request_id = f"request-{len(self.requests) + 1}"
        self.carry_out(request_id, addresses)
        return request_id

    def carry_out(self, request_id: str, addresses: tuple[str, ...]) -> None:
        """Take a request, so that its accounts are in the list."""
        self.requests[request_id] = addresses
        self.accounts += [
            ListedAccount(one.lower(), one not in self.failing, self.clock()) for one in addresses
        ]

    def status(self, request_id: str) -> RequestStatus:
        """Show a request."""
        self.journal.effect("status", request_id)
        _raise_next(self.status_errors)
        if request_id not in self.requests:
            raise RequestNotFoundError("Email Account connect request not found")
        if request_id in self.running:
            return RequestStatus(completed=False)
        return RequestStatus(completed=True, report_link=self._link(request_id))

    def report(self, link: str) -> AbstractContextManager[Iterator[bytes]]:
        """Serve a report."""
        self.journal.effect("fetch", link)
        _raise_next(self.report_errors)
        content = self.reports.get(link)
        if content is None:
            content = self._report(link)
        return nullcontext(iter([content[:7], content[7:]]))

    def listed(self, page: int) -> list[ListedAccount]:
        """Show one page of the account list, the newest first."""
        self.journal.effect("list", page)
        _raise_next(self.list_errors)
        newest_first = list(reversed(self.accounts))
        return newest_first[(page - 1) * self.page_size : page * self.page_size]

    def key(self) -> Secret:
        """Return the API key."""
        return Secret(api_key("fake"))

    def closed_for(self) -> float:
        """Say how long no further call is allowed."""
        return self.closed

    def _link(self, request_id: str) -> str:
        failed = any(address in self.failing for address in self.requests[request_id])
        return self.links.get(request_id, f"https://reports.example/{request_id}" if failed else "")

    def _report(self, link: str) -> bytes:
        addresses = self.requests.get(link.rsplit("/", 1)[-1])
        if addresses is None:
            raise ReportUnavailableError("the link was answered with HTTP 404")
        text = io.StringIO()
        writer = csv.writer(text)
        writer.writerow(("Email", "Status", "Reason"))
        for address in addresses:
            if address in self.failing:
                writer.writerow((address, "Failed", self.failing[address]))
        return text.getvalue().encode()


def _raise_next(errors: deque[Exception | None]) -> None:
    error = errors.popleft() if errors else None
    if error:
        raise error


@dataclass(slots=True)
class FakeExecutions:
    """The executions: of each name its import, its file and its first step."""

    journal: Journal
    started: dict[str, tuple[str, str, Step]] = field(default_factory=dict)

    def start(self, name: str, import_id: str, file: str, step: Step) -> None:
        """Start an execution of an import."""
        if name not in self.started:
            self.journal.effect("start", name)
            self.started[name] = (import_id, file, step)


@dataclass(slots=True)
class FakeEvents:
    """The event bus: all that was put."""

    journal: Journal
    messages: list[Message] = field(default_factory=list)

    def put(self, message: Message) -> None:
        """Put the event."""
        self.journal.effect("put", message.subject)
        self.messages.append(message)


@dataclass(slots=True)
class FakeNotifications:
    """The topic: all that was sent."""

    journal: Journal
    messages: list[Message] = field(default_factory=list)

    def publish(self, message: Message) -> None:
        """Send the message."""
        self.journal.effect("publish", message.subject)
        self.messages.append(message)


class World:
    """All fakes with one journal and one clock, and the use-cases on top of them."""

    def __init__(self, journal: Journal | None = None) -> None:
        """Make an empty world."""
        self.journal = journal or Journal()
        self.clock = FakeClock()
        self.ledger = FakeLedger(self.journal)
        self.uploads = FakeUploads()
        self.reports = FakeReports(self.journal)
        self.saleshandy = FakeRemote(self.journal, self.clock)
        self.account_list = AccountList(self.ledger, FakeReports(self.journal), self.clock)
        self.executions = FakeExecutions(self.journal)
        self.events = FakeEvents(self.journal)
        self.notifications = FakeNotifications(self.journal)
        self.link_seconds = 0.0
        self.policy = Policy(
            batch_size=2,
            calls_per_minute=1000,
            initial_poll_delay=10.0,
            max_poll_interval=300.0,
            deadline=21_600.0,
            grace=600.0,
            skip_connected=False,
            largest_file=1_000_000,
        )

    def remote_of(self, workspace: str) -> Saleshandy:
        """Give the remote with the key of a workspace; there is the default one alone."""
        if workspace != DEFAULT_WORKSPACE:
            raise WorkspaceUnknownError(workspace)
        return self.saleshandy

    def submitter(self) -> Submitter:
        """Make what submits accounts."""
        return Submitter(
            self.ledger,
            self.uploads,
            self.reports,
            self.account_list,
            self.remote_of,
            self.executions,
            self.policy,
            self.clock,
        )

    def poller(self) -> Poller:
        """Make what checks the status."""
        return Poller(
            self.ledger,
            self.uploads,
            self.reports,
            self.account_list,
            self.remote_of,
            self.policy,
            self.clock,
        )

    def deliverer(self) -> Deliverer:
        """Make what delivers the report."""
        return Deliverer(
            self.ledger,
            self.uploads,
            self.reports,
            self.events,
            self.notifications,
            self.clock,
            self.link_seconds,
        )


@dataclass
class FakeApiKey:
    """The keys a secret gives out, one after the other once the one before was refused."""

    keys: list[str]

    def __call__(self) -> Secret:
        """Return the key that is in the secret now."""
        return Secret(self.keys[0])

    def forget(self) -> None:
        """Go over to the key that was put in meanwhile."""
        self.keys = self.keys[1:] or self.keys
