"""JSON arrays and JSON Lines: items by number, other keys, what is broken."""

import json
from contextlib import suppress

import pytest

from email_accounts.errors import FileRefusedError
from email_accounts.parsing.records import Damage, DamagedRow, NewHeader
from tests.support.reading import (
    Stream,
    bad,
    everything,
    opened,
    peak_of,
    reasons,
    refusal,
    refusal_of,
)

ITEMS: list[object] = [{"email": "a", "port": 465}, {"email": "b", "port": None}]
ROWS = [(1, ["a", "465"]), (2, ["b", ""])]


@pytest.mark.parametrize("indent", [None, 0, 2])
@pytest.mark.parametrize("separators", [(",", ":"), (" , ", " : ")])
def test_an_array(indent: int | None, separators: tuple[str, str]) -> None:
    """An array of objects is rows from 1, however it is laid out."""
    text = "\n " + json.dumps(ITEMS, indent=indent, separators=separators) + "\n\n"
    records = opened(text.encode())
    assert (records.format, records.header) == ("JSON", ("email", "port"))
    assert everything(text.encode()) == ROWS


@pytest.mark.parametrize("end", ["\n", "\r\n", "\n\n \n"])
def test_lines(end: str) -> None:
    """One object per line is JSON Lines; blank lines have no number."""
    text = end.join(["", *map(json.dumps, ITEMS), ""])
    records = opened(text.encode())
    assert (records.format, records.header) == ("JSON Lines", ("email", "port"))
    assert everything(text.encode()) == ROWS
    assert everything(text.strip().encode("utf-16")) == ROWS


def both(*items: str) -> list[bytes]:
    """Return these items as an array and as lines."""
    return [f"[{','.join(items)}]".encode(), "\n".join(items).encode()]


def test_values_are_text() -> None:
    """Numbers are as they are written, null is blank; what is nested is text no rule takes."""
    item = '{"a": 465.0, "b": 1e2, "c": true, "d": null, "e": ["x", {"y": false}], "f": -0, "g": 1}'
    cells = ["465.0", "1e2", "true", "", '\x00["x", {"y": false}]', "-0", "1"]
    for content in both(item):
        assert everything(content) == [(1, cells)]


def test_numbers_of_any_length() -> None:
    """A number of thousands of digits is a cell like others, for the rules to refuse."""
    for content in both(f'{{"a": {"1" * 5000}}}'):
        assert everything(content) == [(1, ["1" * 5000])]


def test_items_with_other_keys() -> None:
    """Where the keys change, their names come first; blank items say nothing."""
    items = '{"a":"1"}', "{}", '{"b":"","c":null}', '{"b":"2","a":"3"}', '{"b":"4","a":"5"}'
    for content in both(*items):
        expected = [(1, ["1"]), NewHeader(("b", "a")), (4, ["2", "3"]), (5, ["4", "5"])]
        assert everything(content) == expected


def test_items_that_are_no_objects() -> None:
    """They are unreadable rows, wherever they are."""
    items = "null", "1.5", '"x"', "[]", '{"a":"1"}', "true", "12", '{"a":"2"}'
    expected = [*map(bad, range(1, 5)), (5, ["1"]), bad(6), bad(7), (8, ["2"])]
    assert everything(both(*items)[0]) == expected
    lines = b"{:\n" + both(*items)[1]
    assert everything(lines)[-1] == (9, ["2"])
    assert reasons(lines)[:2] == ["it is not an object in JSON", "it is not an object"]


def test_one_broken_line() -> None:
    """A broken line is one unreadable row, the next ones are read."""
    content = b'{"a":"1"}\n{"a":"2"\n{"a":"3"},\n{"a":"4"}\n\xff\n{"a":"5"}'
    assert everything(content) == [(1, ["1"]), bad(2), bad(3), (4, ["4"]), bad(5), (6, ["5"])]


def test_the_first_line_may_be_broken() -> None:
    """The keys are those of the first object that can be read."""
    content = b'{"a":\n{"a":"2"}\n'
    assert opened(content).header == ("a",)
    assert everything(content) == [bad(1), (2, ["2"])]


def test_deep_nesting() -> None:
    """What is nested too deeply is unreadable, or the end of an array; never a crash."""
    for depth in (*range(400, 1000), 100_000):
        deep = '{"a":' + "[" * depth + "]" * depth + "}"
        array, lines = both(deep, '{"a":"2"}')
        assert everything(lines)[-1] == (2, ["2"])
        with suppress(FileRefusedError):
            assert everything(array)[-1] == (2, ["2"])
    assert "Item 1 " in refusal(array)


@pytest.mark.parametrize("cut", range(1, 35))
def test_an_array_cut_off(cut: int) -> None:
    """Wherever an array is cut off, it is refused, with the item."""
    content = b'[{"a":"1"}, {"a":"2"} , {"a":"3"} ]'
    assert " of its JSON array cannot be read" in refusal(content[:-cut])


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"[]", "without any account"),
        (b"[ \n ] ", "without any account"),
        (b"[" + b" " * 100_000 + b"]", "without any account"),
        (b"[{}]", "without any account"),
        (b"[null]", "no list of objects"),
        (b"[1, 2]", "no list of objects"),
        (b"[[{}]]", "no list of objects"),
        (b'{"a":', "no list of objects"),
        (b'{"accounts": [\n{"email": "a"}\n]', "object around its list is broken"),
        (b'{"accounts": [{"email": "a"}]}}', "object around its list is broken"),
        (b'{"a": [{"email": "b"}], "c": [{"email": "d"}]}', "more than one list of accounts"),
        (b'{"email": "a",\n"port": 1}', "not a whole object"),
        (b"{\n", "not a whole object"),
        (b'[{"a":"1"}][{"a":"2"}]', "continues after the array of 1 items"),
        (b'[{"a":"1"}],[{"a":"2"}]', "continues after the array of 1 items"),
        (b'[{"a":"1"}]' + b" " * 100_000 + b"x", "continues after the array of 1 items"),
        (b'[{"a":"1"},]', "Item 2 "),
        (b'[{"a":"1"},,{"a":"2"}]', "Item 2 "),
        (b'[{"a":"1"} {"a":"2"}]', "Item 1 "),
        (b'[{"a":"1"},{"a" "2"},{"a":"3"}]', "Item 2 "),
        (b"[" + b'{"a":"1"},' * 50_000 + b'{"a":tru}]', "Item 50,001 "),
        (b"[,]", "Item 1 "),
        (b"[", "Item 1 "),
    ],
)
def test_refused(content: bytes, problem: str) -> None:
    """JSON that is no list of objects to its end is refused, with the item."""
    assert problem in refusal(content)


def test_text_that_looks_like_the_end_of_an_item() -> None:
    """Brackets, commas and quotes inside of texts part nothing, at any place in the window."""
    text = '},{"a": "],[\\"'
    items = [{"a": text, "b": {"c": {"d": text}}} for _ in range(3000)]
    nested = text
    content = json.dumps(items).encode()
    assert everything(content) == [(n, [text, nested]) for n in range(1, 3001)]
    assert everything(content[:1] + b" " * 37 + content[1:])[-1] == (3000, [text, nested])


def test_long_items() -> None:
    """An item of megabytes ends an array and makes a line unreadable; shorter ones are read."""
    long = json.dumps({"a": "x" * 1_000_000})
    assert everything(f"[{long},{long}]".encode())[1] == (2, ["x" * 1_000_000])
    ten = json.dumps({"a": "x" * 10_000_000})
    assert "Item 2 " in refusal(f"[{long},{ten},{long}]".encode())
    lines = f'{long}\n{ten}\n{{"a":"3"}}'.encode()
    assert everything(lines)[1:] == [bad(2), (3, ["3"])]
    assert peak_of(lambda: everything(lines)) < 60 << 20


@pytest.mark.parametrize(
    "start", [b'[{"a":"1"},{"a":"', b'{"a":"1"}\n{"a":"', b'[{"a":"1"},' + b"[" * 9]
)
def test_megabytes_of_nothing(start: bytes) -> None:
    """Half a gigabyte that never ends an item or a line is refused early, in little memory."""
    endless = (b"[{}," * 250_000 for _ in range(500))
    assert peak_of(lambda: refusal_of(Stream([start], endless))) < 100 << 20


def test_lone_surrogates() -> None:
    """Escapes that are no character make their item unreadable; those of pairs are text."""
    items = '{"a":"\\ud83d\\ude00"}', '{"a":"\\ud83d"}', '{"\\uDE00":"x"}', '{"a":"\\\\ud83d"}'
    for content in both(*items):
        assert everything(content) == [(1, ["😀"]), bad(2), bad(3), (4, ["\\ud83d"])]


def test_damaged_bytes() -> None:
    """Bytes that are no UTF-8 inside a text make one item unreadable."""
    for content in both('{"a":"é"}', '{"a":"#"}', '{"a":"3"}'):
        doubtful = DamagedRow(1, ["é"], {0: Damage.ENCODING})
        assert everything(content.replace(b"#", b"\xe9")) == [doubtful, bad(2), (3, ["3"])]


def test_a_list_inside_of_an_object() -> None:
    """The first list of objects counts, however the objects around it are laid out."""
    item = '{"email": "a", "password": "p"}'
    for text in (
        f'{{"items": [{item}], "next": null}}',
        f'{{\n  "accounts": [\n    {item}\n  ]\n}}\n',
        f'{{"status": "ok", "tags": ["x", "{{[{{"], "data": {{"accounts": [{item}]}}, "n": [1]}}',
    ):
        assert opened(text.encode()).format == "JSON"
        assert everything(text.encode()) == [(1, ["a", "p"])]
    account = item[:-1] + ', "aliases": [{"email": "b"}]}'
    for lines in (account, f"{account}\n{account}"):
        assert opened(lines.encode()).format == "JSON Lines"
    many = f'{{"items": [{",".join([item] * 20_000)}], "next": null}}'
    assert everything(many.encode())[-1] == (20_000, ["a", "p"])


def test_nested_objects() -> None:
    """Keys of nested objects are joined; what is nested too deeply is one unreadable item."""
    nested = '{"email": "a", "smtp": {"host": "h", "auth": {"user": "u"}}, "x": {}}'
    for content in both(nested):
        assert opened(content).header == ("email", "smtp_host", "smtp_auth_user", "x")
        assert everything(content) == [(1, ["a", "h", "u", ""])]
    deep = '{"a":' * 20 + "1" + "}" * 20
    long = json.dumps({"k" * 200: {"a": 1}})
    for content in both('{"email": "a"}', deep, long):
        assert everything(content) == [(1, ["a"]), bad(2), bad(3)]


def test_too_many_keys() -> None:
    """An item of more than a thousand keys is unreadable."""
    wide = json.dumps({f"k{n}": "x" for n in range(1001)})
    for content in both('{"email": "a"}', wide):
        assert everything(content) == [(1, ["a"]), bad(2)]


def test_the_first_item_without_an_address() -> None:
    """The header is that of the first item with an address."""
    for content in both('{"note": "n"}', '{"email": "a"}'):
        assert opened(content).header == ("email",)
        assert everything(content) == [
            NewHeader(("note",)),
            (1, ["n"]),
            NewHeader(("email",)),
            (2, ["a"]),
        ]
