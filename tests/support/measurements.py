"""The page of what was measured: each run writes its own table."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs/measurements.md"


def filled(page: str, name: str, text: str) -> str:
    """Return the page with another text between the marks of a table."""
    marks = re.compile(rf"(<!-- table: {name} -->\n).*?(<!-- end -->)", re.DOTALL)
    return marks.sub(lambda found: found[1] + text + found[2], page)


def write(name: str, text: str) -> None:
    """Write a table into the page."""
    PAGE.write_text(filled(PAGE.read_text(encoding="utf-8"), name, text), encoding="utf-8")
