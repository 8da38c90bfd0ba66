"""Removes one guard after the other, and shows which tests find that.

`python -m tests.property.guards [name …]` works in a copy of the project, and prints a table: after
how many runs the property machine found it, or where two invocations met, and which other test
did. `guards.toml` has the guards.
"""

import contextlib
import io
import logging
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from hypothesis import HealthCheck
from hypothesis import settings as Settings  # noqa: N812  a class

from tests.property.machine import RUNS as OF_A_TEST
from tests.property.machine import ImporterUnderFaults, run_machine

RUNS = int(os.environ.get("PROPERTY_EXAMPLES", "600"))
ROOT = Path(__file__).parents[2]
TESTS_OF_MACHINE = "tests/property/test_invariants.py"
OTHER_TESTS = (
    *("unit/test_submitter.py", "unit/test_poller.py", "unit/test_deliverer.py"),
    *("unit/test_admission.py", "unit/test_budget.py", "unit/test_account_list.py"),
    *("contract/test_ledger.py", "contract/test_lost_answers.py"),
    "integration/test_sign_in_check.py",
)
NOT_FOUND = "not found"
Patch = Mapping[str, str]


def guards() -> dict[str, Sequence[Patch]]:
    """Return what removes each guard."""
    return tomllib.loads(Path(__file__).with_suffix(".toml").read_text())


def without(project: Path, patches: Sequence[Patch]) -> dict[Path, str]:
    """Return the files of a project as they are without a guard."""
    files: dict[Path, str] = {}
    for patch in patches:
        file = project / patch["file"]
        text = files.get(file) or file.read_text()
        if text.count(patch["old"]) != 1:
            raise ValueError(f"{file}: not there once: {patch['old']}")
        files[file] = text.replace(patch["old"], patch["new"])
    return files


def main(*names: str) -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        project = Path(folder)
        _copy_to(project)
        _tell(f"| guard removed | property machine, {RUNS} runs | other tests |\n|---|---|---|")
        for name, patches in guards().items():
            if not names or any(one in name for one in names):
                with _patched(without(project, patches)):
                    _tell(f"| {name} | {_by_machine(project)} | {_by_others(project)} |")


def _tell(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


@contextlib.contextmanager
def _patched(files: Mapping[Path, str]) -> Iterator[None]:
    before = {file: file.read_text() for file in files}
    try:
        for file, text in files.items():
            file.write_text(text)
        yield
    finally:
        for file, text in before.items():
            file.write_text(text)


def _copy_to(project: Path) -> None:
    git = ["git", "ls-files"]
    listed = subprocess.run(git, cwd=ROOT, capture_output=True, text=True, check=True)
    for name in listed.stdout.splitlines():
        (project / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, project / name)


def _by_machine(project: Path) -> str:
    found = _run(project, "-m", "tests.property.guards", "--machine").strip()
    if found != NOT_FOUND:
        return found
    return _failed(_run(project, "-m", "pytest", "-qx", TESTS_OF_MACHINE, "-k", "wherever"))


def _by_others(project: Path) -> str:
    return _failed(_run(project, "-m", "pytest", "-qx", *(f"tests/{one}" for one in OTHER_TESTS)))


def _run(project: Path, *command: str) -> str:
    paths = os.pathsep.join(str(project / one) for one in (".", "layers/email_accounts", "cli"))
    return subprocess.run(
        [sys.executable, *command],
        cwd=project,
        env=os.environ | {"PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    ).stdout


def _failed(told: str) -> str:
    failed = re.search(r"^(?:FAILED|ERROR) [^\s:]+::(\w+)", told, re.MULTILINE)
    return f"`{failed[1]}`" if failed else NOT_FOUND


def run_until_found() -> None:
    """Run the property machine until it finds something, and tell after how many runs."""
    logging.disable()
    machine = ImporterUnderFaults
    check, runs = machine.teardown, 0

    def counted(self: ImporterUnderFaults) -> None:
        nonlocal runs
        runs += 1
        check(self)

    machine.teardown = counted  # type: ignore[method-assign]
    chosen = Settings(OF_A_TEST, suppress_health_check=list(HealthCheck))
    found = NOT_FOUND
    for number in range(RUNS // chosen.max_examples):
        try:
            with contextlib.redirect_stdout(io.StringIO()):
                run_machine(number, chosen)
        except BaseException:  # noqa: BLE001  whatever it found
            found = f"after {runs} runs"
            break
    _tell(found)


if __name__ == "__main__":
    if sys.argv[1:] == ["--machine"]:
        run_until_found()
    else:
        main(*sys.argv[1:])
