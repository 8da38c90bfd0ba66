"""Brings what is in a ledger into a state, by the way it takes."""

from collections.abc import Callable

import boto3

from email_accounts.models.imports import Batch, BatchState, Import, Plan, ReasonCode
from email_accounts.ports import Ledger


def change(ledger: Ledger, import_id: str, number: int, to: Callable[[Batch], Batch]) -> Batch:
    """Change one batch as it is now."""
    (batch,) = (one for one in ledger.batches(import_id) if one.number == number)
    return ledger.save(import_id, batch, to(batch))


def send(ledger: Ledger, import_id: str, number: int, now: float) -> Batch:
    """Have a batch being sent."""
    return change(ledger, import_id, number, lambda one: one.sending(now, reconciliation=False))


def submit(ledger: Ledger, import_id: str, number: int, now: float) -> Batch:
    """Have the answer to a batch come, ten seconds before its first poll."""
    return change(
        ledger,
        import_id,
        number,
        lambda one: one.submitted(f"request-{number}", now, now + 10),
    )


def lose(ledger: Ledger, import_id: str, number: int, now: float, next_poll_at: float) -> Batch:
    """Leave the outcome of a batch unknown."""
    code = ReasonCode.ANSWER_LOST
    return change(
        ledger, import_id, number, lambda one: one.unconfirmed(code, "no answer", now, next_poll_at)
    )


def polled_at(ledger: Ledger, import_id: str, number: int, next_poll_at: float) -> Batch:
    """Have a batch polled."""
    return change(ledger, import_id, number, lambda one: one.polled(next_poll_at))


def leased(ledger: Ledger, import_id: str, now: float, seconds: float = 300.0) -> str:
    """Take the lease."""
    lease = ledger.lease(import_id, now, now + seconds)
    assert lease
    return lease


def refuse(ledger: Ledger, import_id: str, refusal: str) -> None:
    """Have the file refused, once the worker that reads it has gone."""
    lease = leased(ledger, import_id, ledger.get(import_id).lease_until)
    ledger.refuse(import_id, lease, ReasonCode.FILE_REFUSED, refusal)


def answer(ledger: Ledger, import_id: str) -> Import:
    """Have an import answered, once the worker that submits it has gone."""
    imported = ledger.get(import_id)
    lease = ledger.deliver(imported, imported.lease_until, imported.lease_until + 300)
    assert lease
    assert ledger.notified(import_id, lease)
    return ledger.get(import_id)


def planned(
    ledger: Ledger, import_id: str, plan: Plan, now: float, expected_end: float = 0.0
) -> None:
    """Have a claimed import planned by somebody who gives the lease back."""
    lease = leased(ledger, import_id, now)
    ledger.plan(import_id, lease, plan, (), expected_end=expected_end)
    ledger.release(import_id, lease)


def settle(  # noqa: PLR0913  as many as the batch has
    ledger: Ledger,
    import_id: str,
    number: int,
    state: BatchState,
    now: float,
    *,
    report: bool = False,
) -> None:
    """Have a batch settled that is being sent, or was submitted."""
    if state is BatchState.REFUSED:
        change(ledger, import_id, number, lambda one: one.refused("no", now))
    elif state is BatchState.RECONCILED:
        lose(ledger, import_id, number, now, now)
        change(ledger, import_id, number, lambda one: one.reconciled(now))
    else:
        change(ledger, import_id, number, lambda one: one.completed(now, report=report))


def downgrade(table: str) -> None:
    """Leave in a table what 0.1 would have written, under the names it gave attributes."""
    added = {"revision", "lease_token", "attempts", "reason_code"}
    renamed = {"next_poll_at": "look_at", "reconciliation": "listing"}
    client = boto3.client("dynamodb")
    for item in client.scan(TableName=table)["Items"]:
        kept = {renamed.get(name, name): item[name] for name in item.keys() - added}
        client.put_item(TableName=table, Item=kept)
