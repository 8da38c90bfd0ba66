"""What a task of the state machine answers."""

from dataclasses import dataclass, replace
from enum import StrEnum


class NextAction(StrEnum):
    """The tasks of the state machine, each by its function."""

    CHECK = "check_status"
    SIGN_IN = "check_sign_in"
    SUBMIT = "submit_accounts"
    DELIVER = "deliver_report"


@dataclass(frozen=True, slots=True)
class TaskResult:
    """Which task runs next, and after how many seconds.

    `overdue_seconds` is by how much the import is past its deadline.
    """

    next: NextAction
    wait_seconds: float = 0
    overdue_seconds: float = 0

    def before(self, seconds: float) -> "TaskResult":
        """Return it with a wait of so many seconds at most, such as those to a deadline."""
        return replace(self, wait_seconds=max(min(self.wait_seconds, seconds), 0.0))
