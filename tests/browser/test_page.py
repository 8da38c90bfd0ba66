"""The page in a real browser: readable, accessible, quick, and harmless."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, ViewportSize, expect

from email_accounts.delivery.page import page as page_of
from tests.support import answers
from tests.support.chromium import DESKTOP, Open

PHONE: ViewportSize = {"width": 360, "height": 740}
SMALLEST: ViewportSize = {"width": 320, "height": 568}
LARGE = 100_000
KINDS = {
    "clean": answers.clean,
    "sample": answers.sample,
    "refused": answers.refused,
    "stopped": answers.stopped,
    "stuck": answers.stuck,
    "hostile": answers.hostile,
}


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    """Make every kind of page once."""
    made = {name: answers.told(kind).page for name, kind in KINDS.items()}
    return made | {"large": page_of(answers.large(LARGE))}


def addresses(page: Page) -> list[str]:
    """Return the addresses of the rows that can be seen."""
    return page.locator("tbody tr:visible td.address").all_inner_texts()


@pytest.mark.parametrize(
    ("viewport", "scheme"), [(DESKTOP, "light"), (PHONE, "dark")], ids=["desktop", "phone"]
)
@pytest.mark.parametrize("kind", [*KINDS, "large"])
def test_axe_finds_nothing(
    pages: dict[str, str], opened: Open, kind: str, viewport: ViewportSize, scheme: str
) -> None:
    """Contrast, names, roles and order are right, on a light desk and on a dark phone."""
    page = opened(pages[kind], viewport=viewport, color_scheme=scheme)
    found = Axe().run(page)
    assert [(one["id"], one["nodes"]) for one in found.response["violations"]] == []
    assert len(found.response["passes"]) > 10


@pytest.mark.parametrize("kind", [*KINDS, "large"])
@pytest.mark.parametrize("viewport", [PHONE, SMALLEST], ids=["360", "320"])
def test_nothing_sticks_out_on_a_phone(
    pages: dict[str, str], opened: Open, kind: str, viewport: ViewportSize
) -> None:
    """No line has to be pushed sideways to be read, and the headline is seen at once."""
    page = opened(pages[kind], viewport=viewport)
    assert page.evaluate("document.documentElement.scrollWidth") == viewport["width"]
    if kind != "hostile":
        expect(page.get_by_role("heading", level=1)).to_be_in_viewport(ratio=1)


def test_a_search_shows_the_rows_that_hold_its_words(pages: dict[str, str], opened: Open) -> None:
    """In any column and any order; the number found is said."""
    page = opened(pages["sample"])
    assert len(addresses(page)) == 11
    page.get_by_label("Search").fill("south google")
    assert addresses(page) == ["remy.south21@south.example", "sam.rivers78@south.example"]
    expect(page.get_by_role("status")).to_have_text("2 of 11 rows")
    page.get_by_label("Search").fill("")
    assert len(addresses(page)) == 11
    expect(page.get_by_role("status")).to_have_text("")


@pytest.mark.parametrize("viewport", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_rows_are_sorted_by_any_column_with_the_keyboard(
    pages: dict[str, str], opened: Open, viewport: ViewportSize
) -> None:
    """Numbers as numbers; which way is told to those who do not see it."""
    page = opened(pages["sample"], viewport=viewport)
    header = page.get_by_role("columnheader", name="Address")
    header.get_by_role("button").press("Enter")
    expect(header).to_have_attribute("aria-sort", "ascending")
    upwards = addresses(page)
    assert upwards == sorted(upwards)
    header.get_by_role("button").press("Enter")
    expect(header).to_have_attribute("aria-sort", "descending")
    assert addresses(page) == sorted(upwards, reverse=True)
    page.get_by_role("button", name="Row").click()
    rows = page.locator("tbody td.number").all_text_contents()
    assert rows == sorted(rows, key=int)


def test_a_page_is_whole_without_script(pages: dict[str, str], opened: Open) -> None:
    """Every row and cause can be read; what needs script is not offered."""
    page = opened(pages["sample"], java_script_enabled=False)
    assert len(addresses(page)) == 11
    assert page.locator(".causes li:visible").count() == 9
    assert not page.get_by_label("Search").is_visible()
    assert page.locator("th button").count() == 0


def test_a_page_prints(pages: dict[str, str], opened: Open) -> None:
    """Without its tools, dark on white, whatever the screen shows."""
    page = opened(pages["sample"], color_scheme="dark")
    page.emulate_media(media="print")
    assert not page.get_by_label("Search").is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert page.pdf().startswith(b"%PDF")


def test_what_comes_from_outside_does_nothing(pages: dict[str, str], opened: Open) -> None:
    """No script of a file runs, no element of it appears, no text changes its direction."""
    page = opened(pages["hostile"])
    assert page.title().startswith("=1+1 <script>")
    assert page.locator("img").count() == 0
    shown = page.locator("body").inner_text()
    assert "<script>document.title='run'</script>" in shown
    assert "{{ 7 * 7 }}" in shown
    assert not {"\u202e", "\u200f", "\u2066"} & set(shown + page.title())


def test_script_that_gets_into_a_page_is_not_run(pages: dict[str, str], opened: Open) -> None:
    """The page's own policy stands behind the escaping."""
    html = pages["sample"].replace("<main>", "<main><b onclick='this.id=1' id='b'>x</b>", 1)
    html = html.replace("</body>", "<script>document.title = 'run'</script></body>")
    page = opened(html, may_complain=True)
    page.locator("#b").click()
    assert page.title() != "run"
    assert page.locator("#b").count() == 1


def test_the_page_of_a_large_import_is_quick(pages: dict[str, str], opened: Open) -> None:
    """A hundred thousand rows are ready in a moment, and a search of what is shown is, too."""
    page = opened(pages["large"], viewport=PHONE)
    ready = page.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
    assert ready < 2_000
    searched = page.evaluate(
        """() => {
            const search = document.getElementById("search");
            const before = performance.now();
            search.value = "microsoft";
            search.dispatchEvent(new Event("input"));
            document.body.offsetHeight;
            return performance.now() - before;
        }"""
    )
    assert searched < 500
    assert 0 < len(addresses(page)) < 500
    print(f"\nready after {ready:.0f} ms, searched in {searched:.0f} ms")  # noqa: T201  a figure
