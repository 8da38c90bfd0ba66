"""The decisions: numbered, each with a status, and listed."""

from tools.docs.decisions import PAGE, decisions, renewed


def test_the_index_is_written_anew() -> None:
    """`make docs` would change nothing."""
    page = PAGE.read_text("utf-8")
    assert renewed(page) == page


def test_decisions_are_numbered() -> None:
    """Numbers have no gap, and a file is named by its number."""
    found = decisions()
    assert [one.number for one in found] == list(range(1, len(found) + 1))
    assert [one.file[:4] for one in found] == [f"{one.number:03}-" for one in found]


def test_what_is_superseded_names_what_supersedes_it() -> None:
    """The status of a decision and the text of a later one say the same."""
    found = decisions()
    by_status = {(one.number, later) for one in found for later in one.superseded_by}
    by_text = {(earlier, one.number) for one in found for earlier in one.supersedes}
    assert by_status == by_text
    assert all(earlier < later for earlier, later in by_status)
