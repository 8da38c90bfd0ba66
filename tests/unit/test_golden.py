"""What people read, to the letter: `make docs` writes the golden files again."""

from pathlib import Path

import pytest

from tools.docs.golden import GOLDEN, golden_texts

TEXTS = dict(golden_texts())


@pytest.mark.parametrize("file", TEXTS, ids=lambda file: file.name)
def test_a_text_is_as_its_golden_file_has_it(file: Path) -> None:
    """A new wording shows in the change of one file per mail or page."""
    assert file.read_text("utf-8") == TEXTS[file]


def test_no_golden_file_is_left_over() -> None:
    """Each belongs to a mail or a page."""
    assert set(GOLDEN.iterdir()) == TEXTS.keys()
