"""Renews the tables of account-files.md from the code: `make docs`."""

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from email_accounts.intake.layouts import (
    ADDRESS,
    ALIASES,
    FULL_NAME,
    IGNORED,
    LAYOUTS,
    OPTIONAL_HEADERS,
    PASSWORD,
)
from email_accounts.intake.rows import ENCRYPTION_AND_PORT, GOOGLE_SIGN_IN, MICROSOFT_SIGN_IN
from email_accounts.intake.settings import (
    ENCRYPTION_NAMES,
    PRESETS,
    PROVIDER_NAMES,
    PROVIDER_OF_DOMAIN,
    ServerPreset,
)
from email_accounts.models.account import RULES, problem_with, sendgrid_problems
from email_accounts_cli.template import IF_BLANK

PAGE = Path(__file__).parents[2] / "docs/account-files.md"
_TABLE = re.compile(r"(<!-- table: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
_MEANING = {
    ADDRESS: "both addresses",
    FULL_NAME: "first and last name, parted at the first blank",
    PASSWORD: "both passwords",
}


def renewed(page: str) -> str:
    """Return the page with its tables as the code has them."""
    return _TABLE.sub(lambda found: found[1] + _TABLES[found[2]]() + found[3], page)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _code(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)


def _fields() -> str:
    return _table(("field", "if blank"), ((f"`{field}`", IF_BLANK[field]) for field in RULES))


def _layouts() -> str:
    rows = (
        (name, _code(columns), _code(OPTIONAL_HEADERS.get(name, ())))
        for name, columns in LAYOUTS.items()
    )
    return _table(("written by", "columns", "often besides"), rows)


def _aliases() -> str:
    rows = (
        (_MEANING.get(target, f"`{target}`"), _code(names)) for target, names in ALIASES.items()
    )
    return _table(("what it is", "names"), rows)


def _ignored() -> str:
    return f"{_code(IGNORED)}\n"


def _providers() -> str:
    rows = ((provider, _code(names)) for provider, names in _by_value(PROVIDER_NAMES))
    return _table(("becomes", "written as"), rows)


def _domains() -> str:
    rows = ((provider, _code(domains)) for provider, domains in _by_value(PROVIDER_OF_DOMAIN))
    return _table(("provider", "addresses that end in"), rows)


def _encryptions() -> str:
    rows = ((name, _code(names)) for name, names in _by_value(ENCRYPTION_NAMES))
    return _table(("becomes", "written as"), rows)


def _by_value(names: dict[str, str]) -> Iterable[tuple[str, list[str]]]:
    return (
        (f"`{value}`", [name for name in names if names[name] == value])
        for value in dict.fromkeys(names.values())
    )


def _presets() -> str:
    rows = (
        (f"`{provider}`", _side(preset.smtp), _side(preset.imap))
        for provider, preset in PRESETS.items()
    )
    return _table(("provider", "SMTP", "IMAP"), rows)


def _side(side: ServerPreset) -> str:
    if not side.host:
        return "none: the row has to name one"
    ports = ", ".join(f"{port} with {encryption}" for encryption, port in side.ports.items())
    return f"`{side.host}` {ports}"


def _rules() -> str:
    fields_of: dict[tuple[str, str, str], list[str]] = {}
    problems = (*map(problem_with, RULES), *sendgrid_problems(()))
    for one in problems:
        fields_of.setdefault((one.code, one.message, one.fix), []).append(one.field)
    rows = (
        (f"`{code}`", _code(fields), message, fix)
        for (code, message, fix), fields in fields_of.items()
    )
    return _table(("code", "fields", "problem", "what to write"), rows)


def _warnings() -> str:
    warnings = (GOOGLE_SIGN_IN, MICROSOFT_SIGN_IN, ENCRYPTION_AND_PORT)
    return "".join(f"- {warning}.\n" for warning in warnings)


_TABLES: dict[str, Callable[[], str]] = {
    "fields": _fields,
    "layouts": _layouts,
    "aliases": _aliases,
    "ignored": _ignored,
    "providers": _providers,
    "domains": _domains,
    "encryptions": _encryptions,
    "presets": _presets,
    "rules": _rules,
    "warnings": _warnings,
}

if __name__ == "__main__":
    PAGE.write_text(renewed(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
