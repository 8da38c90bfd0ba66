"""Whether an import can end before its deadline under the API budget."""

from dataclasses import dataclass

from email_accounts.errors import FileRefusedError
from email_accounts.models.policy import Policy
from email_accounts.saleshandy.budget import COUNTED_SECONDS

LONGEST_DEADLINE = 86_400.0
"""Seconds after which every import is answered: the state machine ends an hour later."""
_CALLS_PER_BATCH = 3
"""The batch, and the two status checks that it needs on average."""
_MARGIN = 1.5
_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """What an import takes. Times are seconds since the epoch.

    The deadline is the policy's, or later where the import needs longer.
    """

    batches: int
    calls: int
    expected_end: float
    deadline: float


def estimate(batches: int, began_at: float, waiting_until: float, policy: Policy) -> Estimate:
    """Estimate the end of an import whose first call can be made at `waiting_until`.

    Raises:
        FileRefusedError: its own calls alone take longer than the longest deadline.
    """
    calls = batches * _CALLS_PER_BATCH
    takes = calls * COUNTED_SECONDS / policy.calls_per_minute
    if takes > LONGEST_DEADLINE:
        most = int(LONGEST_DEADLINE * policy.calls_per_minute / COUNTED_SECONDS / _CALLS_PER_BATCH)
        raise FileRefusedError(
            f"It makes {batches:,} batches and about {calls:,} API calls, which take "
            f"{takes / _HOUR:,.0f} hours at {policy.calls_per_minute} calls a minute. "
            f"An import may take {LONGEST_DEADLINE / _HOUR:.0f} hours.",
            f"Split it into files of at most {most * policy.batch_size:,} accounts, "
            "or raise CallsPerMinute.",
        )
    expected_end = max(began_at, waiting_until) + takes + policy.initial_poll_delay + policy.settle
    possible = began_at + _MARGIN * (expected_end - began_at)
    deadline = max(began_at + policy.deadline, min(possible, began_at + LONGEST_DEADLINE))
    return Estimate(batches, calls, expected_end, deadline)
