"""Submitting: from an upload to the request ids of its batches.

The order of effects makes every crash survivable: the claim, the plan, the execution that will
go on where this invocation leaves off, and only then the requests, each between the intent and
its request id.
"""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass

from email_accounts.account import Account
from email_accounts.batches import BatchReader, examine_upload, plan
from email_accounts.errors import (
    ApiKeyMissingError,
    ApiKeyRefusedError,
    FileRefusedError,
    NotSentError,
    RequestRefusedError,
    ThrottledError,
    UnansweredError,
    UploadMissingError,
)
from email_accounts.ledger import Batch, BatchState, Import, ImportState, Ledger
from email_accounts.ports import WORKSPACE, Clock, Executions, Policy, Remote, Step, Uploads
from email_accounts.reading import open_accounts_file
from email_accounts.upload import PREFIX, Upload

SAFE_MARGIN = 90.0
"""Seconds an invocation keeps in hand: more than one request can take, time-outs included."""

_AFTER_A_FAILURE_TO_SEND = 30.0
_MEGABYTE = 1_000_000


@dataclass(frozen=True, slots=True)
class Submitter:
    """Takes uploads on and submits their batches."""

    ledger: Ledger
    uploads: Uploads
    remote: Remote
    executions: Executions
    policy: Policy
    now: Clock

    def identified(self, upload: Upload) -> Upload:
        """Return the upload with its version, which an event may lack."""
        if upload.version:
            return upload
        try:
            return self.uploads.current_version(upload.bucket, upload.key)
        except UploadMissingError:
            return upload  # taken on all the same, so that planning it refuses it

    def take(self, upload: Upload, time_left: Callable[[], float]) -> Step | None:
        """Take an upload on and submit what time and budget allow.

        `time_left` gives the seconds this invocation may still run. None when the upload is
        somebody else's or already answered.
        """
        now = self.now()
        if not self.ledger.claim(upload, now, now + self.policy.deadline, now + time_left()):
            return None
        if self.ledger.get(upload.import_id).state is ImportState.RECEIVED:
            self._plan(upload)
        if self.ledger.get(upload.import_id).state is ImportState.REFUSED:
            step = Step(Step.DELIVER)
            self.executions.start(upload.import_id, upload.name, step)
            self.ledger.release(upload.import_id)
            return step
        first_look = Step(Step.CHECK, self.policy.first_look)
        self.executions.start(upload.import_id, upload.name, first_look)
        return self._submit(upload.import_id, time_left)

    def resume(self, import_id: str, time_left: Callable[[], float]) -> Step:
        """Submit what is left of an import; the step says what comes next."""
        now = self.now()
        if not self.ledger.lease(import_id, now, now + time_left()):
            return Step(Step.CHECK, self.policy.first_look)
        return self._submit(import_id, time_left)

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
        finally:
            self.ledger.release(import_id)

    def _submit_batches(self, imported: Import, time_left: Callable[[], float]) -> Step:
        if imported.stopped:
            return Step(Step.DELIVER)
        with closing(examine_upload(self.uploads, imported.upload)) as examined:
            reader = BatchReader(examined)
            for batch in self.ledger.batches(imported.id):
                if batch.state is not BatchState.PLANNED:
                    continue
                if self.now() >= imported.deadline:
                    return Step(Step.DELIVER)
                if time_left() < SAFE_MARGIN:
                    return Step(Step.SUBMIT)
                accounts = reader.accounts_of(batch.range)
                wait = self._submit_batch(imported.id, batch, accounts)
                if wait:
                    return Step(Step.SUBMIT, wait)
        return Step(Step.CHECK, self.policy.first_look)

    def _submit_batch(self, import_id: str, batch: Batch, accounts: tuple[Account, ...]) -> float:
        """Send one batch; return the seconds to wait where it could not be sent yet."""
        now = self.now()
        wait = self.ledger.take_call(WORKSPACE, now, self.policy.calls_per_minute)
        if wait:
            return wait
        if not self.ledger.intend(import_id, batch.number, now):
            return 0
        try:
            request_id = self.remote.connect(accounts)
        except (ApiKeyRefusedError, ApiKeyMissingError):
            self.ledger.withdraw(import_id, batch.number)
            raise
        except ThrottledError as error:
            self.ledger.withdraw(import_id, batch.number)
            return error.retry_after_seconds
        except NotSentError:
            self.ledger.withdraw(import_id, batch.number)
            return _AFTER_A_FAILURE_TO_SEND
        except (RequestRefusedError, UnansweredError) as error:
            refused = isinstance(error, RequestRefusedError)
            state = BatchState.REFUSED if refused else BatchState.UNCONFIRMED
            self.ledger.settle(import_id, batch.number, state, str(error), report=False)
            return 0
        self.ledger.submitted(import_id, batch.number, request_id)
        return 0
