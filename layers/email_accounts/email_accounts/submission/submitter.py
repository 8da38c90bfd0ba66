"""Submitting: from an upload to the request ids of its batches.

The order of effects makes every crash survivable: the claim, the execution that continues where any
invocation leaves off, the plan, and only then the requests, each between its intent and its
request id.
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace

from email_accounts.errors import (
    ApiKeyMissingError,
    ApiKeyRefusedError,
    FileRefusedError,
    FolderRefusedError,
    LedgerConflictError,
    NotSentError,
    OutcomeUnknownError,
    RequestRefusedError,
    RetryAfterError,
    UploadMissingError,
    WorkspaceUnknownError,
)
from email_accounts.intake.accounts_file import AccountsFile, open_accounts_file
from email_accounts.intake.batches import UploadReader, plan
from email_accounts.intake.servers import ServerRecord, WantedDomains
from email_accounts.models.account import Account
from email_accounts.models.imports import (
    ANSWER_LOST,
    FILE_NOT_READ,
    LEASE_MARGIN,
    MOST_UNCONFIRMED,
    OUTCOME_NAME,
    PAGE_NAME,
    SUMMARY_NAME,
    UPLOAD_DELETED,
    Batch,
    BatchState,
    Import,
    ImportState,
    Plan,
    ReasonCode,
)
from email_accounts.models.policy import Policy, SignInCheck
from email_accounts.models.servers import ServersOf
from email_accounts.models.service import AccountStatus, CallKind
from email_accounts.models.steps import NextAction, TaskResult
from email_accounts.models.upload import ALLOWED_NAME, PREFIX, WORKSPACE_NAME, Upload
from email_accounts.ports import (
    ClientFactory,
    Clock,
    Events,
    Executions,
    FindServers,
    Ledger,
    Reports,
    Uploads,
)
from email_accounts.saleshandy.account_list import SEEN_WITHIN, AccountList, AccountListReader, Seen
from email_accounts.saleshandy.budget import CALL_RANK
from email_accounts.saleshandy.rate_limit import SAFE_MARGIN, RateLimitedClient, backoff
from email_accounts.saleshandy.reconciliation import (
    Observation,
    reconciliation_name,
    write_reconciliation,
)
from email_accounts.sign_in.due import is_sign_in_due
from email_accounts.submission.admission import Estimate, estimate, estimated_event, refusal
from email_accounts.text.display import iso, one_line

_LIST_GOOD_FOR = 30.0
"""Seconds that the account list may be older than an upload: less than it takes to read a result,
fix the file and upload it again, and enough for files uploaded together to share one reading."""
_CALLS_BEFORE_POLL = 20
"""Calls that others have before a request is polled, where they wait; a minute at most."""
_LATEST_EVENT = 15 * 86_400.0
"""Seconds that an event is under way at most: EventBridge tries for a day, SQS keeps it for 14."""
_MEGABYTE = 1_000_000
_MOST_ATTEMPTS = 2
"""Invocations that may crash on an import; the next one refuses it."""
STOPPED_BY_OPERATOR = "An operator stopped the import."
_SUBMISSION_FAILED = "sending it failed repeatedly; the log of submit_accounts says why"

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Run:
    """One invocation that submits an import: its lease, and the seconds that it may still run."""

    lease: str
    time_left: Callable[[], float]
    skip_sign_in: bool


@dataclass(frozen=True, slots=True)
class Submitter:
    """Starts imports and submits their batches.

    `find_servers` finds the servers of rows that have none; None where that is switched off.
    """

    ledger: Ledger
    uploads: Uploads
    reports: Reports
    account_list: AccountList
    client_for: ClientFactory
    executions: Executions
    events: Events
    policy: Policy
    now: Clock
    find_servers: FindServers | None = None

    def identified(self, upload: Upload) -> Upload:
        """Return the upload with its version and size, which an event may lack.

        Objects outside the folder for uploads are not requested.
        """
        if (upload.version and upload.size) or not upload.key.startswith(PREFIX):
            return upload
        try:
            return self.uploads.found(upload)
        except UploadMissingError:
            return upload  # started nevertheless, so that planning it refuses it

    def start_import(self, upload: Upload) -> bool:
        """Claim an upload and start its execution; return whether this call claimed it.

        Both are idempotent. From here on the execution drives the import, even if the caller
        dies.
        """
        now = self.now()
        if not now - _LATEST_EVENT <= upload.uploaded_at <= now:
            upload = replace(upload, uploaded_at=now)  # another system may say anything
        imported, is_new = self.ledger.claim(upload, now, now + self.policy.deadline)
        if imported.state is not ImportState.NOTIFIED:
            self._start(imported, TaskResult(NextAction.CHECK, self.policy.initial_poll_delay))
        return is_new

    def submit(
        self, import_id: str, time_left: Callable[[], float], *, skip_sign_in: bool = False
    ) -> TaskResult:
        """Read and plan an import unless that is done, and submit what time and budget allow.

        `time_left` gives the seconds this invocation may still run. Batches whose mailboxes are to
        be tried first wait for the sign-in check, unless that is skipped because it failed.
        """
        now = self.now()
        lease = self.ledger.lease(import_id, now, now + time_left() + LEASE_MARGIN)
        imported = self.ledger.get(import_id)
        if lease:
            result = self._submitted(imported, _Run(lease, time_left, skip_sign_in))
        elif imported.state in (ImportState.RECEIVED, ImportState.PLANNED):
            result = TaskResult(NextAction.CHECK, self.policy.initial_poll_delay)
        else:
            result = TaskResult(NextAction.DELIVER)
        return result.before(imported.deadline - self.now())

    def restart(self, import_id: str) -> bool:
        """Restart an import after its answer; False for one that still runs, or was refused.

        False as well where its upload is gone: no better answer can be given. A new execution
        continues where it stopped and sends a supplementary answer. It is started again where an
        earlier restart died before it began. The reports of the answer are deleted before anything
        more is sent: a row that they call not sent must not be sent twice.
        """
        now = self.now()
        imported = self.ledger.get(import_id)
        is_underway = imported.state in (ImportState.RECEIVED, ImportState.PLANNED)
        if imported.refusal or not (is_underway or self._has_upload(imported.upload)):
            return False
        if imported.state is ImportState.DELIVERING and (
            lease := self.ledger.deliver(imported, now, now + LEASE_MARGIN)
        ):
            # The invocation that wrote its answer is gone, perhaps after sending it.
            self.ledger.notified(import_id, lease)
        if self.ledger.get(import_id).state is ImportState.NOTIFIED:
            for name in (OUTCOME_NAME, PAGE_NAME, SUMMARY_NAME):
                self.reports.delete(import_id, name)
        deadline = estimate(imported.batches, now, now, self.policy).deadline
        reopened = self.ledger.restart(import_id, now, deadline)
        imported = self.ledger.get(import_id)
        if imported.resumed:
            self._start(imported, TaskResult(NextAction.CHECK))
        return reopened

    def stop(self, import_id: str) -> bool:
        """Send no further batch of an import, so that its next task leads to the report.

        False for one that has no plan yet, or has already ended or been stopped.
        """
        imported = self.ledger.get(import_id)
        if imported.state is not ImportState.PLANNED or imported.stopped:
            return False
        try:
            self.ledger.stop(imported, ReasonCode.STOPPED_BY_OPERATOR, STOPPED_BY_OPERATOR)
        except LedgerConflictError:  # its report is being written by now
            return False
        return True

    def _has_upload(self, upload: Upload) -> bool:
        try:
            self.uploads.found(upload)
        except UploadMissingError:
            return False
        return True

    def _start(self, imported: Import, first: TaskResult) -> None:
        self.executions.start(imported.execution, imported.id, imported.upload.name, first)

    def _submitted(self, imported: Import, run: _Run) -> TaskResult:
        """Submit under a lease and give it back.

        An attempt that raises does not count: the state machine counts those. One that is killed
        runs nothing here, so it stays counted.
        """
        try:
            result = self._planned_and_submitted(imported, run)
        except Exception:
            self.ledger.release(imported.id, run.lease, attempts=imported.attempts - 1)
            raise
        self.ledger.release(imported.id, run.lease)
        return result

    def _planned_and_submitted(self, imported: Import, run: _Run) -> TaskResult:
        if imported.attempts > _MOST_ATTEMPTS:
            if imported.state is ImportState.RECEIVED:
                self.ledger.refuse(imported.id, run.lease, ReasonCode.FILE_NOT_READ, FILE_NOT_READ)
            else:
                self.ledger.stop(imported, ReasonCode.SUBMISSION_FAILED, _SUBMISSION_FAILED)
            return TaskResult(NextAction.DELIVER)
        if imported.state is ImportState.RECEIVED:
            self._plan(imported, run.lease)
            imported = self.ledger.get(imported.id)
        if imported.state is ImportState.REFUSED or imported.stopped:
            return TaskResult(NextAction.DELIVER)
        try:
            return self._submit_batches(imported, run)
        except ApiKeyRefusedError as error:
            self.ledger.stop(imported, ReasonCode.API_KEY_REFUSED, str(error))
        except ApiKeyMissingError as error:
            self.ledger.stop(imported, ReasonCode.API_KEY_MISSING, str(error))
        except UploadMissingError:
            self.ledger.stop(imported, ReasonCode.UPLOAD_DELETED, UPLOAD_DELETED)
        return TaskResult(NextAction.DELIVER)

    def _plan(self, imported: Import, lease: str) -> None:
        upload = imported.upload
        try:
            self._refuse_what_is_not_read(upload)
            file, planned = self._read(imported)
            expected = self._estimate(imported, planned)
        except UploadMissingError:
            refusal = "It was deleted or replaced before it could be read."
            self.ledger.refuse(imported.id, lease, ReasonCode.UPLOAD_DELETED, refusal)
        except FolderRefusedError as error:
            self.ledger.refuse(imported.id, lease, ReasonCode.WRONG_FOLDER, str(error))
        except FileRefusedError as error:
            self.ledger.refuse(imported.id, lease, ReasonCode.FILE_REFUSED, str(error))
        else:
            self.ledger.plan(
                imported.id,
                lease,
                planned,
                file.unknown_columns,
                expected_end=expected.expected_end,
                deadline=expected.deadline,
            )

    def _estimate(self, imported: Import, planned: Plan) -> Estimate:
        """Estimate an import's end and announce it; log a deadline later than the policy's.

        Raises:
            FileRefusedError: it takes too long.
        """
        waiting_until = self.ledger.waiting_until(imported.upload.workspace, self.now())
        batches = len(planned.batches)
        now = self.now()
        began_at = imported.began_at if now < imported.deadline else now  # put back late
        expected = estimate(batches, began_at, waiting_until, self.policy)
        try:
            self.events.put(estimated_event(imported, planned, expected))
        except Exception:  # noqa: BLE001  no import fails because its estimate was not announced
            _log.exception("the event cannot be put")
        if not expected.admitted:
            raise refusal(expected, self.policy)
        if expected.deadline > imported.deadline:
            _log.warning(
                "needs longer than the deadline: %d batches, %d calls, expected end %s, "
                "deadline %s",
                expected.batches,
                expected.calls,
                iso(expected.expected_end),
                iso(expected.deadline),
            )
        return expected

    def _read(self, imported: Import) -> tuple[AccountsFile, Plan]:
        """Plan an upload: once, and again where servers of its rows had to be found first.

        What is found is recorded before the plan, so that every later reading finds the same.
        """
        record = ServerRecord(self.reports, imported.id)
        wanted = WantedDomains(record)
        file, planned = self._planned(imported, wanted if self.find_servers else record)
        if self.find_servers and wanted.domains:
            record.write(self.find_servers(wanted.domains))
            file, planned = self._planned(imported, record)
        return file, planned

    def _planned(self, imported: Import, servers_of: ServersOf) -> tuple[AccountsFile, Plan]:
        with self.uploads.open(imported.upload) as stream:
            file = open_accounts_file(stream, servers_of, self.uploads.options(imported.upload))
            return file, plan(file, self.policy.batch_size)

    def _refuse_what_is_not_read(self, upload: Upload) -> None:
        elsewhere = f"Upload it again as {PREFIX}{upload.name}."
        if not upload.key.startswith(PREFIX):
            raise FolderRefusedError(f"It is not in the folder {PREFIX}.", elsewhere)
        if upload.key.endswith("/"):
            raise FolderRefusedError("Its key ends with a slash, as a folder's does.", elsewhere)
        if not upload.workspace:
            raise FolderRefusedError(
                "Its key has two slashes in a row, so its folder has no name.", elsewhere
            )
        try:
            self.client_for(upload.workspace)
        except WorkspaceUnknownError:
            advice = f"The name of a workspace may have {ALLOWED_NAME}."
            if WORKSPACE_NAME.fullmatch(upload.workspace):
                command = f"email-accounts workspace add {upload.workspace}"
                advice = f"For a new workspace, run {command} first."
            raise FolderRefusedError(
                f"There is no workspace {one_line(upload.workspace, 80)!r}.",
                f"Upload the file to the folder of a workspace, or directly to {PREFIX}. {advice}",
            ) from None
        if upload.size > self.policy.largest_file:
            raise FileRefusedError(
                f"It has {upload.size / _MEGABYTE:,.1f} MB, "
                f"the limit is {self.policy.largest_file / _MEGABYTE:,.0f} MB.",
                "Split it, or raise MaxFileMegabytes.",
            )

    def _submit_batches(self, imported: Import, run: _Run) -> TaskResult:
        try:
            if self._unconfirmed_batches(imported) < MOST_UNCONFIRMED:
                client = self.client_for(imported.upload.workspace)
                saleshandy = RateLimitedClient(client, self.ledger, self.policy, self.now, imported)
                to_be_sent = self._to_be_sent(imported, saleshandy, run.time_left)
                if not run.skip_sign_in and self._is_sign_in_due(imported):
                    # The list comes first: what is connected already is not tried.
                    for _ in to_be_sent:
                        pass
                    return TaskResult(NextAction.SIGN_IN)
                for batch, accounts, observed in to_be_sent:
                    self._submit_batch(imported, batch, accounts, observed, saleshandy)
        except RetryAfterError as later:
            polls_first = self._next_poll(imported) <= self.now() + later.wait_seconds
            following = NextAction.CHECK if polls_first else NextAction.SUBMIT
            return TaskResult(following, later.wait_seconds)
        except NotSentError:
            return TaskResult(NextAction.SUBMIT, backoff(imported, self.now()))
        except OutcomeUnknownError:
            return TaskResult(NextAction.CHECK, backoff(imported, self.now()))
        return TaskResult(NextAction.CHECK, self.policy.initial_poll_delay)

    def _unconfirmed_batches(self, imported: Import) -> int:
        """Count them, those included whose submitter died while it was sending them."""
        count = 0
        for batch in self.ledger.batches(imported.id):
            if batch.state is BatchState.SENDING:
                self._unconfirmed(imported, batch, ANSWER_LOST)
            count += batch.state in (BatchState.SENDING, BatchState.UNCONFIRMED)
        return count

    def _next_poll(self, imported: Import) -> float:
        polls = (
            batch.next_poll_at
            for batch in self.ledger.batches(imported.id)
            if batch.state is BatchState.SUBMITTED
        )
        return min(polls, default=float("inf"))

    def _is_sign_in_due(self, imported: Import) -> bool:
        now = self.now()
        return any(
            is_sign_in_due(imported, batch, self.policy, now)
            for batch in self.ledger.batches(imported.id)
        )

    def _to_be_sent(
        self, imported: Import, saleshandy: RateLimitedClient, time_left: Callable[[], float]
    ) -> Iterator[tuple[Batch, tuple[Account, ...], dict[str, Observation]]]:
        """Yield each batch to be sent, and what the list shows of its addresses, if anything."""
        reader: AccountListReader | None = None
        if self.policy.skip_connected or self.policy.verify_connected:
            reader = self.account_list.reader(saleshandy, time_left)
        # Whether what is connected already is sent, too.
        resends = not self.policy.skip_connected or self.uploads.options(imported.upload).resend
        with closing(UploadReader(self.uploads, self.reports, imported)) as upload:
            for batch in self.ledger.batches(imported.id):
                if batch.state is not BatchState.PLANNED:
                    continue
                if self.now() >= imported.deadline or self.ledger.get(imported.id).stopped:
                    return
                if time_left() < SAFE_MARGIN:
                    raise RetryAfterError(0)
                accounts = upload.accounts_of(batch.range)
                observed: dict[str, Observation] = {}
                if reader:
                    observed = self._observed(imported, accounts, reader, resends=resends)
                reader = reader if observed else None
                yield batch, accounts, observed

    def _observed(
        self,
        imported: Import,
        accounts: Sequence[Account],
        reader: AccountListReader,
        *,
        resends: bool,
    ) -> dict[str, Observation]:
        """Return what each address, in lower case, was before; nothing where there is no list."""
        addresses = [account.smtp.address.lower() for account in accounts]
        fresh = imported.dropped_at - _LIST_GOOD_FOR
        try:
            before = reader.before(addresses, fresh, imported.accepted)
        except RequestRefusedError:
            return {}
        except OutcomeUnknownError as error:
            if reader.has_failed_for(self.policy.grace):
                return {}
            raise NotSentError(str(error)) from None
        seen_within = self.now() - SEEN_WITHIN

        def observation(one: Seen) -> Observation:
            is_active = one.status is AccountStatus.ACTIVE and one.seen_at >= seen_within
            return Observation(
                one.status, sent=resends or not is_active, seen_at=one.seen_at * is_active
            )

        return {address: observation(one) for address, one in before.items()}

    def _submit_batch(
        self,
        imported: Import,
        batch: Batch,
        accounts: tuple[Account, ...],
        observed: dict[str, Observation],
        saleshandy: RateLimitedClient,
    ) -> None:
        for address in self._held(imported, batch, accounts):
            before = observed.get(address, Observation())
            observed[address] = replace(before, sent=False, held=True)
        left_out = {address for address, one in observed.items() if not one.sent}
        if self.policy.sign_in_check is not SignInCheck.OFF:
            batch = batch.unchecked()
        if observed:
            with self.reports.writer(
                imported.id, reconciliation_name(batch.number), "text/csv"
            ) as text:
                write_reconciliation(text, observed)
        if len(left_out) == len(accounts):
            completed = batch.completed(self.now(), reconciliation=True)
            self.ledger.save(imported.id, batch, completed)
            return
        rank = imported.began_at + CALL_RANK * (batch.number - 1)
        saleshandy.turn(imported.batches - batch.number + 1, CallKind.BATCH, rank)
        first_poll = self._first_poll(imported.upload.workspace)
        batch = self.ledger.save(
            imported.id, batch, batch.sending(self.now(), reconciliation=bool(observed))
        )
        try:
            request_id = saleshandy.connect(
                [one for one in accounts if one.smtp.address.lower() not in left_out]
            )
        except (ApiKeyRefusedError, ApiKeyMissingError, RetryAfterError, NotSentError):
            self.ledger.save(imported.id, batch, batch.withdrawn())
            raise
        except OutcomeUnknownError as error:
            self._unconfirmed(imported, batch, str(error))
            raise
        except RequestRefusedError as error:
            self.ledger.save(imported.id, batch, batch.refused(str(error), self.now()))
            return
        now = self.now()
        next_poll_at = now + first_poll
        self.ledger.save(imported.id, batch, batch.submitted(request_id, now, next_poll_at))
        saleshandy.respect_limit()

    def _first_poll(self, workspace: str) -> float:
        """Return the seconds from a request to its first poll: more while others wait for calls."""
        delay = self.policy.initial_poll_delay
        now = self.now()
        if self.ledger.waiting_until(workspace, now) > now:
            delay = max(delay, min(60 * _CALLS_BEFORE_POLL / self.policy.calls_per_minute, 60))
        return delay

    def _held(self, imported: Import, batch: Batch, accounts: Sequence[Account]) -> list[str]:
        """Return the addresses, in lower case, that are proven not to work, if those are held."""
        if self.policy.sign_in_check is not SignInCheck.STRICT:
            return []
        # Imported here, because without the check it would slow down each cold start.
        from email_accounts.sign_in.findings import findings_of, settings_of  # noqa: PLC0415

        found = findings_of(self.reports, imported.id, batch)
        addresses = ((one.smtp.address.lower(), one) for one in accounts)
        return [
            address
            for address, one in addresses
            if address in found and found[address].proof(settings_of(one))
        ]

    def _unconfirmed(self, imported: Import, batch: Batch, reason: str) -> None:
        now = self.now()
        next_poll_at = now + self.policy.initial_poll_delay
        unconfirmed = batch.unconfirmed(ReasonCode.ANSWER_LOST, reason, now, next_poll_at)
        self.ledger.save(imported.id, batch, unconfirmed)
