"""Many imports of one workspace, simulated: small ones do not wait for a large one."""

from dataclasses import replace
from statistics import median

from email_accounts.models.imports import BatchState
from tests.load.fairness import TAKES, behind, simulate, world_of


def test_small_files_behind_a_large_one_are_answered_soon() -> None:
    """They neither wait for its pages of the list, nor have each its own call of the list."""
    _, small, service = behind(5_000, 30)
    minutes = [(one.done - TAKES) / 60 for one in small]
    assert median(minutes) <= 6
    assert max(minutes) <= 10
    assert max(one.sent for one in small) <= 480
    assert sum(kind == "list" for kind, _ in service.called) <= 120


def test_what_is_reported_is_verified_while_others_are_sent() -> None:
    """An import of hours that is stopped, or reaches its deadline, has results by then."""
    world, service = world_of(0, 5)
    world.policy = replace(world.policy, batch_size=1)
    began = world.clock()
    simulate(world, service, [(0.0, 300)])
    (import_id,) = world.executions.started
    settled = [batch.changed_at - began for batch in world.ledger.batches(import_id)]
    assert max(settled) > 2 * 3600
    assert min(settled) < 2 * 3600


def test_imports_that_share_the_calls_are_sent_to_their_ends() -> None:
    """Each has the deadline that it would need alone: it moves while the import is being sent."""
    world, service = world_of(0, 20)
    world.policy = replace(world.policy, batch_size=1, deadline=1800.0)
    simulate(world, service, [(10.0 * number, 150) for number in range(5)])
    for import_id in world.executions.started:
        states = {batch.state for batch in world.ledger.batches(import_id)}
        assert BatchState.PLANNED not in states
