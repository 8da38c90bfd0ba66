"""When the mailboxes of a batch are tried: what submitting asks without what tries them."""

from email_accounts.models.imports import Batch, BatchState, Import
from email_accounts.models.policy import Policy, SignInCheck

_LONGEST = 1800.0
"""Seconds after the beginning of an import in which sign-ins are tried."""


def is_sign_in_due(imported: Import, batch: Batch, policy: Policy, now: float) -> bool:
    """Say whether the mailboxes of a batch are to be tried before it is sent."""
    return (
        policy.sign_in_check is not SignInCheck.OFF
        and batch.state is BatchState.PLANNED
        and not batch.sign_in
        and not batch.sent
        and now < tried_until(imported)
    )


def tried_until(imported: Import) -> float:
    """Return when sign-ins end: half of the time to the deadline is left to the sending."""
    longest = min(_LONGEST, (imported.deadline - imported.began_at) / 2)
    return imported.began_at + longest
