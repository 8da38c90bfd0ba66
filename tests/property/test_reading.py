"""Reading holds for files nobody thought of."""

import csv
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from email_accounts.account import FIELDS
from email_accounts.errors import FileRefusedError
from email_accounts.reading import Row, formats, open_accounts_file
from email_accounts.reading.layouts import normalise_header

FIRST = {"smtpEmailAddress": "a@b.example", "smtpPort": 465}
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8)
KEYS = st.sampled_from([*FIELDS, "note", "smtp-port ", "é"])
ITEMS = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=8,
)
ACCOUNTS = st.dictionaries(KEYS, SCALARS, max_size=5).map(lambda item: FIRST | item)
ARRAYS = st.lists(ACCOUNTS | ITEMS, max_size=6).map(lambda items: [FIRST, *items])
WINDOWS = st.integers(4, 90)
AT = {field: at for at, field in enumerate(FIELDS)} | {"smtp-port ": FIELDS.index("smtpPort")}


def read(content: bytes, window: int) -> list[Row]:
    """Read a file through a window of this many bytes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(formats, "_WINDOW", window)
        return list(open_accounts_file(io.BytesIO(content)).rows)


def expected(item: Any) -> list[str]:  # noqa: ANN401  any JSON value
    """Say which values the row of an item has; none where it cannot be read."""
    if not isinstance(item, dict) or "smtpEmailAddress" not in item:
        return []
    if any(isinstance(value, dict | list) for value in item.values()):
        return []
    values = [""] * len(FIELDS)
    for key, value in reversed(item.items()):
        if key in AT:
            text = value if isinstance(value, str) else json.dumps(value)
            values[AT[key]] = "" if value is None else text
    return values


@given(ARRAYS, WINDOWS, st.booleans(), st.sampled_from([None, 0, 3, "\t"]))
def test_an_array_reads_as_json_does_through_any_window(
    items: list[object],
    window: int,
    ascii_only: bool,  # noqa: FBT001  hypothesis gives it
    indent: int | str | None,
) -> None:
    """Wherever the edges of the windows fall, each item is the one that json.loads finds."""
    text = json.dumps(items, ensure_ascii=ascii_only, indent=indent)
    rows = read(text.encode(), window)
    assert [row.number for row in rows] == list(range(1, len(items) + 1))
    assert [row.values for row in rows] == [expected(item) for item in json.loads(text)]
    assert [bool(row.unreadable) for row in rows] == [not row.values for row in rows]


def has_address(item: dict[str, object]) -> bool:
    """Whether a field is the address of an account, whatever signs stand in its name."""
    return "smtpemailaddress" in map(normalise_header, item)


@given(ARRAYS, WINDOWS, st.data())
def test_a_damaged_array_is_refused_exactly_when_json_refuses_it(
    items: list[object], window: int, data: st.DataObject
) -> None:
    """No text is read as accounts that is no JSON, and none is refused that is."""
    text = json.dumps(items)
    at = data.draw(st.integers(1, len(text)))
    to = data.draw(st.integers(at, min(at + 4, len(text))))
    put = data.draw(st.text(alphabet='[]{},:" 1e.-nul\\', max_size=3))
    damaged = text[:at] + put + text[data.draw(st.sampled_from([to, len(text)])) :]
    try:
        left = json.loads(damaged)
    except json.JSONDecodeError:
        left = []
    if left and expected(left[0] if isinstance(left[0], dict) else None):
        assert len(read(damaged.encode(), window)) == len(left)
    elif not left or not isinstance(left[0], dict) or not has_address(left[0]):
        with pytest.raises(FileRefusedError):
            read(damaged.encode(), window)


CELLS = st.text(alphabet=st.sampled_from('ab@,";\n\r\t \x00é€😀'), max_size=6)
SHEETS = st.lists(st.lists(CELLS, max_size=3), max_size=8)
DIALECTS = st.sampled_from(
    [(csv.QUOTE_MINIMAL, "\r\n"), *((csv.QUOTE_ALL, end) for end in ("\n", "\r\n", "\r"))]
)


@given(SHEETS, DIALECTS, WINDOWS, st.booleans())
def test_the_rows_of_a_csv_have_the_numbers_a_spreadsheet_shows(
    sheet: list[list[str]],
    dialect: tuple[Any, str],
    window: int,
    marked: bool,  # noqa: FBT001  hypothesis gives it
) -> None:
    """Blank rows count, cells of several lines do not, and no value is changed."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=dialect[0], lineterminator=dialect[1])
    writer.writerows([["note", "smtpEmailAddress", "smtp password"], *sheet])
    content = text.getvalue().encode("utf-8-sig" if marked else "utf-8")
    places = (FIELDS.index("smtpEmailAddress"), FIELDS.index("smtpPassword"))
    shown = {row.number: [row.values[at] for at in places] for row in read(content, window)}
    assert shown == {
        number: [*cells, "", "", ""][1:3]
        for number, cells in enumerate(sheet, start=2)
        if any(cell.strip() for cell in cells)
    }


@given(st.binary(max_size=60), WINDOWS)
def test_any_bytes_are_read_or_refused(content: bytes, window: int) -> None:
    """No file, whatever is in it, is a crash."""
    for start in (b"", b"smtpEmailAddress\n", b'smtpEmailAddress,"', b'[{"smtpEmailAddress":1},'):
        try:
            rows = read(start + content, window)
        except FileRefusedError:
            continue
        assert all(bool(row.values) != bool(row.unreadable) for row in rows)
