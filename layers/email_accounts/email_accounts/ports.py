"""The protocols of everything outside the domain."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import BinaryIO, Protocol, TextIO

from email_accounts.models.account import Account
from email_accounts.models.account_index import AccountIndex, Honoured
from email_accounts.models.host_brake import Admission, Reply
from email_accounts.models.imports import Batch, Import, Plan, ReasonCode
from email_accounts.models.messages import Event, Message
from email_accounts.models.servers import Found
from email_accounts.models.service import CallKind, ListedAccount, ListQuery, RequestStatus
from email_accounts.models.steps import TaskResult
from email_accounts.models.upload import Upload, UploadOptions
from email_accounts.text.secret import Secret

Clock = Callable[[], float]
"""Seconds since the epoch."""


class Uploads(Protocol):
    """The inbox bucket."""

    def found(self, upload: Upload) -> Upload:
        """Return the upload with its size, and its newest version where it names none.

        UploadMissingError where there is no such object or version.
        """

    def open(self, upload: Upload) -> BinaryIO:
        """Open exactly this version for reading.

        UploadMissingError where it is gone; FileRefusedError where it was stored so that it cannot
        be read.
        """

    def options(self, upload: Upload) -> UploadOptions:
        """Return what its uploader says about this version as a whole.

        UploadMissingError where it is gone; FileRefusedError where it says it in a wrong way.
        """


class Reports(Protocol):
    """The reports bucket."""

    def address(self, import_id: str, name: str) -> str:
        """Return the s3:// address of a report."""

    def console(self, import_id: str, name: str) -> str:
        """Return where the AWS console shows a report."""

    def link(self, import_id: str, name: str, seconds: float) -> str:
        """Return a link that opens a report without signing in, for so long at most."""

    def writer(
        self, import_id: str, name: str, content_type: str
    ) -> AbstractContextManager[TextIO]:
        """Open a report for writing; it appears when it has been written without an error."""

    def create(self, import_id: str, name: str, content_type: str, text: str) -> bool:
        """Write a report unless there is one of this name; return whether this call wrote it."""

    def open(self, import_id: str, name: str) -> AbstractContextManager[TextIO]:
        """Open a report for reading; ReportMissingError where there is none."""

    def delete(self, import_id: str, name: str) -> None:
        """Delete a report; a no-op where there is none."""


class Saleshandy(Protocol):
    """Saleshandy's API. Its errors are subclasses of `errors.SaleshandyError`."""

    def connect(self, accounts: Sequence[Account]) -> str:
        """Send accounts once and return the request id."""

    def status(self, request_id: str) -> RequestStatus:
        """Return the status of a request."""

    def report(self, link: str) -> AbstractContextManager[Iterator[bytes]]:
        """Fetch a report, in chunks; ReportUnavailableError where that is not possible."""

    def listed(self, query: ListQuery) -> Sequence[ListedAccount]:
        """Return one page of the account list; empty after the end."""

    def key(self) -> Secret:
        """Return the API key, to keep it out of what is written; ApiKeyMissingError for none."""

    def closed_for(self) -> float:
        """Return the seconds for which the last answer allows no further call; 0 for none."""


FindServers = Callable[[Sequence[str]], Mapping[str, Found]]
"""Finds the mail servers of domains; bounded in time, so that some may have no answer."""

ClientFactory = Callable[[str], Saleshandy]
"""Saleshandy's API with the key of a workspace; WorkspaceUnknownError if there is none."""


class ApiKey(Protocol):
    """The API key of a workspace."""

    def __call__(self) -> Secret:
        """Return the key; ApiKeyMissingError where none has been put in."""

    def forget(self) -> None:
        """Do not remember a key that was refused."""


class Executions(Protocol):
    """The state machine."""

    def start(self, name: str, import_id: str, file: str, first: TaskResult) -> None:
        """Start an execution of an import; a no-op when one of this name has been started."""


class Events(Protocol):
    """The event bus."""

    def put(self, event: Event) -> None:
        """Publish an event for other systems."""


class Notifications(Protocol):
    """The topic."""

    def publish(self, message: Message) -> None:
        """Send the message to all who subscribed."""


class HostBrakes(Protocol):
    """The brakes of mail servers: in the ledger, or in one process."""

    def enter_host(self, host: str, attempt: str, now: float) -> Admission:
        """Begin an attempt to sign in at a mail server if that is allowed now."""

    def leave_host(self, host: str, attempt: str, reply: Reply, now: float) -> None:
        """End an attempt; what came of it may close the host for a time."""


class Ledger(HostBrakes, Protocol):
    """The only memory.

    Every change of state is conditional on the state before it; one that does not fit raises
    `LedgerConflictError`, unless it answers with False.
    """

    def claim(self, upload: Upload, now: float, deadline: float) -> tuple[Import, bool]:
        """Make an upload an import; return the import, and whether this call made it."""

    def lease(self, import_id: str, now: float, until: float) -> str | None:
        """Take the lease of an import, and count the attempt; return the lease's token.

        None while another invocation has it, and once the answer is being written.
        """

    def release(self, import_id: str, lease: str, *, attempts: int = 0) -> None:
        """Give the lease back, with so many attempts; a no-op where it is another's."""

    def get(self, import_id: str) -> Import:
        """Return the import."""

    def refuse(self, import_id: str, lease: str, code: ReasonCode, refusal: str) -> None:
        """Refuse the file as a whole, which gives the lease back."""

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
        """Remember the batches, then that the import is planned.

        A `deadline` of None leaves that as it is.
        """

    def stop(self, imported: Import, code: ReasonCode, reason: str) -> None:
        """Remember that nothing more is sent, and why; `imported` names its run."""

    def extend(self, imported: Import, deadline: float) -> None:
        """Move a deadline on; a no-op where it was moved, or its report begun, meanwhile."""

    def batches(self, import_id: str) -> Iterator[Batch]:
        """Yield the batches in their order."""

    def save(self, import_id: str, seen: Batch, changed: Batch) -> Batch:
        """Replace a batch, unless it is no longer the one seen; return it as it is now."""

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
        """Take one call out of the budget, or a turn for up to so many; see `Budget`.

        Returns 0 if the call may be made now, else the seconds until the holder's turn.
        """

    def waiting_until(self, workspace: str, now: float) -> float:
        """Return when all current reservations will have been served."""

    def close_budget(self, workspace: str, now: float, until: float) -> None:
        """Block all calls until a time, as Saleshandy demands."""

    def honoured(self, workspace: str) -> Honoured | None:
        """Return which parameters of the account list work; None before the first probe."""

    def save_honoured(self, workspace: str, honoured: Honoured) -> None:
        """Remember what the service honours of the account list."""

    def index(self, workspace: str) -> AccountIndex:
        """Return the account index of a workspace; an empty one where there is none."""

    def lease_index(self, workspace: str, now: float, until: float) -> AccountIndex | None:
        """Become the one who changes the account index; return it as it is now.

        None while another invocation does.
        """

    def save_index(self, workspace: str, index: AccountIndex) -> None:
        """Replace the account index, and let the next one change it.

        LedgerConflictError where it is no longer the one that was leased.
        """

    def deliver(self, imported: Import, now: float, until: float) -> str | None:
        """Take the lease in order to write the answer; no batch can be submitted afterwards.

        None while another invocation has it, after the answer, and once this run was restarted.
        """

    def notified(self, import_id: str, lease: str) -> bool:
        """Remember that the message was sent; False for anyone but its deliverer."""

    def restart(self, import_id: str, now: float, deadline: float) -> bool:
        """Restart an import that was answered; False for any other.

        Batches whose end is not certain are polled again.
        """
