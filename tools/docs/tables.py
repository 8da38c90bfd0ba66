"""Renews the tables of account-files.md and codes.md from the code: `make docs`."""

from collections.abc import Callable
from pathlib import Path

from email_accounts.intake.layouts import (
    ADDRESS,
    ALIASES,
    FULL_NAME,
    IGNORED,
    LAYOUTS,
    PASSWORD,
)
from email_accounts.intake.settings import (
    ENCRYPTION_NAMES,
)
from email_accounts.models.account import PROBLEMS, RULES, WarningCode
from email_accounts.models.imports import ReasonCode
from email_accounts.models.providers import (
    OTHER,
    PROVIDER_TABLE,
    Provider,
    ServerPreset,
    providers,
)
from email_accounts_cli.recovery import WhyNot
from email_accounts_cli.template import IF_BLANK
from email_accounts_cli.watch import Stage
from email_accounts_cli.workspaces import KeyProblem
from tools.docs.parts import code, codes, table, with_parts

PAGES = [Path(__file__).parents[2] / "docs" / name for name in ("account-files.md", "codes.md")]
_MEANING = {
    ADDRESS: "both addresses",
    FULL_NAME: "first and last name, parted at the first blank",
    PASSWORD: "both passwords",
}


def renewed(page: str) -> str:
    """Return a page with its tables as the code has them."""
    return with_parts(page, TABLES)


def _layouts() -> str:
    rows = ((name, code(columns)) for name, columns in LAYOUTS.items())
    return table(("written by", "columns"), rows)


def _aliases() -> str:
    rows = ((_MEANING.get(target, f"`{target}`"), code(names)) for target, names in ALIASES.items())
    return table(("what it is", "names"), rows)


def _providers() -> str:
    rows = ((f"`{one.code}`", code(one.aliases)) for one in providers().values() if one.aliases)
    return table(("becomes", "written as"), rows)


def _domains() -> str:
    rows = (
        (_named(one), code(f"@{name}" for name in one.domains))
        for one in PROVIDER_TABLE
        if one.domains
    )
    return table(("provider", "addresses that end in"), rows)


def _encryptions() -> str:
    rows = ((f"`{name}`", code(names)) for name, names in ENCRYPTION_NAMES.items())
    return table(("becomes", "written as"), rows)


def _presets() -> str:
    known = (one for one in providers().values() if one.smtp.host)
    rows = ((_named(one), _side(one.smtp), _side(one.imap)) for one in known)
    return table(("provider", "SMTP", "IMAP"), rows)


def _found() -> str:
    names = (one.name.partition(" (")[0] for one in PROVIDER_TABLE if one.mx)
    return f"{', '.join(dict.fromkeys(names))}\n"


def _named(one: Provider) -> str:
    is_code = one.code != OTHER and providers()[one.code] is one
    return f"`{one.code}`" if is_code else one.name


def _side(side: ServerPreset) -> str:
    if not side.host:
        return "none: the row has to name one"
    return f"`{side.host}` {', '.join(f'{port} {name}' for name, port in side.ports)}"


TABLES: dict[str, Callable[[], str]] = {
    "fields": lambda: table(
        ("field", "if blank"), ((f"`{field}`", IF_BLANK[field]) for field in RULES)
    ),
    "layouts": _layouts,
    "aliases": _aliases,
    "ignored": lambda: f"{code(IGNORED)}\n",
    "providers": _providers,
    "domains": _domains,
    "encryptions": _encryptions,
    "presets": _presets,
    "found": _found,
    "rules": lambda: f"{code(PROBLEMS)}\n",
    "warnings": lambda: f"{code(WarningCode)}\n",
    "reasons": lambda: codes(ReasonCode),
    "stages": lambda: codes(Stage),
    "why_not": lambda: codes(WhyNot),
    "key_problems": lambda: codes(KeyProblem),
}

if __name__ == "__main__":
    for one in PAGES:
        one.write_text(renewed(one.read_text(encoding="utf-8")), encoding="utf-8")
