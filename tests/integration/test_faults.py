"""Rules end a process at the points they name, as often as they say."""

import importlib
import inspect
import os
import pkgutil
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import email_accounts.aws
import email_accounts.saleshandy.client
from local.faults import ADAPTERS, ActiveRule, Rule, activate

ROOT = Path(__file__).resolve().parents[2]
# Adapters of every kind of method, and a process that calls them one after the other.
LEDGER = """
class DynamoLedger:
    def batches(self):
        for number in (1, 2):
            print("batch", number, flush=True)
            yield number

    def submitted(self, number):
        print("submitted", number, flush=True)
"""
CLIENT = """
import contextlib, io

class SaleshandyClient:
    @contextlib.contextmanager
    def report(self):
        print("open", flush=True)
        yield 7
        print("close", flush=True)

    def open(self):
        return io.BytesIO(b"")

    def failing(self):
        raise ValueError("as ever")
"""
FILES = {
    "__init__": "",
    "aws/__init__": "",
    "aws/dynamodb": LEDGER,
    "saleshandy/__init__": "",
    "saleshandy/client": CLIENT,
}
PROGRAM = """
import pathlib, sys
import faults
faults.watch(pathlib.Path(sys.argv[1]), "submit_accounts")
from email_accounts.aws.dynamodb import DynamoLedger
from email_accounts.saleshandy.client import SaleshandyClient
ledger, saleshandy = DynamoLedger(), SaleshandyClient()
for number in ledger.batches():
    ledger.submitted(number)
saleshandy.open().read()
with saleshandy.report() as value:
    print("report", value, flush=True)
try:
    saleshandy.failing()
except Exception as error:
    print(type(error).__name__, error, flush=True)
"""
WHOLE = [
    "batch 1",
    "submitted 1",
    "batch 2",
    "submitted 2",
    "open",
    "report 7",
    "close",
    "ValueError as ever",
]


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """Write a small package with the names of the product's adapters."""
    for name, text in FILES.items():
        module = tmp_path / f"package/email_accounts/{name}.py"
        module.parent.mkdir(parents=True, exist_ok=True)
        module.write_text(text)
    return tmp_path / "package"


def run(package: Path, rules: Path) -> tuple[int, list[str]]:
    """Run the program; return its exit code and what it printed."""
    paths = os.pathsep.join([str(package), str(ROOT / "local")])
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(rules)],
        env={"PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.returncode, done.stdout.splitlines()


@pytest.mark.parametrize(
    ("point", "when", "reached"),
    [
        ("ledger.submitted", "before", 1),
        ("ledger.submitted", "after", 2),
        ("ledger.batches", "before", 0),
        ("ledger.batches", "after", 4),
        ("saleshandy.open", "after", 4),
        ("saleshandy.report", "before", 4),
        ("saleshandy.report", "after", 7),
        ("saleshandy.failing", "before", 7),
    ],
)
def test_kill(package: Path, tmp_path: Path, point: str, when: str, reached: int) -> None:
    """A process is killed where the rule says; the next one comes through."""
    laid = activate(tmp_path / "rules", Rule("submit_accounts", point, when))  # type: ignore[arg-type]
    assert run(package, tmp_path / "rules") == (-signal.SIGKILL, WHOLE[:reached])
    assert laid.fired() == 1
    assert run(package, tmp_path / "rules") == (0, WHOLE)
    assert laid.fired() == 1


def test_raise(package: Path, tmp_path: Path) -> None:
    """A rule can raise in the function instead, where its own error handling sees it."""
    activate(tmp_path / "rules", Rule("submit_accounts", "saleshandy.failing", "before", "raise"))
    said = [*WHOLE[:-1], "FaultError before saleshandy.failing"]
    assert run(package, tmp_path / "rules") == (0, said)


def test_nth_to_last(package: Path, tmp_path: Path) -> None:
    """Times are counted over all processes, from the nth on, as many as asked for."""
    rule = Rule("submit_accounts", "ledger.submitted", nth=3, times=2)
    laid = activate(tmp_path / "rules", rule)
    runs = [run(package, tmp_path / "rules") for _ in range(4)]
    killed = (-signal.SIGKILL, WHOLE[:2])
    assert runs == [(0, WHOLE), killed, killed, (0, WHOLE)]
    assert laid.fired() == 2


@pytest.mark.parametrize(
    "rule",
    [
        Rule("check_status", "ledger.submitted"),
        Rule("submit_accounts", "ledger.submitted_too"),
        Rule("submit_accounts", "saleshandy.failing"),
    ],
)
def test_other_points(package: Path, tmp_path: Path, rule: Rule) -> None:
    """Another function, another method, or the end of a method that failed is no such point."""
    laid = activate(tmp_path / "rules", rule)
    assert run(package, tmp_path / "rules") == (0, WHOLE)
    assert laid.fired() == 0


def test_without_rules(package: Path, tmp_path: Path) -> None:
    """Where no rule was ever laid down, or all are taken up, nothing happens."""
    assert run(package, tmp_path / "rules") == (0, WHOLE)
    activate(tmp_path / "rules", Rule("submit_accounts", "saleshandy.open")).remove()
    assert run(package, tmp_path / "rules") == (0, WHOLE)


def test_counting_at_once(tmp_path: Path) -> None:
    """Of many who come to a point at the same time, exactly as many are ended as asked for."""
    laid = activate(tmp_path, Rule("submit_accounts", "saleshandy.connect", nth=3, times=5))

    def reached(_: int) -> bool:
        return ActiveRule(laid.rule, laid.folder).reached()

    with ThreadPoolExecutor(20) as pool:
        ended = list(pool.map(reached, range(100)))
    assert (sum(ended), laid.fired()) == (5, 5)


def test_every_adapter_has_a_name() -> None:
    """The points of each adapter of the product begin with a short name."""
    modules = [
        importlib.import_module(f"email_accounts.aws.{found.name}")
        for found in pkgutil.iter_modules(email_accounts.aws.__path__)
    ]
    adapters = {
        name
        for module in (*modules, email_accounts.saleshandy.client)
        for name, kind in inspect.getmembers(module, inspect.isclass)
        if kind.__module__ == module.__name__ and not name.startswith("_")
    }
    assert adapters == ADAPTERS.keys()
