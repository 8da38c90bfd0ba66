"""The page as a text: what is in it, and what never is."""

import base64
import hashlib
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest

from email_accounts.delivery.outcomes import Outcome, RowOutcome
from email_accounts.delivery.page import page
from email_accounts.delivery.summary import Summary
from email_accounts.models.causes import WRONG_PASSWORD
from tests.support import answers
from tests.support.files import MARK

KINDS = (
    answers.clean,
    answers.sample,
    answers.refused,
    answers.stopped,
    answers.stuck,
    answers.hostile,
)


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
        """Return the values of an attribute wherever it stands."""
        return [
            value or "" for _, found in self.elements for key, value in found.items() if key == name
        ]


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_needs_nothing_from_elsewhere(kind: answers.Kind) -> None:
    """No element loads anything, no handler runs, links lead to https only."""
    shown = Page(answers.told(kind).page)
    assert not {"img", "iframe", "object", "link", "base", "form"} & {
        tag for tag, _ in shown.elements
    }
    assert shown.attributes("src") == []
    assert shown.attributes("style") == []
    assert not [key for _, found in shown.elements for key in found if key.startswith("on")]
    assert all(re.match("https://|#cause-[0-9]", link) for link in shown.attributes("href"))


@pytest.mark.parametrize("kind", KINDS)
def test_the_policy_of_a_page_allows_its_own_style_and_script_alone(kind: answers.Kind) -> None:
    """By their hashes; nothing else is loaded or run, whoever wrote it."""
    html = answers.told(kind).page
    (policy,) = (
        found["content"] or ""
        for _, found in Page(html).elements
        if found.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy
    own = re.findall("<(?:style|script)>(.*?)</(?:style|script)>", html, re.DOTALL)
    assert own
    for text in own:
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy


@pytest.mark.parametrize("kind", KINDS)
def test_a_page_begins_as_the_mail_does(kind: answers.Kind) -> None:
    """The one headline of a page is the first line of the mail."""
    told = answers.told(kind)
    first_line = told.message.mail.partition("\n")[0]
    assert re.findall("<h1>(.*?)</h1>", told.page) == [first_line]


def test_a_page_of_a_clean_import_asks_for_nothing() -> None:
    """No causes, no rows, no script."""
    shown = Page(answers.told(answers.clean).page)
    assert not any(one.startswith("cause-") for one in shown.attributes("id"))
    assert {"table", "script"} & {tag for tag, _ in shown.elements} == set()


def test_no_text_from_outside_is_markup_in_a_page() -> None:
    """Scripts, closed elements, templates and invisible characters are shown as what they are."""
    html = answers.told(answers.hostile).page
    shown = Page(html)
    assert [tag for tag, _ in shown.elements].count("script") == 1
    assert "<script>document.title='run'</script>" in shown.text
    assert "{{ 7 * 7 }}{% raw %}--><!--;=1+1 =2+2" in shown.text
    assert "?moc.live? ??" in shown.text
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u200e\u200f\u202a-\u202e\u2066-\u2069]", html)
    assert "x" * 1000 not in html
    assert MARK not in html


def test_a_page_does_not_grow_with_the_file() -> None:
    """It holds the first rows that need care, and says how many more there are."""
    small, large = (page(answers.large(rows)) for rows in (20_000, 60_000))
    assert Page(small).text.count("robin.stone") == 500
    assert len(large) - len(small) < 5_000
    assert "These are the first 500; 500 more stand in outcome.csv." in Page(small).text
    assert "and others in outcome.csv" in Page(large).text


def test_no_slice_of_a_bar_is_too_slim_to_be_seen() -> None:
    """One row among many is one of them all the same; a bar is never longer than itself."""
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
