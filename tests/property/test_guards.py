"""Each guard that guards.py removes is where it says."""

from collections.abc import Sequence

import pytest

from tests.property.guards import ROOT, Patch, guards, without


@pytest.mark.parametrize("patches", guards().values(), ids=guards())
def test_a_guard_can_be_removed(patches: Sequence[Patch]) -> None:
    """What is left is still Python."""
    for file, text in without(ROOT, patches).items():
        compile(text, file, "exec")
