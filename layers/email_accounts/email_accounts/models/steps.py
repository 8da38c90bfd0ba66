"""What the state machine does next."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Step:
    """What the state machine is to do next, and after how many seconds."""

    next: str
    wait_seconds: float = 0

    CHECK = "check_status"
    SUBMIT = "submit_accounts"
    DELIVER = "deliver_report"
