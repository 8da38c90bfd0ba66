"""CONTRIBUTING.md: what it says to add is all that has to be added."""

import ast
import re
from pathlib import Path

import pytest

from email_accounts.intake.layouts import LAYOUTS
from tests.support.files import opened

PAGE = Path(__file__).parents[2] / "CONTRIBUTING.md"


def example(name: str) -> str:
    """Return the code of an example."""
    found = re.search(
        rf"<!-- example: {name} -->\s+```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL
    )
    assert found
    return found[1].strip()


def test_the_command_for_some_tests_selects_some() -> None:
    """What `-k` asks for is in the name of a test of that file."""
    [(file, word)] = re.findall(r"pytest (\S+) -k (\w+)", PAGE.read_text("utf-8"))
    assert re.search(rf"def test_\w*{word}", (PAGE.parent / file).read_text("utf-8"))


def test_a_layout_is_added_as_described(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the one entry the layout is known by its name, and all of its columns are used."""
    [(name, line)] = ast.literal_eval(f"{{{example('layout')}}}").items()
    content = f"{line}\n".encode()
    assert opened(content).layout != name
    monkeypatch.setitem(LAYOUTS, name, tuple(line.split(",")))
    file = opened(content)
    assert (file.layout, file.unknown_columns) == (name, ())


def test_a_provider_is_added_as_described(monkeypatch: pytest.MonkeyPatch) -> None:
    """After the one entry people's names for it and its servers are understood."""
    module = pytest.importorskip("email_accounts.models.providers")
    provider = eval(example("provider"), vars(module).copy())  # noqa: S307  our own page
    assert module.provider_named(provider.name) is None
    monkeypatch.setattr(module, "PROVIDER_TABLE", (provider, *module.PROVIDER_TABLE))
    caches = [one for one in vars(module).values() if hasattr(one, "cache_clear")]
    for one in caches:
        one.cache_clear()
    try:
        assert module.provider_named(provider.name) == provider
        assert module.provider_of_domain(provider.domains[0]) == provider
        assert module.preset_of_host(provider.imap.host).port("ssl") == "993"
    finally:
        monkeypatch.undo()
        for one in caches:
            one.cache_clear()
