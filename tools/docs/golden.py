"""Writes the golden mails and pages that tests compare with: `make docs`."""

from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path

from tests.support import answers

GOLDEN = Path(__file__).parents[2] / "tests/golden"


class _Texts(HTMLParser):
    """The texts that a reader of a page sees, one a line."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.lines: list[str] = []
        self._hidden = 0
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:  # noqa: ARG002  the parser's
        self._hidden += tag in ("style", "script")

    def handle_endtag(self, tag: str) -> None:
        self._hidden -= tag in ("style", "script")

    def handle_data(self, data: str) -> None:
        if not self._hidden and (text := " ".join(data.split())):
            self.lines.append(text)


def golden_texts() -> Iterator[tuple[Path, str]]:
    """Yield each golden file with what it has to hold."""
    for kind in answers.ENDINGS:
        answer = answers.delivered(kind)
        yield (
            GOLDEN / f"{kind.__name__}.mail.txt",
            f"Subject: {answer.message.subject}\n\n{answer.message.mail}\n",
        )
        if answer.page:
            yield GOLDEN / f"{kind.__name__}.page.txt", "\n".join(_Texts(answer.page).lines) + "\n"


if __name__ == "__main__":
    GOLDEN.mkdir(exist_ok=True)
    for file, text in golden_texts():
        file.write_text(text, "utf-8")
