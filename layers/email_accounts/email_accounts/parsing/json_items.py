"""JSON: an array of objects, or JSON Lines, which is one object per line."""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain

from email_accounts.errors import FileRefusedError
from email_accounts.parsing.encoding import Text, lines_in, whole_lines
from email_accounts.parsing.records import (
    LONGEST_CELL,
    NOT_TEXT,
    NewHeader,
    Record,
    Unreadable,
    are_names,
    is_text,
)
from email_accounts.parsing.source import WINDOW

_LONGEST_ITEM = LONGEST_CELL
_LONGEST_LINE = 12 << 20
_BLANKS = " \t\r\n"
_LOOKED_AT = 100
_ONE_ARRAY = "Put the accounts into one array, [{…}, {…}], or each on a line of its own."
_GOES_ON = ("{", "[", ",")
_AFTER_ITEM = re.compile(r"[ \t\r\n]*([,\]])[ \t\r\n]*")

_decoder = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=str)
"""Numbers as they are written: 465.0 is for the rules to judge, and no number is too long."""


class _Broken(str):
    """Why a line is no JSON, in the place of what it should have held."""

    __slots__ = ()


def open_array(text: Text) -> tuple[tuple[str, ...], Iterator[Record]]:
    """Return the keys of the first object of an array, and its items."""
    return _opened(_records(chain.from_iterable(_items(text)), text))


def open_lines(text: Text) -> tuple[tuple[str, ...], Iterator[Record]]:
    """Return the keys of the first object of JSON Lines, and the objects of all lines."""
    return _opened(_records(_objects(text), text))


def _opened(records: Iterator[Record]) -> tuple[tuple[str, ...], Iterator[Record]]:
    """Look for the first object: the items before it may be unreadable."""
    before: list[Record] = []
    for record in records:
        if isinstance(record, NewHeader):
            return record.header, chain(before, records)
        before.append(record)
        if len(before) == _LOOKED_AT:
            break
    if not before:
        raise FileRefusedError("It is JSON without any account.", _ONE_ARRAY)
    raise FileRefusedError("It begins like JSON, but has no list of objects.", _ONE_ARRAY)


def _records(items: Iterator[object], text: Text) -> Iterator[Record]:
    header: tuple[str, ...] = ()
    for number, item in enumerate(items, 1):
        if not isinstance(item, dict):
            reason = str(item) if isinstance(item, _Broken) else "it is not an object"
            yield Unreadable(number, reason)
            continue
        cells = list(item.values())
        try:
            joined = "".join(cells)
        except TypeError:
            try:
                cells = list(map(_cell, cells))
            except RecursionError:
                yield Unreadable(number, "it is nested too deeply")
                continue
            joined = "".join(cells)
        if not joined or joined.isspace():
            continue
        if text.damaged and not is_text(cells):
            yield Unreadable(number, NOT_TEXT)
            continue
        keys = tuple(item)
        if keys != header:
            if not are_names(keys):
                yield Unreadable(number, NOT_TEXT)
                continue
            yield NewHeader(keys)
        header = keys  # also where they are equal: the very same strings compare faster
        yield number, cells


_NESTED = "\x00"


def _cell(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, dict | list):
        # Harmless in a column of no use, and no rule takes it in one that is used.
        return _NESTED + json.dumps(value)
    return "" if value is None else json.dumps(value)


def _objects(text: Text) -> Iterator[object]:
    first, line_end, _ = text.start.lstrip(_BLANKS).partition("\n")
    if line_end and first.rstrip(_BLANKS).endswith(_GOES_ON):
        raise FileRefusedError("It is JSON, but its first line is not a whole object.", _ONE_ARRAY)
    waited = 0
    for lines in whole_lines(text.chunks()):
        waited = 0 if lines else waited + 1
        if waited * WINDOW > _LONGEST_LINE:
            raise FileRefusedError("It is JSON without line breaks.", _ONE_ARRAY)
        for line in lines_in(lines):
            if not line.isspace():
                yield _object(line, text)


def _object(line: str, text: Text) -> object:
    if len(line) > _LONGEST_ITEM:
        return _Broken(f"it has more than {_LONGEST_ITEM:,} characters")
    text.damaged = text.damaged or _escapes_surrogates(line)
    try:
        return _decoder.decode(line)
    except (ValueError, RecursionError):
        return _Broken("it is not an object in JSON")


def _items(text: Text) -> Iterator[list[object]]:
    """Yield the items of an array, some at a time; only a window of the text is in memory."""
    chunks = text.chunks()
    rest = _wider("", chunks, text).lstrip(_BLANKS).removeprefix("[").lstrip(_BLANKS)
    count = 0
    closed = False
    while not closed:
        items, rest, closed = _whole_items(rest, first=not count)
        yield items
        count += len(items)
        if not closed:
            window = _wider(rest, chunks, text)
            if len(window) == len(rest) or len(rest) > _LONGEST_ITEM:
                raise _broken(count + 1)
            rest = window.lstrip(_BLANKS)
    if rest.strip(_BLANKS) or any(chunk.strip(_BLANKS) for chunk in chunks):
        raise FileRefusedError(f"Its JSON goes on behind the array of {count:,} items.", _ONE_ARRAY)


def _whole_items(window: str, *, first: bool) -> tuple[list[object], str, bool]:
    """Return the items that are whole, what is left, and whether the array ended there.

    What decodes up to the end of an object decodes there in the whole text, too: so most items
    of a window are decoded at once.
    """
    if first and window.startswith("]"):
        return [], window[1:], True
    items: list[object] = []
    end = window.rfind("},") + 1
    if end:
        with suppress(ValueError, RecursionError):
            items = _decoder.decode(f"[{window[:end]}]")
            window = window[end + 1 :].lstrip(_BLANKS)
    at = 0
    while True:
        try:
            item, end = _decoder.raw_decode(window, at)
        except (ValueError, RecursionError):
            break
        after = _AFTER_ITEM.match(window, end)
        if not after:
            break
        items.append(item)
        at = after.end()
        if after[1] == "]":
            return items, window[at:], True
    return items, window[at:], False


def _wider(window: str, chunks: Iterator[str], text: Text) -> str:
    """Add about as much text as the window has, so that a long item is not tried too often."""
    pieces = [window]
    missing = max(len(window), 1)
    for chunk in chunks:
        pieces.append(chunk)
        missing -= len(chunk)
        if missing <= 0:
            break
    wider = "".join(pieces)
    text.damaged = text.damaged or _escapes_surrogates(wider)
    return wider


def _escapes_surrogates(text: str) -> bool:
    # The first question is answered many times faster than the others.
    return "\\" in text and ("\\ud" in text or "\\uD" in text)


def _broken(number: int) -> FileRefusedError:
    return FileRefusedError(
        f"Item {number:,} of its JSON array cannot be read: it is broken, cut off or has more "
        f"than {_LONGEST_ITEM:,} characters.",
        "Mend it there, or export it again.",
    )
