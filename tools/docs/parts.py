"""The generated parts of a page: from a comment such as `table: day` to the next `end`."""

import inspect
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import StrEnum

_PART = re.compile(r"(<!-- \w+: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


def with_parts(page: str, parts: Mapping[str, Callable[[], str]]) -> str:
    """Return the page with each part as the function of its name makes it."""
    return _PART.sub(lambda found: found[1] + parts[found[2]]() + found[3], page)


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table."""
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(map(str, line))} |\n" for line in lines)


def code(names: Iterable[str]) -> str:
    """Return names as code, with commas between."""
    return ", ".join(f"`{name}`" for name in names)


def codes(kind: type[StrEnum]) -> str:
    """Return a table of the codes of an enumeration and the docstrings below them."""
    rows = re.findall(r' = "(\w+)"\n    """(.+)"""\n', inspect.getsource(kind))
    if [one for one, _ in rows] != [*kind]:
        raise ValueError(f"a code of {kind.__name__} has no docstring")
    return table(("code", "meaning"), ((f"`{one}`", meaning) for one, meaning in rows))
