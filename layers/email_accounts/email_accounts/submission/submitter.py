"""Submitting: from an upload to the request ids of its batches.

The order of effects makes every crash survivable: the claim, the plan, the execution that will
go on where this invocation leaves off, and only then the requests, each between the intent and
its request id.
"""

from collections.abc import Callable
from collections.abc import Set as AbstractSet
from contextlib import closing
from dataclasses import dataclass

from email_accounts.errors import (
    ApiKeyMissingError,
    ApiKeyRefusedError,
    FileRefusedError,
    ImportLockedError,
    NotSentError,
    OutcomeUnknownError,
    RequestRefusedError,
    RetryAfterError,
    UploadMissingError,
    WorkspaceUnknownError,
)
from email_accounts.intake.accounts_file import open_accounts_file
from email_accounts.intake.batches import BatchReader, plan, validate_upload
from email_accounts.models.account import Account
from email_accounts.models.imports import (
    ANSWER_LOST,
    MOST_UNCONFIRMED,
    UPLOAD_DELETED,
    Batch,
    BatchState,
    Import,
    ImportState,
)
from email_accounts.models.policy import Policy
from email_accounts.models.steps import Step
from email_accounts.models.upload import ALLOWED_NAME, PREFIX, WORKSPACE_NAME, Upload
from email_accounts.ports import ClientFactory, Clock, Executions, Ledger, Reports, Uploads
from email_accounts.saleshandy.account_list import AccountList
from email_accounts.saleshandy.rate_limit import SAFE_MARGIN, RateLimitedClient, backoff
from email_accounts.saleshandy.reconciliation import (
    AccountStatus,
    reconciliation_name,
    write_reconciliation,
)

_LIST_GOOD_FOR = 30.0
"""Seconds that a walk may be older than an upload: less than it takes to read an answer, mend the
file and drop it again, and enough for files dropped together to share one walk."""
_MEGABYTE = 1_000_000
_NOT_TAKEN_IN = (
    "Every attempt to read it broke off: something failed in the importer or in AWS, which the "
    "log of submit_accounts tells. Nothing was sent. Drop it again."
)


@dataclass(frozen=True, slots=True)
class Submitter:
    """Takes uploads on and submits their batches."""

    ledger: Ledger
    uploads: Uploads
    reports: Reports
    account_list: AccountList
    client_for: ClientFactory
    executions: Executions
    policy: Policy
    now: Clock

    def identified(self, upload: Upload) -> Upload:
        """Return the upload with its version and size, which an event may lack."""
        if upload.version and upload.size:
            return upload
        try:
            return self.uploads.found(upload)
        except UploadMissingError:
            return upload  # taken on all the same, so that planning it refuses it

    def take(self, upload: Upload, time_left: Callable[[], float]) -> Step | None:
        """Take an upload on and submit what time and budget allow.

        `time_left` gives the seconds this invocation may still run. None when the upload is
        somebody else's or already answered.

        Raises:
            HeldError: somebody else has it, and may die before its execution begins.

        """
        if not self._claim(upload, time_left):
            self._begin_for_another(upload.import_id)
            return None
        if self.ledger.get(upload.import_id).state is ImportState.RECEIVED:
            self._plan(upload)
        step = self._begin(upload.import_id)
        return step if step.next == Step.DELIVER else self._submit(upload.import_id, time_left)

    def give_up(self, upload: Upload, time_left: Callable[[], float]) -> Step | None:
        """Answer an upload that several attempts could not take on; no attempt is made here.

        What crashes an attempt cannot crash this one. An upload that had come as far as being
        planned goes on.
        """
        if not self._claim(upload, time_left):
            self._begin_for_another(upload.import_id)
            return None
        if self.ledger.get(upload.import_id).state is ImportState.RECEIVED:
            self.ledger.refuse(upload.import_id, _NOT_TAKEN_IN)
        step = self._begin(upload.import_id)
        if step.next != Step.DELIVER:
            self.ledger.release(upload.import_id)
        return step

    def resume(self, import_id: str, time_left: Callable[[], float]) -> Step:
        """Submit what is left of an import; the step says what comes next."""
        now = self.now()
        if not self.ledger.lease(import_id, now, now + time_left()):
            return Step(Step.CHECK, self.policy.initial_poll_delay)
        return self._submit(import_id, time_left)

    def restart(self, import_id: str) -> bool:
        """Take an import up again after its answer; False for one that has none, or was refused.

        A new execution goes on where it stopped and sends a supplementary answer. One that was
        taken up again by somebody who died before the execution began is begun now.
        """
        now = self.now()
        if self.ledger.get(import_id).refusal:
            return False
        reopened = self.ledger.restart(import_id, now, now + self.policy.deadline)
        imported = self.ledger.get(import_id)
        if imported.resumed:
            self._start(imported, Step(Step.CHECK))
        return reopened

    def _claim(self, upload: Upload, time_left: Callable[[], float]) -> bool:
        now = self.now()
        return self.ledger.claim(upload, now, now + self.policy.deadline, now + time_left())

    def _begin(self, import_id: str) -> Step:
        """Start the execution; return its first step."""
        imported = self.ledger.get(import_id)
        refused = imported.state is ImportState.REFUSED
        step = Step(Step.DELIVER) if refused else Step(Step.CHECK, self.policy.initial_poll_delay)
        self._start(imported, step)
        return step

    def _begin_for_another(self, import_id: str) -> None:
        """Start the execution of an upload that is somebody else's, who may die before he does.

        Raises:
            HeldError: he has not planned it yet, so that there is nothing to start.

        """
        state = self.ledger.get(import_id).state
        if state is ImportState.RECEIVED:
            raise ImportLockedError(import_id)
        if state in (ImportState.PLANNED, ImportState.REFUSED):
            self._begin(import_id)

    def _start(self, imported: Import, step: Step) -> None:
        self.executions.start(imported.execution, imported.id, imported.upload.name, step)

    def _plan(self, upload: Upload) -> None:
        try:
            self._refuse_what_is_not_read(upload)
            with self.uploads.open(upload) as stream:
                file = open_accounts_file(stream)
                planned = plan(file, self.policy.batch_size)
        except UploadMissingError:
            refusal = "It was deleted or replaced before it could be read. Drop it again."
            self.ledger.refuse(upload.import_id, refusal)
        except FileRefusedError as error:
            self.ledger.refuse(upload.import_id, str(error))
        else:
            self.ledger.plan(upload.import_id, planned, file.unknown_columns)

    def _refuse_what_is_not_read(self, upload: Upload) -> None:
        if not upload.key.startswith(PREFIX):
            raise FileRefusedError(
                f"It does not lie under {PREFIX}, where files are read from.",
                f"Drop it again as {PREFIX}{upload.name}.",
            )
        try:
            self.client_for(upload.workspace)
        except WorkspaceUnknownError:
            can_be_one = WORKSPACE_NAME.fullmatch(upload.workspace)
            raise FileRefusedError(
                f"There is no workspace {upload.workspace!r}.",
                f"Drop it into the folder of a workspace, or directly under {PREFIX}, or add the "
                f"workspace first: email-accounts workspace add {upload.workspace}"
                if can_be_one
                else f"Drop it into the folder of a workspace, or directly under {PREFIX}. "
                f"A workspace cannot have this name: it may have {ALLOWED_NAME}.",
            ) from None
        if upload.size > self.policy.largest_file:
            raise FileRefusedError(
                f"It has {upload.size / _MEGABYTE:,.1f} MB, "
                f"the limit is {self.policy.largest_file / _MEGABYTE:,.0f} MB.",
                "Split it, or raise MaxFileMegabytes.",
            )

    def _submit(self, import_id: str, time_left: Callable[[], float]) -> Step:
        imported = self.ledger.get(import_id)
        try:
            return self._submit_batches(imported, time_left)
        except (ApiKeyRefusedError, ApiKeyMissingError) as error:
            self.ledger.stop(import_id, str(error))
            return Step(Step.DELIVER)
        except UploadMissingError:
            self.ledger.stop(import_id, UPLOAD_DELETED)
            return Step(Step.DELIVER)
        finally:
            self.ledger.release(import_id)

    def _submit_batches(self, imported: Import, time_left: Callable[[], float]) -> Step:
        if imported.stopped:
            return Step(Step.DELIVER)
        try:
            if self._unconfirmed_batches(imported) < MOST_UNCONFIRMED:
                self._send_planned(imported, time_left)
        except RetryAfterError as later:
            polls_first = self._next_poll(imported) <= self.now() + later.wait_seconds
            return Step(Step.CHECK if polls_first else Step.SUBMIT, later.wait_seconds)
        except NotSentError:
            return Step(Step.SUBMIT, backoff(imported, self.now()))
        except OutcomeUnknownError:
            return Step(Step.CHECK, backoff(imported, self.now()))
        if self.now() >= imported.deadline:
            return Step(Step.DELIVER)
        return Step(Step.CHECK, self.policy.initial_poll_delay)

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

    def _send_planned(self, imported: Import, time_left: Callable[[], float]) -> None:
        saleshandy = RateLimitedClient(
            self.client_for(imported.upload.workspace), self.ledger, self.policy, self.now, imported
        )
        connected_before: AbstractSet[str] | None = None
        with closing(validate_upload(self.uploads, imported.upload)) as examined:
            reader = BatchReader(examined)
            for batch in self.ledger.batches(imported.id):
                if batch.state is not BatchState.PLANNED:
                    continue
                if self.now() >= imported.deadline:
                    return
                if time_left() < SAFE_MARGIN:
                    raise RetryAfterError(0)
                if connected_before is None:
                    connected_before = self._connected_before(imported, saleshandy, time_left)
                accounts = reader.accounts_of(batch.range)
                self._submit_batch(imported, batch, accounts, connected_before, saleshandy)

    def _connected_before(
        self, imported: Import, saleshandy: RateLimitedClient, time_left: Callable[[], float]
    ) -> AbstractSet[str]:
        """Return the addresses the service had connected when the import began, in lower case."""
        if not self.policy.skip_connected:
            return frozenset()
        workspace = imported.upload.workspace
        fresh = imported.dropped_at - _LIST_GOOD_FOR
        try:
            scan = self.account_list.scan(
                workspace, saleshandy, fresh=fresh, since=0, time_left=time_left
            )
        except RequestRefusedError:
            return frozenset()
        except OutcomeUnknownError as error:
            if self.now() > imported.began_at + self.policy.grace:
                return frozenset()
            raise NotSentError(str(error)) from None
        accounts = self.account_list.accounts(workspace, scan)
        return {address for address, connected in accounts if connected}

    def _submit_batch(
        self,
        imported: Import,
        batch: Batch,
        accounts: tuple[Account, ...],
        connected_before: AbstractSet[str],
        saleshandy: RateLimitedClient,
    ) -> None:
        addresses = {account.smtp.address.lower() for account in accounts}
        if left_out := addresses & connected_before:
            evidence = self.reports.writer(
                imported.id, reconciliation_name(batch.number), "text/csv"
            )
            with evidence as text:
                write_reconciliation(
                    text, dict.fromkeys(sorted(left_out), AccountStatus.CONNECTED_BEFORE)
                )
        if left_out == addresses:
            self.ledger.settle(
                imported.id, batch.number, BatchState.COMPLETED, self.now(), reconciliation=True
            )
            return
        saleshandy.turn(imported.batches - batch.number + 1)
        now = self.now()
        if not self.ledger.intend(imported.id, batch.number, now, reconciliation=bool(left_out)):
            return
        try:
            request_id = saleshandy.connect(
                [one for one in accounts if one.smtp.address.lower() not in left_out]
            )
        except (ApiKeyRefusedError, ApiKeyMissingError, RetryAfterError, NotSentError):
            self.ledger.withdraw(imported.id, batch.number)
            raise
        except OutcomeUnknownError as error:
            self._unconfirmed(imported, batch, str(error))
            raise
        except RequestRefusedError as error:
            self.ledger.settle(
                imported.id,
                batch.number,
                BatchState.REFUSED,
                self.now(),
                reason=str(error),
            )
            return
        now = self.now()
        self.ledger.submitted(
            imported.id, batch.number, request_id, now, now + self.policy.initial_poll_delay
        )

    def _unconfirmed(self, imported: Import, batch: Batch, reason: str) -> None:
        now = self.now()
        next_poll_at = now + self.policy.initial_poll_delay
        self.ledger.unconfirmed(imported.id, batch.number, reason, now, next_poll_at)
