"""Lets time run faster in a function's process, where Python imports this before all else."""

import os
import time

_true = time.time
_began = float(os.environ["CLOCK_BEGAN"])
_pace = float(os.environ["CLOCK_PACE"])


def _fast() -> float:
    return _began + (_true() - _began) * _pace


time.time = _fast
