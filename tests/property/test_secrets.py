"""No password gets through, whatever it is made of."""

import csv
import io
import json
import logging
import pickle
import traceback

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from email_accounts.errors import ReportUnavailableError
from email_accounts.saleshandy.report import copy_without_secrets, verdicts
from email_accounts.text.secret import HIDDEN, SHORTEST_FOUND_INSIDE, Redactor, Secret
from email_accounts.text.spreadsheet import escape_formula, unescape_formula

ADDRESSES = ("ann@b.example", "+bo@c.example", "c'de@f.example", "wxyz@wxyz.example")
SIGNS = "abwxyz@.,;\"'=+-\\|$^()[]{}?é€ 12"
PASSWORDS = (
    st.text(SIGNS, min_size=1, max_size=9)
    .map(str.strip)
    .filter(lambda text: text and text not in ADDRESSES)
)
FILLERS = st.text(SIGNS + "\n\r\t", max_size=5)


@st.composite
def cells(draw: st.DrawFn, passwords: list[str]) -> str:
    """Draw a cell that may hold passwords, alone or inside other text."""
    password = draw(st.sampled_from([*passwords, *ADDRESSES, ""]))
    if draw(st.booleans()):
        return f" {password} "
    return draw(FILLERS) + password + draw(FILLERS) + draw(st.sampled_from([*passwords, ""]))


def is_long(password: str) -> bool:
    """Say whether a password is found inside of other text; blanks are not counted."""
    return len("".join(password.split())) >= SHORTEST_FOUND_INSIDE


@given(st.data())
def test_no_password_of_a_batch_is_in_the_copy_of_its_report(data: st.DataObject) -> None:
    """In any column, whole or inside, however parted, in any chunks; every address is kept."""
    passwords = data.draw(st.lists(PASSWORDS, min_size=1, max_size=4))
    columns = data.draw(st.permutations(["Email", "Echo", "Reason", "imap password", "Note 2"]))
    echoes = st.lists(cells(passwords), min_size=5, max_size=5)
    named = data.draw(st.lists(st.sampled_from(ADDRESSES), unique=True))
    lines = [data.draw(echoes) for _ in named]
    for address, line in zip(named, lines, strict=True):
        line[columns.index("Email")] = data.draw(
            st.sampled_from([address, address.upper(), f" {address}"])
        )
    columns[columns.index("Note 2")] += data.draw(st.sampled_from(passwords))
    text = io.StringIO(newline="")
    dialect = data.draw(st.sampled_from([csv.excel, csv.unix_dialect]))
    writer = csv.writer(text, dialect, delimiter=data.draw(st.sampled_from(",;\t|")))
    writer.writerows([columns, *lines])
    report = text.getvalue().encode()
    size = data.draw(st.integers(1, len(report)))
    chunks = (report[at : at + size] for at in range(0, len(report), size))

    copy = io.StringIO(newline="")
    try:
        copy_without_secrets(chunks, copy, set(ADDRESSES), Redactor(map(Secret, passwords)))
    except ReportUnavailableError:  # what parts its cells is in doubt, so no copy is kept
        assert any(set(password) & set(",;\t|") for password in passwords)
        return

    copied = list(csv.reader(io.StringIO(copy.getvalue(), newline=""), strict=True))
    assert len(copied) == len(lines) + 1
    for cell in (unescape_formula(cell) for line in copied for cell in line):
        if cell.strip().lower() not in ADDRESSES:
            assert cell.strip() not in passwords
            assert not any(password in cell for password in passwords if is_long(password))
    copy.seek(0)
    assert set(verdicts(copy)) == set(named)


@given(st.text("'=+-@\t\rab", max_size=5))
def test_a_marked_formula_is_read_back_as_it_was(text: str) -> None:
    """What a spreadsheet would take for a formula is marked, and the mark comes off again."""
    marked = escape_formula(text)
    assert not marked.startswith(("=", "+", "-", "@", "\t", "\r"))
    assert unescape_formula(marked) == text


def fail(secret: Secret) -> None:
    """Raise an error that holds a secret."""
    raise ValueError("refused", secret)


@given(st.text(max_size=12))
def test_a_secret_shows_itself_nowhere(text: str) -> None:
    """Not in text, logs, JSON, pickles or tracebacks with their variables."""
    hidden = f"§{text}§"
    secret = Secret(hidden)
    log = io.StringIO()
    logger = logging.Logger("test")  # noqa: LOG001  one that no other test shares
    logger.addHandler(logging.StreamHandler(log))
    shown = [repr(secret), str(secret), f"{secret}", f"{secret!s:>9}", f"{[secret]}"]
    shown.append(json.dumps({"secret": secret}, default=str))
    for write in (pickle.dumps, json.dumps):
        with pytest.raises(TypeError) as caught:
            write(secret)
        shown.append(str(caught.value))
    try:
        fail(secret)
    except ValueError as error:
        logger.exception("%s %r", secret, secret)
        del text, hidden
        trace = traceback.TracebackException.from_exception(error, capture_locals=True)
        shown.extend(trace.format())
    assert "secret = ***" in "".join(shown)
    assert HIDDEN in log.getvalue()
    shown.append(log.getvalue())
    assert secret.reveal() not in "\n".join(shown)
    assert repr(secret) == HIDDEN


@given(st.lists(PASSWORDS, min_size=1, max_size=5), FILLERS, FILLERS)
def test_a_redactor_finds_every_secret_of_four_or_more(
    passwords: list[str], before: str, behind: str
) -> None:
    """Also where secrets overlap or hold one another."""
    assume(any(map(is_long, passwords)))
    redactor = Redactor(map(Secret, passwords))
    assert redactor.clean(before + "".join(passwords) + behind) == HIDDEN
    assert all(redactor.clean(f" {password}\n") == HIDDEN for password in passwords)
