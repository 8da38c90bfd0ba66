"""The list of licences: whole, and as the packages have it."""

import re
import tomllib
from importlib.metadata import requires

from tools.docs.licences import LAYER, PAGE, ROOT, licence_of, of_the_command_line, renewed

TEXT = PAGE.read_text(encoding="utf-8")


def listed(heading: str) -> dict[str, str]:
    """Return packages and licences below a heading."""
    section = TEXT.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| ([a-z][\w.-]+) \| (.*) \|$", section, re.MULTILINE)[1:])


def test_the_page_is_written_anew() -> None:
    """`make docs` would change nothing."""
    assert renewed(TEXT) == TEXT


def test_every_locked_package_of_the_functions_is_listed() -> None:
    """Each line of the layer's locks that names a package and a version, and no other."""
    locked = set()
    for lock in LAYER.glob("*.txt"):
        lines = lock.read_text(encoding="utf-8").splitlines()
        locked |= {line.partition("==")[0] for line in lines if re.match(r"\w.*==", line)}
    assert len(locked) > 10
    assert listed("In the functions").keys() == locked


def test_all_that_the_command_line_needs_is_listed() -> None:
    """What the wheel asks for, and what that asks for on every computer."""
    with (ROOT / "pyproject.toml").open("rb") as file:
        project = tomllib.load(file)["project"]
    names = listed("With the command line").keys()
    needed = [*project["dependencies"]]
    needed += [one for name in names for one in requires(name) or [] if ";" not in one]
    assert {re.split("[^A-Za-z0-9_-]", one)[0].lower().replace("_", "-") for one in needed} <= names
    assert of_the_command_line() == sorted(names)


def test_every_licence_is_named() -> None:
    """A package without one would have to be looked into before it is handed on."""
    licences = listed("In the functions") | listed("With the command line")
    assert all(len(licence) > 2 for licence in licences.values())


def test_a_licence_is_named_by_the_best_that_a_package_says() -> None:
    """Its expression, else a short name, else its classifiers."""
    assert licence_of("markupsafe") == "BSD-3-Clause"
    assert licence_of("requests") == "Apache-2.0"
    assert licence_of("python-dateutil") == "BSD License or Apache Software License"
