"""The page for people: one self-contained HTML file, made from the counts of a result.

It has grouped causes and only the first rows that need attention, so it is short for any file. It
has no script and needs no network. Text from outside is escaped, and the page's own policy forbids
it to load or run anything.
"""

import base64
import hashlib
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from email_accounts.delivery.message import failure_of, meaning_of, rows_of, title_of
from email_accounts.delivery.outcomes import Evidence, Outcome, RowOutcome
from email_accounts.delivery.result import ImportResult, counted, label
from email_accounts.delivery.summary import Counts, Group, Summary, most_frequent
from email_accounts.models.causes import UNKNOWN
from email_accounts.models.providers import providers
from email_accounts.text.display import moment, one_line

if TYPE_CHECKING:
    from jinja2 import Template
    from markupsafe import Markup

_FOLDER = Path(__file__).parent
_CAUSES_SHOWN = 10
_WARNINGS_SHOWN = 5
_NAMES_SHOWN = 8
_SLIMMEST = 0.6
_LONGEST_REASON = 300
_GOOD = (Outcome.CONNECTED, Outcome.ALREADY_CONNECTED)
_LINK = re.compile(r"https://[^\s,;()]*[^\s,;().]")


def page(result: ImportResult) -> str:
    """Write the page."""
    summary = result.summary
    groups = summary.groups[:_CAUSES_SHOWN]
    places = {(one.cause.code, one.cause.title): at for at, one in enumerate(groups, 1)}
    names = {code: provider.name for code, provider in providers().items()}
    return _template().render(
        result=result,
        upload=result.imported.upload,
        received=moment(result.imported.received_at),
        row_count=counted(result.rows, "row") if result.rows else "",
        failure=failure_of(result),
        bar_of_all=_slices(summary.outcomes, summary),
        groups=[_described(group, result.failure_reason) for group in groups],
        more_causes=_more(len(summary.groups) - _CAUSES_SHOWN, "cause"),
        warnings=[warning.text for warning in summary.warnings[:_WARNINGS_SHOWN]],
        more_warnings=_more(len(summary.warnings) - _WARNINGS_SHOWN, "warning"),
        rows=[_row(row, places, result.failure_reason) for row in summary.rows],
        more_rows=_more(summary.needs_attention - len(summary.rows), "row"),
        providers=list(_bars(summary.providers, names)),
        more_providers=_more(len(summary.providers) - _NAMES_SHOWN, "provider"),
        domains=list(_bars(summary.domains, {})),
        more_domains=_more(len(summary.domains) - _NAMES_SHOWN, "domain", summary.other_domains),
        links={
            "outcome": (result.link and result.link.outcome) or result.consoles.get("outcome"),
            "summary": result.consoles.get("summary"),
        },
    )


def _more(hidden: int, what: str, others: Counts | None = None) -> str:
    """Say how many things are not shown; "" if all are."""
    if hidden <= 0:
        return ""
    least = "over " if others else ""
    are = "is" if hidden == 1 and not others else "are"
    return f"{least}{counted(hidden, f'more {what}')} {are} in outcome.csv.".capitalize()


def _described(group: Group, failure_reason: str) -> dict[str, object]:
    invalid = group.outcome is Outcome.REJECTED and not group.cause.certain
    is_shown = not invalid and group.cause is not UNKNOWN
    said = group.reason if is_shown and group.reason != failure_reason else ""
    return {
        "cause": group.cause,
        "title": title_of(group),
        "outcome": group.outcome,
        "name": label(group.outcome, group.rows),
        "rows": group.rows,
        "said": one_line(said, _LONGEST_REASON),
        "where": rows_of(group),
    }


def _row(
    row: RowOutcome, places: dict[tuple[str, str], int], failure_reason: str
) -> dict[str, object]:
    invalid = row.outcome is Outcome.REJECTED and row.evidence is not Evidence.SIGN_IN
    is_shown = not invalid and row.reason != failure_reason
    return {
        "place": row.place,
        "address": row.address,
        "outcome": row.outcome,
        "name": label(row.outcome, 1),
        "reason": row.reason if is_shown else "",
        "causes": [(places.get((one.code, one.title)), one.title) for one in row.causes],
    }


def _bars(table: Mapping[str, Counts], names: Mapping[str, str]) -> Iterator[dict[str, object]]:
    for name, counts in most_frequent(table, _NAMES_SHOWN):
        good = sum(counts[outcome] for outcome in _GOOD)
        said = f"{good:,} of {counts.total():,}"
        yield {"name": names.get(name, name), "said": said, "slices": _slices(counts)}


def _slices(counts: Counts, summary: Summary | None = None) -> list[dict[str, object]]:
    """Return the slices of a bar, none too slim to be seen; with a summary, what they mean.

    Of each, `x` and `width` are parts of a hundred.
    """
    total = counts.total()
    kinds = [outcome for outcome in Outcome if counts[outcome]]
    wide = {outcome: max(100 * counts[outcome] / total, _SLIMMEST) for outcome in kinds}
    scale = 100 / sum(wide.values()) if wide else 0
    found, x = list[dict[str, object]](), 0.0
    for outcome in kinds:
        rows, width = counts[outcome], wide[outcome] * scale
        found.append(
            {
                "outcome": outcome.value,
                "name": label(outcome, rows),
                "rows": rows,
                "share": _share(rows, total),
                "meaning": meaning_of(outcome, summary) if summary else "",
                "x": round(x, 3),
                "width": round(width, 3),
            }
        )
        x += width
    return found


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

    style = (_FOLDER / "page.css").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters |= {"shown": one_line, "linked": _linked}
    environment.globals |= {
        "style": Markup(style),  # noqa: S704  a file of this package
        "policy": (
            f"default-src 'none'; style-src {_hash(style)}; base-uri 'none'; form-action 'none'"
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
