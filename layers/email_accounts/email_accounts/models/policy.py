"""The numbers the stack's owner sets."""

from dataclasses import dataclass
from enum import StrEnum


class SignInCheck(StrEnum):
    """Whether mailboxes are tried before they are sent, and what comes of it.

    `warn` changes no outcome; `strict` sends no mailbox that is proven not to work.
    """

    OFF = "off"
    WARN = "warn"
    STRICT = "strict"


@dataclass(frozen=True, slots=True)
class Policy:
    """The numbers the stack's owner sets; times in seconds, sizes in bytes.

    `settle` is how long after a completion the account list is read.
    """

    batch_size: int
    calls_per_minute: int
    initial_poll_delay: float
    max_poll_interval: float
    deadline: float
    grace: float
    skip_connected: bool
    verify_connected: bool
    settle: float
    largest_file: int
    sign_in_check: SignInCheck = SignInCheck.OFF
