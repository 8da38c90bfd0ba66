"""Many imports of one workspace, simulated: small ones do not wait for a large one."""

from statistics import median

from tests.load.fairness import TAKES, behind


def test_small_files_behind_a_large_one_are_answered_soon() -> None:
    """They neither wait for its pages of the list, nor have each its own call of the list."""
    _, small, service = behind(5_000, 30)
    minutes = [(one.done - TAKES) / 60 for one in small]
    assert median(minutes) <= 6
    assert max(minutes) <= 10
    assert max(one.sent for one in small) <= 480
    assert sum(kind == "list" for kind, _ in service.called) <= 120
