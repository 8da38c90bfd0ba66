"""What a load run counts."""

import pytest

from tests.load.load import busiest_minute, events_on_aws
from tests.support.measurements import filled


@pytest.mark.parametrize(
    ("arrivals", "most"),
    [
        ([5.0], 1),
        ([0.0, 30.0, 59.999], 3),
        ([0.0, 30.0, 60.0], 2),
        ([0.0, 59.0, 60.5, 61.0, 118.0, 119.5], 4),
        ([100.0] * 7 + [161.0], 7),
    ],
)
def test_busiest_minute(arrivals: list[float], most: int) -> None:
    """A minute begins at any call; one that comes when it ends is in the next one."""
    assert busiest_minute(arrivals) == most


def test_events_on_aws() -> None:
    """Each task that was scheduled has been started, too, which the emulator does not tell."""
    history = ["ExecutionStarted", "TaskScheduled", "TaskSucceeded", "TaskScheduled"]
    assert events_on_aws(history) == 6
    assert events_on_aws(["TaskScheduled", "TaskStarted", "TaskSucceeded"]) == 3


def test_filled() -> None:
    r"""The table between its marks is put again, and nothing else; \1 in it is no reference."""
    page = "a\n<!-- table: many -->\nold\n<!-- end -->\n<!-- table: large -->\n<!-- end -->\n"
    new = "a\n<!-- table: many -->\n\\1 new\n<!-- end -->\n<!-- table: large -->\n<!-- end -->\n"
    assert filled(page, "many", "\\1 new\n") == new
