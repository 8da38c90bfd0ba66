"""The numbers the stack's owner sets."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Policy:
    """The numbers the stack's owner sets; times in seconds, sizes in bytes."""

    batch_size: int
    calls_per_minute: int
    initial_poll_delay: float
    max_poll_interval: float
    deadline: float
    grace: float
    skip_connected: bool
    largest_file: int
