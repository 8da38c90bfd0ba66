"""The page a person opens: one self-contained HTML file, made of the answer's counts.

It holds no row but the first that need care, so it is as quick for a million rows as for ten. It
needs no network and no script to be read; what comes from outside is text in it, never markup,
and its own policy forbids it to load or run anything that is not in it.
"""

import base64
import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from email_accounts.delivery.message import (
    MEANINGS,
    ImportResult,
    again,
    counted_as,
    moment,
    rows_of,
    title_of,
)
from email_accounts.delivery.outcomes import Outcome, RowOutcome
from email_accounts.delivery.summary import Counts, Group, Summary, most_frequent
from email_accounts.models.causes import UNKNOWN, Cause
from email_accounts.text.display import one_line

if TYPE_CHECKING:
    from jinja2 import Template
    from markupsafe import Markup

_FOLDER = Path(__file__).parent
_NAMES_SHOWN = 12
_SLIMMEST = 0.6
_LONGEST_REASON = 300
_GOOD = (Outcome.CONNECTED, Outcome.ALREADY_CONNECTED)
_LINK = re.compile(r"https://[^\s,;()]*[^\s,;().]")
_PROVIDERS = {
    "gmail": "Gmail",
    "gsuite": "Google Workspace",
    "microsoft": "Outlook.com",
    "o365": "Microsoft 365",
    "yahoo": "Yahoo",
    "zoho": "Zoho",
    "godaddy": "GoDaddy",
    "yandex": "Yandex",
    "sendgrid": "SendGrid",
    "other": "Other servers",
}


@dataclass(frozen=True, slots=True)
class _Slice:
    """One outcome in a bar; `x` and `width` are parts of a hundred."""

    outcome: str
    name: str
    rows: int
    share: str
    meaning: str
    x: float
    width: float


@dataclass(frozen=True, slots=True)
class _Bar:
    """The outcomes of what bears a name."""

    name: str
    said: str
    slices: tuple[_Slice, ...]


def page(answer: ImportResult) -> str:
    """Write the page."""
    summary = answer.summary
    places = {_key(group.cause): at for at, group in enumerate(summary.groups, 1)}
    return _template().render(
        answer=answer,
        upload=answer.imported.upload,
        received=moment(answer.imported.received_at),
        bar_of_all=_slices(summary.outcomes),
        groups=[_described(group) for group in summary.groups],
        warnings=[warning.text for warning in summary.warnings],
        rows=[_row(row, places) for row in summary.rows],
        shown=len(summary.rows),
        missing=summary.needs_attention - len(summary.rows),
        providers=list(_bars(summary.providers, _PROVIDERS)),
        domains=list(_bars(summary.domains, {})),
        domains_left=_left(summary),
        send_again=again(answer),
    )


def _key(cause: Cause) -> tuple[str, str]:
    return cause.code, cause.title


def _described(group: Group) -> dict[str, object]:
    said = one_line(group.reason, _LONGEST_REASON)
    return {
        "cause": group.cause,
        "title": title_of(group),
        "outcome": group.outcome,
        "rows": group.rows,
        "said": "" if group.outcome is Outcome.REJECTED or group.cause is UNKNOWN else said,
        "where": rows_of(group),
    }


def _row(row: RowOutcome, places: dict[tuple[str, str], int]) -> dict[str, object]:
    return {
        "place": row.place,
        "address": row.address,
        "outcome": row.outcome,
        "reason": row.reason if row.outcome is not Outcome.REJECTED else "",
        "causes": [(places.get(_key(cause)), cause.title) for cause in row.causes],
    }


def _bars(table: dict[str, Counts], names: dict[str, str]) -> Iterator[_Bar]:
    for name, counts in most_frequent(table, _NAMES_SHOWN):
        good = sum(counts[outcome] for outcome in _GOOD)
        said = f"{good:,} of {counts.total():,}"
        yield _Bar(names.get(name, name), said, _slices(counts))


def _left(summary: Summary) -> str:
    """Say what of the domains is not shown."""
    hidden = len(summary.domains) - _NAMES_SHOWN
    if hidden <= 0:
        return ""
    others = "and others " if summary.other_domains else ""
    return f"{counted_as(hidden, 'more domain', 'more domains')} {others}in outcome.csv."


def _slices(counts: Counts) -> tuple[_Slice, ...]:
    """Return the slices of a bar, none too slim to be seen."""
    total = counts.total()
    kinds = [outcome for outcome in Outcome if counts[outcome]]
    wide = {outcome: max(100 * counts[outcome] / total, _SLIMMEST) for outcome in kinds}
    scale = 100 / sum(wide.values()) if wide else 0
    found, x = [], 0.0
    for outcome in kinds:
        width = wide[outcome] * scale
        found.append(
            _Slice(
                outcome.value,
                outcome.replace("_", " "),
                counts[outcome],
                _share(counts[outcome], total),
                MEANINGS[outcome],
                round(x, 3),
                round(width, 3),
            )
        )
        x += width
    return tuple(found)


def _share(rows: int, total: int) -> str:
    """Return a percentage that is 0 or 100 only where it is exactly so."""
    share = 100 * rows / total
    if rows == total:
        return "100%"
    return "<1%" if share < 1 else f"{min(share, 99):.0f}%"


@cache
def _template() -> "Template":
    from jinja2 import Environment  # noqa: PLC0415  only who writes a page pays for it
    from markupsafe import Markup  # noqa: PLC0415  it comes with the one above

    style, script = (
        (_FOLDER / name).read_text(encoding="utf-8") for name in ("page.css", "page.js")
    )
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"shown": one_line, "linked": _linked}
    environment.globals |= {
        "style": Markup(style),  # noqa: S704  a file of this package
        "script": Markup(script),  # noqa: S704  a file of this package
        "policy": (
            f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; "
            "base-uri 'none'; form-action 'none'"
        ),
    }
    return environment.from_string((_FOLDER / "page.html.jinja").read_text(encoding="utf-8"))


def _hash(text: str) -> str:
    digest = hashlib.sha256(text.encode()).digest()
    return f"'sha256-{base64.b64encode(digest).decode()}'"


def _linked(fix: str) -> "Markup":
    """Make the web addresses in a text of ours links."""
    from markupsafe import Markup, escape  # noqa: PLC0415  it comes with Jinja2

    link = Markup('<a href="{0}" rel="noreferrer">{0}</a>')
    parts, at = Markup(), 0
    for found in _LINK.finditer(fix):
        parts += escape(fix[at : found.start()]) + link.format(found[0])
        at = found.end()
    return parts + escape(fix[at:])
