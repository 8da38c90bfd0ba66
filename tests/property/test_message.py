"""A subject can always be sent, and never has a wrong count."""

from hypothesis import given
from hypothesis import strategies as st

from email_accounts.delivery.message import subject
from email_accounts.delivery.outcomes import Outcome
from email_accounts.delivery.result import counted, label

COUNTS = st.dictionaries(st.sampled_from(Outcome), st.integers(1, 140_000), min_size=1)
PREFIXES = st.sampled_from(["", "stopped, ", "not finished, ", "resumed, stopped, "])
NAMES = st.text(min_size=1, max_size=200) | st.text("abc: ,5failed.csv", min_size=1, max_size=120)
WORKSPACES = st.text("north-2_", min_size=1, max_size=63) | st.text(min_size=1, max_size=200)


@given(WORKSPACES, NAMES, COUNTS, PREFIXES)
def test_a_subject_can_be_sent_and_keeps_the_counts(
    workspace: str, name: str, counts: dict[Outcome, int], prefix: str
) -> None:
    """Printable ASCII, at most 99 characters; the counts are whole, from the first one on."""
    parts = [f"{count:,} {label(outcome, count)}" for outcome, count in counts.items()]
    head = f", {counted(sum(counts.values()), 'row')}: {prefix}"
    made = subject(workspace, name, head + ", ".join(parts))
    assert 0 < len(made) <= 99
    assert made.isascii()
    assert made.isprintable()
    assert made.startswith("[")
    kept = made.removesuffix(", ...")
    wholes = [head + ", ".join(parts[:many]) for many in range(1, len(parts) + 1)]
    assert any(kept.endswith(whole) for whole in wholes)
    assert made != kept or kept.endswith(wholes[-1])
