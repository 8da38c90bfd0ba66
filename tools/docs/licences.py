"""Lists in licences.md what is handed on with this project: `make docs`."""

import re
import tomllib
from collections.abc import Iterable
from importlib.metadata import PackageNotFoundError, metadata, requires
from pathlib import Path

from tools.docs.parts import table, with_parts

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/licences.md"
LAYER = ROOT / "layers/email_accounts"
_NAME = re.compile(r"[\w.-]+")
_OF_A_CLASSIFIER = "License :: OSI Approved :: "
_LONGEST_NAME = 40
"""Characters of a licence's name; what is longer is its text."""


def renewed(page: str) -> str:
    """Return the page with its tables as the locks and the installed packages have them."""
    return with_parts(page, _PARTS)


def of_the_functions() -> list[str]:
    """Return the packages that are locked for the layer."""
    locks = (LAYER / name for name in ("requirements.txt", "markupsafe.txt"))
    return sorted(
        name
        for lock in locks
        for name in re.findall(r"^([\w.-]+)==", lock.read_text(encoding="utf-8"), re.MULTILINE)
    )


def of_the_command_line() -> list[str]:
    """Return the packages that come with the wheel, as far as this computer needs them."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        ahead = list(tomllib.load(file)["project"]["dependencies"])
    found: set[str] = set()
    while ahead:
        name = normal(ahead.pop())
        if name in found:
            continue
        try:
            needed = requires(name) or []
        except PackageNotFoundError:
            continue  # another system's
        found.add(name)
        ahead += [one for one in needed if "extra ==" not in one]
    return sorted(found)


def licence_of(name: str) -> str:
    """Return the licence that a package says it is under."""
    about = metadata(name)
    fields = ("License-Expression", "License")
    for named in (str(one) for field in fields for one in about.get_all(field) or ()):
        if 0 < len(named) <= _LONGEST_NAME and named != "Dual License":
            return named
    classifiers = about.get_all("Classifier") or ()
    return " or ".join(
        one.removeprefix(_OF_A_CLASSIFIER) for one in classifiers if _OF_A_CLASSIFIER in one
    )


def normal(requirement: str) -> str:
    """Return the name of a package as all its spellings are compared."""
    found = _NAME.match(requirement)
    return re.sub(r"[-_.]+", "-", found[0]).lower() if found else ""


def _table(names: Iterable[str]) -> str:
    return table(("package", "licence"), ((name, licence_of(name)) for name in names))


_PARTS = {
    "functions": lambda: _table(of_the_functions()),
    "commands": lambda: _table(of_the_command_line()),
}

if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
