"""What the domain needs of the world besides the ledger."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import BinaryIO, Protocol, TextIO

from email_accounts.account import Account
from email_accounts.secret import Secret
from email_accounts.upload import Upload

Clock = Callable[[], float]
"""Seconds since the epoch."""


@dataclass(frozen=True, slots=True)
class Policy:
    """The numbers the stack's owner sets; times in seconds, sizes in bytes."""

    batch_size: int
    calls_per_minute: int
    first_look: float
    longest_wait: float
    deadline: float
    grace: float
    skip_connected: bool
    largest_file: int


@dataclass(frozen=True, slots=True)
class Step:
    """What the state machine is to do next, and after how many seconds."""

    next: str
    wait_seconds: float = 0

    CHECK = "check_status"
    SUBMIT = "submit_accounts"
    DELIVER = "deliver_report"


@dataclass(frozen=True, slots=True)
class Status:
    """The remote's word on one request; the link is empty where it gave none."""

    completed: bool
    report_link: str = ""


@dataclass(frozen=True, slots=True)
class Listed:
    """An account of the remote's list: its address in lower case, and whether it works.

    `created_at` is in seconds since the epoch; None where the list does not say.
    """

    address: str
    connected: bool
    created_at: float | None


@dataclass(frozen=True, slots=True)
class Message:
    """The one notification: a line, a mail for a person, JSON for machines, attributes."""

    subject: str
    mail: str
    document: str
    attributes: dict[str, str | int]


class Uploads(Protocol):
    """The inbox bucket."""

    def found(self, upload: Upload) -> Upload:
        """Return the upload with its size, and its newest version where it names none.

        UploadMissingError where there is no such object or version.
        """

    def open(self, upload: Upload) -> BinaryIO:
        """Open exactly this version for reading; UploadMissingError where it is gone."""


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

    def open(self, import_id: str, name: str) -> AbstractContextManager[TextIO]:
        """Open a report for reading."""


class Originals(Protocol):
    """Where reports are kept as they came, passwords included."""

    def keep(self, import_id: str, name: str, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """Keep a report to its last byte, then hand its chunks on."""


class Remote(Protocol):
    """The remote API. Its errors are those of `errors.RemoteError`."""

    def connect(self, accounts: Sequence[Account]) -> str:
        """Send accounts once and return the request id."""

    def status(self, request_id: str) -> Status:
        """Look at a request."""

    def report(self, link: str) -> AbstractContextManager[Iterator[bytes]]:
        """Fetch a report, in chunks; ReportUnavailableError where that is not possible."""

    def listed(self, page: int) -> Sequence[Listed]:
        """Return one page of the account list, from 1, the newest first; empty after the end."""

    def closed_for(self) -> float:
        """Return the seconds for which the last answer allows no further call; 0 for none."""


Remotes = Callable[[str], Remote]
"""The remote API with the API key of a workspace; WorkspaceUnknownError where there is none."""


class ApiKey(Protocol):
    """The API key of a workspace."""

    def __call__(self) -> Secret:
        """Return the key; ApiKeyMissingError where none has been put in."""

    def forget(self) -> None:
        """Do not remember a key that was refused."""


class Executions(Protocol):
    """The state machine."""

    def start(self, name: str, import_id: str, file: str, step: Step) -> None:
        """Start an execution of an import; a no-op when one of this name has been started."""


class Events(Protocol):
    """The event bus."""

    def put(self, message: Message) -> None:
        """Tell other systems that an import is completed, in the message's document."""


class Notifications(Protocol):
    """The topic."""

    def publish(self, message: Message) -> None:
        """Send the message to all who subscribed."""
