"""The decisions: numbered, each with a status, and listed."""

import re
from pathlib import Path

import pytest

from tools.docs.decisions import PAGE, Decision, decisions, renewed

ROOT = Path(__file__).parents[2]
_FOLDERS = ("cli", "deployment", "functions", "layers", "local", "statemachines", "tests")
CODE = {
    str(file): file.read_text("utf-8")
    for file in (
        *(file for folder in _FOLDERS for file in (ROOT / folder).rglob("*.*")),
        *(ROOT / name for name in ("template.yaml", "Makefile")),
    )
    if file.suffix in (".py", ".json", ".in", ".yaml", "")
}


def test_the_index_is_written_anew() -> None:
    """`make docs` would change nothing."""
    page = PAGE.read_text("utf-8")
    assert renewed(page) == page


def test_decisions_are_numbered() -> None:
    """Numbers have no gap, and a file is named by its number."""
    found = decisions()
    assert [one.number for one in found] == list(range(1, len(found) + 1))
    assert [one.file[:4] for one in found] == [f"{one.number:03}-" for one in found]


def test_what_is_superseded_names_what_supersedes_it() -> None:
    """The status of a decision and the text of a later one say the same."""
    found = decisions()
    by_status = {(one.number, later) for one in found for later in one.superseded_by}
    by_text = {(earlier, one.number) for one in found for earlier in one.supersedes}
    assert by_status == by_text
    assert all(earlier < later for earlier, later in by_status)


@pytest.mark.parametrize(
    "decision", [one for one in decisions() if one.status == "accepted"], ids=lambda one: one.file
)
def test_what_a_decision_names_is_there(decision: Decision) -> None:
    """Its parameters exist, and the files, functions and methods of its way back."""
    decided, _, way_back = decision.text.partition("*Way back:*")
    chosen = re.sub(r"(?:Thought of|Considered|Also thought of).*", "", decided, flags=re.DOTALL)
    names = re.findall(r"`([A-Z][A-Za-z]+)`", chosen)
    names += re.findall(r"`([\w/.]+)(?:=\w+)?`", way_back)
    assert [name for name in names if not _exists(name)] == []


def _exists(name: str) -> bool:
    if any(file.endswith(f"/{name}") for file in CODE):
        return True
    wanted = [rf"\b{name}\b"]
    if "." in name:
        holder, _, member = name.partition(".")
        wanted = [rf"^class {holder}\b", rf"^    (?:def )?{member}\b"]
    return any(all(re.search(one, text, re.MULTILINE) for one in wanted) for text in CODE.values())
