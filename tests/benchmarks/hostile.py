"""Measures what hostile files cost: seconds of the processor at three sizes, memory, the answer.

Each file is read in a process of its own. `python -m tests.benchmarks.hostile 8` makes files of
about 8, 16 and 32 MB, and fails where twice the size takes three times as long: a test that counts
calls does not see what is copied. `python -m tests.benchmarks.hostile file.xlsx …` reads files.
"""

import subprocess
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

from tests.support.hostile import SHAPES, pieces

ROOT = Path(__file__).parents[2]
_TWICE = 3.0
_MEASURABLE = 0.5
"""Seconds from which on a time is compared with the one before."""
_RUN = """
import pathlib, sys, time
from email_accounts.errors import FileRefusedError
from email_accounts.intake.accounts_file import open_accounts_file
with open(sys.argv[1], "rb") as file:
    try:
        answer = f"{sum(1 for _ in open_accounts_file(file).rows):,} rows"
    except FileRefusedError as error:
        answer = f"{error.problem} {error.fix}"
peak = int(pathlib.Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])
print(f"{time.process_time():.1f}\\t{peak >> 10}\\t{answer}")
"""


def main() -> None:
    """Print a table."""
    given = sys.argv[1:] or ["2"]
    print("| format | file | seconds | MiB | answer |\n|---|---|---|---|---|", flush=True)  # noqa: T201
    if not given[0].isdigit():
        for name in given:
            _show("file", name, [_read(Path(name))])
        return
    sizes = [int(given[0]) << 20 << step for step in range(3)]
    slow: list[str] = []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "hostile"
        for kind, shapes in SHAPES.items():
            for name, shape in shapes.items():
                results = []
                for size in sizes:
                    with path.open("wb") as file:
                        file.writelines(pieces(shape, size))
                    results.append(_read(path))
                _show(kind, name, results)
                seconds = [max(float(one[0]), _MEASURABLE) for one in results]
                if any(after > _TWICE * before for before, after in pairwise(seconds)):
                    slow.append(f"{kind}: {name}")
    if slow:
        sys.exit(f"More than {_TWICE:.0f} times as long at twice the size: {', '.join(slow)}")


def _read(path: Path) -> list[str]:
    """Return the seconds, the MiB and the answer."""
    command = [sys.executable, "-c", _RUN, str(path)]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    return result.stdout.strip().split("\t")


def _show(kind: str, name: str, results: list[list[str]]) -> None:
    seconds = ", ".join(one[0] for one in results)
    print(f"| {kind} | {name} | {seconds} | {results[-1][1]} | {results[-1][2]} |", flush=True)  # noqa: T201


if __name__ == "__main__":
    main()
