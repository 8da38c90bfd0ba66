"""When an import ends under the API budget, and whether that is before its deadline."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from email_accounts.errors import FileRefusedError
from email_accounts.models.imports import LONGEST_DEADLINE, Batch, BatchState, Import, Plan
from email_accounts.models.messages import IMPORT_ESTIMATED, Event, file_document
from email_accounts.models.policy import Policy
from email_accounts.saleshandy.budget import COUNTED_SECONDS
from email_accounts.text.display import iso

SCHEMA = 1
_CALLS_PER_BATCH = 3
"""The batch, and the two status checks that it needs on average."""
_MARGIN = 1.5
_HOUR = 3600.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """What an import takes. Times are seconds since the epoch.

    The deadline is the policy's, or later where the import needs longer. It is not admitted where
    its own calls alone take longer than the longest deadline.
    """

    batches: int
    calls: int
    expected_end: float
    deadline: float
    admitted: bool


def estimate(batches: int, began_at: float, waiting_until: float, policy: Policy) -> Estimate:
    """Estimate the end of an import whose first call can be made at `waiting_until`."""
    takes = _seconds(batches, policy.calls_per_minute)
    expected_end = max(began_at, waiting_until) + takes + policy.initial_poll_delay + policy.settle
    possible = began_at + _MARGIN * (expected_end - began_at)
    deadline = max(began_at + policy.deadline, min(possible, began_at + LONGEST_DEADLINE))
    admitted = takes <= LONGEST_DEADLINE
    return Estimate(batches, batches * _CALLS_PER_BATCH, expected_end, deadline, admitted)


def refusal(expected: Estimate, policy: Policy) -> FileRefusedError:
    """Return the refusal of an import that is not admitted, with the numbers."""
    takes = _seconds(expected.batches, policy.calls_per_minute)
    most = int(expected.batches * LONGEST_DEADLINE / takes)
    return FileRefusedError(
        f"It makes {expected.batches:,} batches and about {expected.calls:,} API calls, which take "
        f"{takes / _HOUR:,.0f} hours at {policy.calls_per_minute} calls a minute. "
        f"An import may take {LONGEST_DEADLINE / _HOUR:.0f} hours.",
        f"Split it into files of at most {most * policy.batch_size:,} accounts, "
        "or raise CallsPerMinute.",
    )


def estimated_event(imported: Import, planned: Plan, expected: Estimate) -> Event:
    """Write what other systems learn of an import before its first call."""
    detail = {
        "schema": SCHEMA,
        "importId": imported.id,
        "workspace": imported.upload.workspace,
        "file": file_document(imported.upload),
        "admitted": expected.admitted,
        "rows": planned.rows,
        "accounts": planned.accepted,
        "batches": expected.batches,
        "calls": expected.calls,
        "expectedEnd": iso(expected.expected_end),
        "deadline": iso(expected.deadline),
        "deadlineMoved": expected.deadline > imported.deadline,
    }
    return Event(IMPORT_ESTIMATED, json.dumps(detail))


def expected_end(  # noqa: PLR0913, PLR0917  what is known of a running import
    imported: Import,
    batches: Sequence[Batch],
    next_call_at: float,
    now: float,
    calls_per_minute: float,
    tail: float,
) -> float:
    """Estimate again when a running import ends; 0 while it has no plan.

    `next_call_at` is when it may make its next call, `tail` the seconds from its last batch to its
    end. The batches left go as fast as the API budget allows, or as those before them went.
    """
    if not imported.expected_end:
        return 0.0
    left = [one for one in batches if one.state in (BatchState.PLANNED, BatchState.SENDING)]
    end = max(now, *(one.next_poll_at for one in batches), 0.0)
    if left and not imported.stopped:
        takes = _seconds(len(left), calls_per_minute)
        sent = [one.sent_at for one in batches if one.sent_at >= imported.began_at]
        if sent:
            takes = max(takes, (now - min(sent)) / len(sent) * len(left))
        end = max(end, max(now, next_call_at) + takes + tail)
    return min(end, max(imported.began_at + LONGEST_DEADLINE, now))


def _seconds(batches: int, calls_per_minute: float) -> float:
    return batches * _CALLS_PER_BATCH * COUNTED_SECONDS / calls_per_minute
