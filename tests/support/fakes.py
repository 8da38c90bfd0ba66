"""in-memory fakes for all that the domain needs of the world.

Each effect is written to a journal just before it happens: a journal that raises there is a crash
between two effects. The contract tests hold the fakes to what the real adapters do.
"""

import csv
import io
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any, BinaryIO, TextIO

from email_accounts.delivery.deliverer import Deliverer
from email_accounts.errors import (
    ImporterError,
    LedgerConflictError,
    ReportMissingError,
    ReportUnavailableError,
    RequestNotFoundError,
    UploadMissingError,
    WorkspaceUnknownError,
)
from email_accounts.models.account import Account
from email_accounts.models.account_index import AccountIndex, Honoured
from email_accounts.models.host_brake import Admission, Reply
from email_accounts.models.imports import (
    FINAL,
    OUTCOME_NAME,
    Batch,
    BatchState,
    Import,
    ImportState,
    Plan,
    ReasonCode,
)
from email_accounts.models.messages import Event, Message
from email_accounts.models.policy import Policy
from email_accounts.models.service import (
    AccountStatus,
    CallKind,
    ListedAccount,
    ListQuery,
    Order,
    RequestStatus,
)
from email_accounts.models.steps import NextAction, TaskResult
from email_accounts.models.upload import DEFAULT_WORKSPACE, Upload, UploadOptions, upload_options
from email_accounts.ports import FindServers, Saleshandy
from email_accounts.saleshandy.account_list import AccountList
from email_accounts.saleshandy.budget import Budget
from email_accounts.sign_in.checker import SignInChecker, TrySignIns
from email_accounts.sign_in.gate import LocalBrakes
from email_accounts.submission.submitter import Submitter
from email_accounts.text.secret import Secret
from email_accounts.tracking.poller import Poller
from tests.support.files import accounts_file, api_key

INBOX = "inbox"


def plenty() -> float:
    """Return the seconds of an invocation that has just begun."""
    return 300.0


class Killed(BaseException):
    """Ends an invocation so that not even its own clearing up runs."""


def kill(*_: object) -> None:
    """End an invocation."""
    raise Killed


def crash(*_: object) -> None:
    """Fail as no use-case expects."""
    raise ZeroDivisionError


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

    def about(self, name: str) -> list[Any]:
        """Return what the effects of a name were about, in their order."""
        return [about for one, about in self.entries if one == name]


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
    _indexes: dict[str, tuple[AccountIndex, float]] = field(default_factory=dict)
    _honoured: dict[str, Honoured] = field(default_factory=dict)
    _brakes: LocalBrakes = field(default_factory=LocalBrakes)
    _leases: dict[str, str] = field(default_factory=dict)
    _numbers: Iterator[int] = field(default_factory=count)

    def claim(self, upload: Upload, now: float, deadline: float) -> tuple[Import, bool]:
        """Make an upload an import."""
        import_id = upload.import_id
        is_new = import_id not in self._imports
        if is_new:
            self.journal.effect("claim", import_id)
            self._imports[import_id] = Import(
                import_id, upload, ImportState.RECEIVED, now, now, deadline, lease_until=0.0
            )
        return self._imports[import_id], is_new

    def lease(self, import_id: str, now: float, until: float) -> str | None:
        """Take the lease of an import, and count the attempt."""
        imported = self._imports.get(import_id)
        if imported is None or imported.lease_until > now:
            return None
        if imported.state not in (ImportState.RECEIVED, ImportState.PLANNED):
            return None
        self.journal.effect("lease", import_id)
        attempts = imported.attempts + 1
        self._imports[import_id] = replace(imported, lease_until=until, attempts=attempts)
        return self._leased(import_id)

    def release(self, import_id: str, lease: str, *, attempts: int = 0) -> None:
        """Give the lease back."""
        if self._leases.get(import_id) == lease:
            self.journal.effect("release", import_id)
            self._imports[import_id] = replace(
                self._imports[import_id], lease_until=0.0, attempts=attempts
            )

    def get(self, import_id: str) -> Import:
        """Return the import."""
        if import_id not in self._imports:
            raise ImporterError(f"no import {import_id}")
        return self._imports[import_id]

    def refuse(self, import_id: str, lease: str, code: ReasonCode, refusal: str) -> None:
        """Refuse the file as a whole."""
        imported = self._received(import_id, lease)
        self.journal.effect("refuse", refusal)
        self._imports[import_id] = replace(
            imported,
            state=ImportState.REFUSED,
            refusal=refusal,
            reason_code=code,
            lease_until=0.0,
        )

    def plan(  # noqa: PLR0913  all that is known after reading the file
        self,
        import_id: str,
        lease: str,
        plan: Plan,
        unknown_columns: Sequence[str],
        *,
        expected_end: float = 0.0,
        deadline: float | None = None,
    ) -> None:
        """Remember the batches, then that the import is planned."""
        if self.get(import_id).state is not ImportState.RECEIVED:
            raise LedgerConflictError(f"import {import_id} has been planned before")
        self.journal.effect("plan batches", len(plan.batches))
        self._batches[import_id] = {
            batch.number: Batch(batch, BatchState.PLANNED) for batch in plan.batches
        }
        self.journal.effect("plan", import_id)
        self._imports[import_id] = replace(
            self._received(import_id, lease),
            state=ImportState.PLANNED,
            batches=len(plan.batches),
            expected_end=expected_end,
            deadline=self._imports[import_id].deadline if deadline is None else deadline,
            rows=plan.rows,
            accepted=plan.accepted,
            rejected=plan.rejected,
            duplicates=plan.duplicates,
            unknown_columns=tuple(unknown_columns),
        )

    def stop(self, imported: Import, code: ReasonCode, reason: str) -> None:
        """Remember that nothing more is sent, and why."""
        found = self._imports.get(imported.id)
        if not found or (found.state, found.began_at) != (ImportState.PLANNED, imported.began_at):
            raise LedgerConflictError(f"import {imported.id} has changed meanwhile")
        self.journal.effect("stop", reason)
        self._imports[imported.id] = replace(found, stopped=reason, reason_code=code)

    def extend(self, imported: Import, deadline: float) -> None:
        """Move a deadline on."""
        found = self._imports[imported.id]
        if (found.state, found.deadline) == (ImportState.PLANNED, imported.deadline):
            self.journal.effect("extend", imported.id)
            self._imports[imported.id] = replace(found, deadline=deadline)

    def batches(self, import_id: str) -> Iterator[Batch]:
        """Yield the batches in their order, as they were when they were asked for."""
        batches = self._batches.get(import_id, {})
        yield from [batches[number] for number in sorted(batches)]

    def save(self, import_id: str, seen: Batch, changed: Batch) -> Batch:
        """Replace a batch, unless it is no longer the one seen."""
        found = self._batches.get(import_id, {}).get(seen.number)
        if not found or (found.state, found.revision) != (seen.state, seen.revision):
            raise LedgerConflictError(f"batch {seen.number} has changed meanwhile")
        self.journal.effect(_effect(seen, changed), seen.number)
        changed = replace(changed, revision=f"revision {next(self._numbers)}")
        self._batches[import_id][seen.number] = changed
        return changed

    def take_call(  # noqa: PLR0913  whose, for what and how many
        self,
        workspace: str,
        holder: str,
        wanted: int,
        now: float,
        calls_per_minute: int,
        *,
        kind: CallKind = CallKind.BATCH,
        rank: float | None = None,
    ) -> float:
        """Take one call out of the budget."""
        budget = self._budgets.get(workspace, Budget())
        after, wait = budget.take(holder, wanted, now, calls_per_minute, kind=kind, rank=rank)
        self.journal.effect("wait" if wait else "take call", workspace)
        self._budgets[workspace] = after
        return wait

    def waiting_until(self, workspace: str, now: float) -> float:
        """Return when all current reservations will have been served."""
        return self._budgets.get(workspace, Budget()).waiting_until(now)

    def close_budget(self, workspace: str, now: float, until: float) -> None:
        """Let nobody call before a time."""
        self.journal.effect("close budget", workspace)
        self._budgets[workspace] = self._budgets.get(workspace, Budget()).closed(now, until)

    def enter_host(self, host: str, attempt: str, now: float) -> Admission:
        """Begin an attempt to sign in."""
        self.journal.effect("enter host", host)
        return self._brakes.enter_host(host, attempt, now)

    def leave_host(self, host: str, attempt: str, reply: Reply, now: float) -> None:
        """End an attempt to sign in."""
        self.journal.effect("leave host", host)
        self._brakes.leave_host(host, attempt, reply, now)

    def honoured(self, workspace: str) -> Honoured | None:
        """Return what the service honours of the account list."""
        return self._honoured.get(workspace)

    def save_honoured(self, workspace: str, honoured: Honoured) -> None:
        """Remember what the service honours of the account list."""
        self.journal.effect("save honoured", workspace)
        self._honoured[workspace] = honoured

    def index(self, workspace: str) -> AccountIndex:
        """Return the account index of a workspace."""
        return self._indexes.get(workspace, (AccountIndex(), 0.0))[0]

    def lease_index(self, workspace: str, now: float, until: float) -> AccountIndex | None:
        """Become the one who changes the account index."""
        index, leased_until = self._indexes.get(workspace, (AccountIndex(), 0.0))
        if leased_until > now:
            return None
        self.journal.effect("lease index", workspace)
        self._indexes[workspace] = index, until
        return index

    def save_index(self, workspace: str, index: AccountIndex) -> None:
        """Replace the account index."""
        if self.index(workspace).version != index.version:
            raise LedgerConflictError(f"the index of {workspace} has changed meanwhile")
        self.journal.effect("save index", workspace)
        self._indexes[workspace] = replace(index, version=index.version + 1), 0.0

    def restart(self, import_id: str, now: float, deadline: float) -> bool:
        """Take an import up again that was answered."""
        imported = self.get(import_id)
        if imported.state is not ImportState.NOTIFIED:
            return False
        self.journal.effect("reopen", import_id)
        for batch in list(self.batches(import_id)):
            self._batches[import_id][batch.number] = batch.reopened(now)
        self._imports[import_id] = replace(
            imported,
            state=ImportState.PLANNED,
            began_at=now,
            deadline=deadline,
            lease_until=0.0,
            attempts=0,
            resumed=imported.resumed + 1,
            stopped="",
            reason_code=None,
        )
        return True

    def deliver(self, imported: Import, now: float, until: float) -> str | None:
        """Take the lease in order to write the answer."""
        found = self._imports.get(imported.id)
        if not found or found.state is ImportState.NOTIFIED or found.lease_until > now:
            return None
        if found.began_at != imported.began_at:
            return None
        self.journal.effect("deliver", imported.id)
        self._imports[imported.id] = replace(found, state=ImportState.DELIVERING, lease_until=until)
        return self._leased(imported.id)

    def notified(self, import_id: str, lease: str) -> bool:
        """Remember that the message was sent."""
        found = self._imports.get(import_id)
        if not found or found.state is not ImportState.DELIVERING:
            return False
        if self._leases[import_id] != lease:
            return False
        self.journal.effect("notified", import_id)
        self._imports[import_id] = replace(found, state=ImportState.NOTIFIED, lease_until=0.0)
        return True

    def _leased(self, import_id: str) -> str:
        self._leases[import_id] = f"lease {next(self._numbers)}"
        return self._leases[import_id]

    def _received(self, import_id: str, lease: str) -> Import:
        imported = self._imports.get(import_id)
        if not imported or imported.state is not ImportState.RECEIVED:
            raise LedgerConflictError(f"import {import_id} is not received")
        if self._leases.get(import_id) != lease:
            raise LedgerConflictError(f"import {import_id} is somebody else's")
        return imported


def _effect(seen: Batch, changed: Batch) -> str:
    """Name a change of a batch."""
    if changed.state is seen.state:
        return "polled"
    return "settle" if changed.state in FINAL else changed.state.value


@dataclass(slots=True)
class FakeUploads:
    """The inbox: of each key its versions, the newest last; None where one was deleted."""

    _versions: dict[tuple[str, str], list[bytes | None]] = field(default_factory=dict)
    _marked: set[tuple[str, str]] = field(default_factory=set)
    _metadata: dict[tuple[str, str, str], dict[str, str]] = field(default_factory=dict)

    def put(
        self, key: str, content: bytes, bucket: str = INBOX, metadata: dict[str, str] | None = None
    ) -> Upload:
        """Upload a new version."""
        versions = self._versions.setdefault((bucket, key), [])
        versions.append(content)
        self._marked.discard((bucket, key))
        version = f"v{len(versions)}"
        self._metadata[bucket, key, version] = metadata or {}
        return Upload(bucket, key, version, len(content))

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

    def options(self, upload: Upload) -> UploadOptions:
        """Return what its uploader says about it."""
        found = self.found(upload)
        return upload_options(self._metadata[found.bucket, found.key, found.version])

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
        self.texts[import_id, name] = text.getvalue().encode().decode()
        self.content_types[import_id, name] = f"{content_type}; charset=utf-8"

    def create(self, import_id: str, name: str, content_type: str, text: str) -> bool:
        """Write a report unless there is one of this name; return whether this call wrote it."""
        if (import_id, name) in self.texts:
            return False
        with self.writer(import_id, name, content_type) as report:
            report.write(text)
        return True

    def open(self, import_id: str, name: str) -> AbstractContextManager[TextIO]:
        """Open a report for reading; ReportMissingError where there is none."""
        if (import_id, name) not in self.texts:
            raise ReportMissingError("the object is gone")
        return io.StringIO(self.texts[import_id, name], newline="")

    def delete(self, import_id: str, name: str) -> None:
        """Delete a report; a no-op where there is none."""
        self.journal.effect("delete", name)
        self.texts.pop((import_id, name), None)
        self.content_types.pop((import_id, name), None)


@dataclass(slots=True)
class FakeRemote:
    """Saleshandy; it completes a request at once unless that is in `running`.

    `failing` maps addresses to the reason why they cannot be connected. `connect_errors`,
    `status_errors`, `report_errors` and `list_errors` are what the next calls are answered with;
    None lets a call through. `reports` replaces the report behind a link, `links` the link of a
    request. `accounts` is the account list, the oldest first, to which the accounts of a request
    come at once; `ignores` names parameters of the list without effect: page, sort, status, search.
    `closed` is for how long its answers allow no further call.
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
    ignores: frozenset[str] = frozenset()
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
        status = {
            one.lower(): AccountStatus.INACTIVE if one in self.failing else AccountStatus.ACTIVE
            for one in addresses
        }
        self.accounts = [
            replace(one, status=status.pop(one.address)) if one.address in status else one
            for one in self.accounts
        ]
        self.accounts += [ListedAccount(*one, self.clock()) for one in status.items()]

    def have(
        self,
        *addresses: str,
        status: AccountStatus = AccountStatus.ACTIVE,
        created_at: float | None = 0.0,
    ) -> None:
        """Have accounts from before."""
        self.accounts += [ListedAccount(one, status, created_at) for one in addresses]

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

    def listed(self, query: ListQuery) -> list[ListedAccount]:
        """Show one page of the account list; in the order of its addresses unless told another."""
        self.journal.effect("list", query)
        _raise_next(self.list_errors)
        return self.page_of(self.accounts, query)

    def page_of(self, accounts: Sequence[ListedAccount], query: ListQuery) -> list[ListedAccount]:
        """Return what a query shows of accounts, given the oldest first."""
        shown = list(accounts)
        if query.status and "status" not in self.ignores:
            shown = [one for one in shown if one.status is query.status]
        if query.search and "search" not in self.ignores:
            shown = [one for one in shown if query.search in one.address]
        if "sort" in self.ignores or not query.order:
            shown.sort(key=lambda one: one.address[::-1])
        elif query.order is Order.NEWEST_FIRST:
            shown.reverse()
        page = 1 if "page" in self.ignores else query.page
        return shown[(page - 1) * self.page_size : page * self.page_size]

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
    """The executions: of each name its import, its file and what comes first."""

    journal: Journal
    started: dict[str, tuple[str, str, TaskResult]] = field(default_factory=dict)

    def start(self, name: str, import_id: str, file: str, first: TaskResult) -> None:
        """Start an execution of an import."""
        if name not in self.started:
            self.journal.effect("start", name)
            self.started[name] = (import_id, file, first)


@dataclass(slots=True)
class FakeEvents:
    """The event bus: all that was put."""

    journal: Journal
    events: list[Event] = field(default_factory=list)

    def put(self, event: Event) -> None:
        """Put the event."""
        self.journal.effect("put", event.kind)
        self.events.append(event)

    def of(self, kind: str) -> list[Event]:
        """Return the events of a kind."""
        return [one for one in self.events if one.kind == kind]


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
        self.find_servers: FindServers | None = None
        self.policy = Policy(
            batch_size=2,
            calls_per_minute=1000,
            initial_poll_delay=10.0,
            max_poll_interval=300.0,
            deadline=21_600.0,
            grace=600.0,
            skip_connected=False,
            verify_connected=False,
            settle=15.0,
            largest_file=1_000_000,
        )

    def remote_of(self, workspace: str) -> Saleshandy:
        """Give Saleshandy with the key of a workspace; there is the default one alone."""
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
            self.events,
            self.policy,
            self.clock,
            self.find_servers,
        )

    def receive(self, upload: Upload, time_left: Callable[[], float] = plenty) -> TaskResult | None:
        """Do with the event of an upload what the function does."""
        submitter = self.submitter()
        upload = submitter.identified(upload)
        if not submitter.start_import(upload):
            return None
        return submitter.submit(upload.import_id, time_left)

    def drop(
        self,
        *rows: str | dict[str, str],
        key: str = "uploads/a.csv",
        time_left: Callable[[], float] = plenty,
    ) -> Upload:
        """Upload a file of these rows, and do with its event what the function does."""
        upload = self.uploads.put(key, accounts_file(*rows))
        self.receive(upload, time_left)
        return upload

    def submit(self, upload: Upload, time_left: Callable[[], float] = plenty) -> TaskResult:
        """Submit what is left of an import, as the state machine has it done."""
        return self.submitter().submit(upload.import_id, time_left)

    def poll(self, upload: Upload, time_left: Callable[[], float] = plenty) -> TaskResult:
        """Poll the requests of an import, as the state machine has it done."""
        return self.poller().poll(upload.import_id, time_left)

    def follow(self, upload: Upload, *, polls: int = 100) -> TaskResult:
        """Do what each step says, as the state machine does, up to the report or so many polls."""
        for _ in range(polls):
            step = self.poll(upload)
            while step.next == NextAction.SUBMIT:
                self.clock.advance(step.wait_seconds)
                step = self.submit(upload)
            if step.next == NextAction.DELIVER:
                break
            self.clock.advance(step.wait_seconds)
        return step

    def imported(self, upload: Upload) -> Import:
        """Return the import of an upload."""
        return self.ledger.get(upload.import_id)

    def batches(self, upload: Upload) -> list[Batch]:
        """Return the batches of an import."""
        return list(self.ledger.batches(upload.import_id))

    def states(self, upload: Upload) -> list[BatchState]:
        """Return the states of the batches."""
        return [batch.state for batch in self.batches(upload)]

    def outcome(self, upload: Upload) -> list[dict[str, str]]:
        """Return the rows of outcome.csv."""
        text = self.reports.texts[upload.import_id, OUTCOME_NAME]
        assert text.startswith("\ufeff")
        return list(csv.DictReader(io.StringIO(text[1:], newline="")))

    def sign_in_checker(self, try_all: TrySignIns) -> SignInChecker:
        """Make what tries sign-ins."""
        return SignInChecker(
            self.ledger,
            self.uploads,
            self.reports,
            self.account_list,
            self.events,
            self.policy,
            try_all,
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
