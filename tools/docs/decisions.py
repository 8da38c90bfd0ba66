"""Lists the decisions in docs/decisions/README.md: `make docs`."""

import re
from dataclasses import dataclass
from pathlib import Path

from tools.docs.parts import with_parts

FOLDER = Path(__file__).parents[2] / "docs/decisions"
PAGE = FOLDER / "README.md"
_FORM = re.compile(
    r"# (?P<number>\d+) · (?P<title>.+)\n\n"
    r"Status: (?P<status>accepted|superseded(?: in part)? by \d+(?: and \d+)*) · "
    r"(?P<date>\d{4}-\d\d-\d\d)\n\n(?P<text>.+)",
    re.DOTALL,
)


@dataclass(frozen=True, slots=True)
class Decision:
    """A decision as its file has it; `superseded_by` are the numbers of later ones."""

    file: str
    number: int
    title: str
    status: str
    date: str
    text: str

    @property
    def superseded_by(self) -> list[int]:
        """Return the numbers of the decisions that its status names."""
        return [int(number) for number in re.findall(r"\d+", self.status)]

    @property
    def supersedes(self) -> list[int]:
        """Return the numbers of the decisions that it says it supersedes."""
        sentences = re.findall(r"Supersedes ([^.]+)\.", self.text)
        return [int(number) for one in sentences for number in re.findall(r"\d+", one)]


def decisions() -> list[Decision]:
    """Read all decisions in their order; ValueError names the file of another form."""
    found = []
    for file in sorted(FOLDER.glob("[0-9]*.md")):
        parts = _FORM.fullmatch(file.read_text("utf-8"))
        if not parts:
            raise ValueError(f"{file.name} is not of the form that docs/decisions/README.md shows")
        number, *others = parts.groups()
        found.append(Decision(file.name, int(number), *others))
    return found


def renewed(page: str) -> str:
    """Return the page with its index as the files have it."""
    return with_parts(page, {"decisions": _index})


def _index() -> str:
    files = {one.number: one.file for one in decisions()}
    index = ""
    for one in decisions():
        status = f" ({_linked(one.status, files)})" if one.superseded_by else ""
        index += f"{one.number}. [{one.title}]({one.file}){status}\n"
    return index


def _linked(status: str, files: dict[int, str]) -> str:
    return re.sub(r"\d+", lambda found: f"[{found[0]}]({files[int(found[0])]})", status)


if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text("utf-8")), "utf-8")
