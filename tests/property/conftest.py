"""Property tests find the same examples on every run."""

import pytest
from hypothesis import HealthCheck, settings

pytest.register_assert_rewrite("tests.property.machine")

settings.register_profile(
    "same-every-time",
    derandomize=True,
    database=None,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("same-every-time")
