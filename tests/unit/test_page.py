"""The page as a text: what is in it, and what never is."""

import base64
import hashlib
import json
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest

from email_accounts.delivery.outcomes import Outcome, RowOutcome
from email_accounts.delivery.page import page
from email_accounts.delivery.summary import ROWS_KEPT, Summary
from email_accounts.models.causes import UNKNOWN, WRONG_PASSWORD
from tests.support import answers
from tests.support.files import MARK

KINDS = answers.WITH_PAGE


class Page(HTMLParser):
    """A page taken apart: its texts, its elements, and what its policy allows."""

    def __init__(self, html: str) -> None:
        """Read a page."""
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(html)
        self.close()
        self.text = " ".join(" ".join(self.texts).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        """Note a text."""
        self.texts.append(data)

    def attributes(self, name: str) -> list[str]:
        """Return the values of an attribute wherever it stays."""
        return [
            value or "" for _, found in self.elements for key, value in found.items() if key == name
        ]


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_needs_nothing_from_elsewhere(kind: answers.Kind) -> None:
    """No element loads anything, no handler runs, links lead to https only.

    Its policy allows its own style alone, by its hash; no matter who wrote anything else.
    """
    html = answers.delivered(kind).page
    shown = Page(html)
    assert not {"img", "iframe", "object", "link", "base", "form"} & {
        tag for tag, _ in shown.elements
    }
    assert shown.attributes("src") == []
    assert shown.attributes("style") == []
    assert not [key for _, found in shown.elements for key in found if key.startswith("on")]
    assert all(re.match("https://|#cause-[0-9]", link) for link in shown.attributes("href"))
    (policy,) = (
        found["content"] or ""
        for _, found in shown.elements
        if found.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    (style,) = re.findall("<style>(.*?)</style>", html, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert f"'sha256-{digest}'" in policy


def test_a_page_of_a_clean_import_asks_for_nothing() -> None:
    """No causes and no rows."""
    shown = Page(answers.delivered(answers.clean).page)
    assert not any(one.startswith("cause-") for one in shown.attributes("id"))
    assert "table" not in {tag for tag, _ in shown.elements}


def test_no_text_from_outside_is_markup_in_a_page() -> None:
    """Scripts, closed elements, templates and invisible characters are shown as what they are."""
    html = answers.delivered(answers.hostile).page
    shown = Page(html)
    assert "script" not in {tag for tag, _ in shown.elements}
    assert "<script>document.title='run'</script>" in shown.text
    assert "{{ 7 * 7 }}{% raw %}--><!--;=1+1 =2+2" in shown.text
    assert "?moc.live? ??" in shown.text
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u200e\u200f\u202a-\u202e\u2066-\u2069]", html)
    assert "x" * 1000 not in html
    assert MARK not in html


def test_a_page_does_not_grow_with_the_file() -> None:
    """It has the first rows that need attention, and reports how many more there are."""
    small, large = (page(answers.large(rows)) for rows in (20_000, 60_000))
    assert Page(small).text.count("robin.stone") == ROWS_KEPT
    assert len(large) - len(small) < 5_000
    assert "970 more rows are in outcome.csv." in Page(small).text
    assert "Over 992 more domains are in outcome.csv." in Page(large).text


def test_a_page_shows_a_few_causes_and_counts_the_others() -> None:
    """Each of 25 reasons is a cause of its own; the page stays short."""
    summary = Summary()
    for number in range(2, 27):
        said = f"reason {chr(96 + number)}"
        summary.add(RowOutcome(number, "a@b.example", Outcome.FAILED, said, causes=(UNKNOWN,)))
    shown = Page(page(answers.answer(summary)))
    assert sum(one.startswith("cause-") for one in shown.attributes("id")) == 10
    assert re.search(r"\b1\d more causes are in outcome\.csv\.", shown.text)


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_says_whose_file_it_was_and_what_is_next(kind: answers.Kind) -> None:
    """The first line of the mail, the workspace, the number of rows if known, the next step."""
    answer = answers.delivered(kind)
    first_line = answer.message.mail.partition("\n")[0]
    assert re.findall("<h1>(.*?)</h1>", answer.page) == [first_line]
    document = json.loads(answer.message.document)
    text = Page(answer.page).text
    assert f"Workspace {document['workspace']} " in text
    rows = document["counts"]["rows"]
    assert bool(rows) == (f" {rows:,} row" in text)
    assert f"Next step {document['nextStep']['text']}" in text


def test_no_slice_of_a_bar_is_too_slim_to_be_seen() -> None:
    """One row among many is one of them anyway; a bar is never longer than itself."""
    summary = Summary()
    for number in range(2, 5_000):
        summary.add(RowOutcome(number, "a@b.example", Outcome.CONNECTED, ""))
    summary.add(RowOutcome(5_000, "a@b.example", Outcome.FAILED, "", causes=(WRONG_PASSWORD,)))
    html = page(answers.answer(summary))
    header = html[: html.index("</header>")]
    widths = [float(width) for width in re.findall('<rect.* width="([0-9.]+)"', header)]
    assert min(widths) > 0.5
    assert sum(widths) == pytest.approx(100, abs=0.01)
    assert "99%" in Page(header).text
    assert "&lt;1%" in header


def test_who_writes_no_page_does_not_pay_for_one() -> None:
    """Jinja2 is imported where a page is written, not where a function starts."""
    code = "import sys, email_accounts.lambda_runtime.container; sys.exit('jinja2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
