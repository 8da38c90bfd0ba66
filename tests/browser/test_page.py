"""The page in a real browser: readable, accessible, quick, and harmless."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page, ViewportSize, expect

from email_accounts.delivery.page import page as page_of
from tests.support import answers
from tests.support.chromium import DESKTOP, Open

PHONE: ViewportSize = {"width": 360, "height": 740}
SMALLEST: ViewportSize = {"width": 320, "height": 568}
LARGE = 20_000
KINDS = {kind.__name__: kind for kind in answers.WITH_PAGE}


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    """Make every kind of page once."""
    made = {name: answers.delivered(kind).page for name, kind in KINDS.items()}
    return made | {"large": page_of(answers.large(LARGE))}


def addresses(page: Page) -> list[str]:
    """Return the addresses of the rows that can be seen."""
    return page.locator("tbody tr:visible td.address").all_inner_texts()


@pytest.mark.parametrize("kind", [*KINDS, "large"])
def test_axe_finds_nothing(pages: dict[str, str], opened: Open, kind: str) -> None:
    """Contrast, names, roles and order are right, on a light desk and on a dark phone."""
    page = opened(pages[kind], viewport=DESKTOP, color_scheme="light")
    assert_accessible(page)
    page.set_viewport_size(PHONE)
    page.emulate_media(color_scheme="dark")
    assert_accessible(page)


def assert_accessible(page: Page) -> None:
    """Have axe check a page as it is shown."""
    found = Axe().run(page)
    assert [(one["id"], one["nodes"]) for one in found.response["violations"]] == []
    assert len(found.response["passes"]) > 10


@pytest.mark.parametrize("kind", [*KINDS, "large"])
def test_nothing_sticks_out_on_a_phone(pages: dict[str, str], opened: Open, kind: str) -> None:
    """No line has to be pushed sideways to be read, and the headline is seen at once."""
    page = opened(pages[kind], viewport=PHONE)
    for viewport in (PHONE, SMALLEST):
        page.set_viewport_size(viewport)
        assert page.evaluate("document.documentElement.scrollWidth") == viewport["width"]
        if kind != "hostile":
            expect(page.get_by_role("heading", level=1)).to_be_in_viewport(ratio=1)


@pytest.mark.parametrize(("viewport", "highest"), [(DESKTOP, 4_500), (PHONE, 8_500)], ids=str)
@pytest.mark.parametrize("kind", ["rejected", "large", "hostile", "sample"])
def test_a_page_is_short_whatever_the_file(
    pages: dict[str, str], opened: Open, kind: str, viewport: ViewportSize, highest: int
) -> None:
    """Whether 500 rows have one cause or 1,000 of 20,000 rows have failed."""
    page = opened(pages[kind], viewport=viewport)
    height = page.evaluate("document.documentElement.scrollHeight")
    print(f"\n{kind} at {viewport['width']} px: {height:,} px high")  # noqa: T201  a figure
    assert height < highest


def test_what_to_do_comes_before_the_rows(pages: dict[str, str], opened: Open) -> None:
    """The next step is on the first screen; causes come before the rows that have them."""
    page = opened(pages["sample"])
    expect(page.get_by_role("heading", name="Next step")).to_be_in_viewport()
    titles = page.locator("h2").all_inner_texts()
    assert titles[:2] == ["Next step", "Causes and fixes"]
    assert "Rows that need attention" in titles[2:]


def test_a_page_prints(pages: dict[str, str], opened: Open) -> None:
    """Dark on white, whatever the screen shows."""
    page = opened(pages["sample"], color_scheme="dark")
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.evaluate("getComputedStyle(document.body).color") == "rgb(0, 0, 0)"
    assert page.pdf().startswith(b"%PDF")


def test_what_comes_from_outside_does_nothing(pages: dict[str, str], opened: Open) -> None:
    """No script of a file runs, no element of it appears, no text changes its direction."""
    page = opened(pages["hostile"])
    assert page.title().startswith("[default] =1+1 <script>")
    assert page.locator("img").count() == 0
    shown = page.locator("body").inner_text()
    assert "<script>document.title='run'</script>" in shown
    assert "{{ 7 * 7 }}" in shown
    assert not {"\u202e", "\u200f", "\u2066"} & set(shown + page.title())


def test_script_that_gets_into_a_page_is_not_run(pages: dict[str, str], opened: Open) -> None:
    """The page's own policy is behind the escaping."""
    html = pages["sample"].replace("<main>", "<main><b onclick='this.id=1' id='b'>x</b>", 1)
    html = html.replace("</body>", "<script>document.title = 'run'</script></body>")
    page = opened(html, may_complain=True)
    page.locator("#b").click()
    assert page.title() != "run"
    assert page.locator("#b").count() == 1


def test_the_page_of_a_large_import_is_quick(pages: dict[str, str], opened: Open) -> None:
    """Rows by the thousand are ready in a moment."""
    page = opened(pages["large"], viewport=PHONE)
    ready = page.evaluate("performance.getEntriesByType('navigation')[0].domContentLoadedEventEnd")
    assert ready < 2_000
    assert len(addresses(page)) == 30
    print(f"\nready after {ready:.0f} ms")  # noqa: T201  a figure
