"""Ends a function of the local cloud at a named point, to see what the system makes of it.

A rule is a file in a folder of the cloud's state. Every process of a function reads the folder each
time it comes to a point, so a rule holds from the moment it is laid down; without one, a point
costs one check for a folder that does not exist. The product knows nothing of this: the
processes wrap its adapters while they import them.

A point is `<adapter>.<method>`, such as `ledger.submitted` or `saleshandy.connect`: every public
method of a class in `email_accounts.aws` and of the client of Saleshandy's API. *After* a method
that yields or is used by `with` means after its last item or its block.
"""

import functools
import inspect
import io
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import GeneratorType, ModuleType
from typing import Any, Literal

ADAPTERS = {
    "ApiKeySecret": "api_key",
    "DynamoLedger": "ledger",
    "EventBus": "events",
    "InboxBucket": "uploads",
    "LedgerReader": "ledger",
    "NotificationTopic": "notifications",
    "SaleshandyClient": "saleshandy",
    "ReportsBucket": "reports",
    "TrackImport": "executions",
}
"""How the points of a class begin; those of another class begin with its own name."""

_RULE = "rule.json"
_HANG_SECONDS = 3600


class FaultError(Exception):
    """What a rule raises in a function."""


@dataclass(frozen=True, slots=True)
class Rule:
    """End `function` at the `nth` to `nth + times - 1` time that it comes to `point`.

    Times are counted over all processes together, from the moment the rule is laid down.
    """

    function: str
    point: str
    when: Literal["before", "after"] = "after"
    how: Literal["kill", "raise", "hang"] = "kill"
    nth: int = 1
    times: int = 1


@dataclass(frozen=True, slots=True)
class ActiveRule:
    """A rule that is in effect."""

    rule: Rule
    folder: Path

    def fired(self) -> int:
        """Count how often it has ended a function."""
        return sum(name.is_file() for name in self._times(self.rule.nth))

    def remove(self) -> None:
        """End no function any more."""
        (self.folder / _RULE).unlink()

    def _times(self, first: int) -> Iterator[Path]:
        end = self.rule.nth + self.rule.times
        return (self.folder / str(number) for number in range(first, end))

    def reached(self) -> bool:
        """Count one coming to the point; say whether it is one to end the function at."""
        for number, name in enumerate(self._times(1), start=1):
            try:
                name.touch(exist_ok=False)
            except FileExistsError:
                continue
            return number >= self.rule.nth
        return False


def activate(folder: Path, rule: Rule) -> ActiveRule:
    """Write a rule to the folder that the processes of the functions watch."""
    folder.mkdir(parents=True, exist_ok=True)
    laid = ActiveRule(rule, Path(tempfile.mkdtemp(dir=folder)))
    text = laid.folder / "text"
    text.write_text(json.dumps(asdict(rule)))
    text.rename(laid.folder / _RULE)
    return laid


# ── In the processes of the functions ────────────────────────────────────────────────────────────


def watch(folder: Path, function: str) -> None:
    """Apply the rules in a folder at each point that this process, running `function`, reaches."""
    sys.meta_path.insert(0, _Finder(_Points(folder, function)))


@dataclass(frozen=True, slots=True)
class _Points:
    """The points of one process."""

    folder: Path
    function: str

    def reached(self, point: str, when: str) -> None:
        """Do what a rule says, where one does."""
        for laid in self._laid():
            rule = laid.rule
            if (rule.function, rule.point, rule.when) != (self.function, point, when):
                continue
            if laid.reached():
                _end(rule)

    def _laid(self) -> Iterator[ActiveRule]:
        try:
            folders = list(self.folder.iterdir())
        except FileNotFoundError:
            return
        for folder in folders:
            try:
                rule = Rule(**json.loads((folder / _RULE).read_text()))
            except FileNotFoundError:
                continue  # Not laid down yet, or taken up.
            yield ActiveRule(rule, folder)


def _end(rule: Rule) -> None:
    if rule.how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if rule.how == "raise":
        raise FaultError(f"{rule.when} {rule.point}")
    time.sleep(_HANG_SECONDS)


class _Finder:
    """Finds the modules of the adapters as usual, and wraps their classes once they are run."""

    def __init__(self, points: _Points) -> None:
        self._points = points

    def find_spec(self, name: str, path: Any, target: Any = None) -> ModuleSpec | None:  # noqa: ANN401  as the protocol has it
        if name != "email_accounts.saleshandy.client" and not name.startswith(
            "email_accounts.aws."
        ):
            return None
        spec = PathFinder.find_spec(name, path, target)
        if spec and spec.loader:
            run = spec.loader.exec_module

            def run_and_wrap(module: ModuleType) -> None:
                run(module)
                _wrap_classes(module, self._points)

            spec.loader.exec_module = run_and_wrap  # type: ignore[method-assign]
        return spec


def _wrap_classes(module: ModuleType, points: _Points) -> None:
    for name, kind in vars(module).items():
        if not inspect.isclass(kind) or kind.__module__ != module.__name__ or name[0] == "_":
            continue
        for method_name, method in list(vars(kind).items()):
            if inspect.isfunction(method) and method_name[0] != "_":
                point = f"{ADAPTERS.get(name, name)}.{method_name}"
                setattr(kind, method_name, _wrapped(method, point, points))


def _wrapped(method: Callable[..., Any], point: str, points: _Points) -> Callable[..., Any]:
    @functools.wraps(method)
    def wrapped(*arguments: Any, **named: Any) -> Any:  # noqa: ANN401  whatever the method takes
        points.reached(point, "before")
        result = method(*arguments, **named)
        if isinstance(result, GeneratorType):
            return _drained(result, point, points)
        # A file is one too, but is not read to its end in one block.
        if isinstance(result, AbstractContextManager) and not isinstance(result, io.IOBase):
            return _left(result, point, points)
        points.reached(point, "after")
        return result

    return wrapped


def _drained(items: Generator[Any], point: str, points: _Points) -> Generator[Any]:
    yield from items
    points.reached(point, "after")


@contextmanager
def _left(
    manager: AbstractContextManager[Any], point: str, points: _Points
) -> Generator[Any, None, None]:
    with manager as value:
        yield value
    points.reached(point, "after")
