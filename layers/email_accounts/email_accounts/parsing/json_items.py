"""JSON: an array of objects, perhaps inside of an object, or JSON Lines: one object per line."""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from itertools import chain

from email_accounts.errors import FileRefusedError
from email_accounts.parsing.bounds import CELL, COLUMNS, DEPTH, HEADERS, ROW, Meter
from email_accounts.parsing.encoding import Text, lines_in, whole_lines
from email_accounts.parsing.records import (
    NOT_TEXT,
    DamagedRow,
    NewHeader,
    Recognizes,
    Record,
    Unreadable,
    are_names,
    is_text,
    not_ascii,
)
from email_accounts.parsing.source import WINDOW
from email_accounts.parsing.table import sample_of

_BLANKS = " \t\r\n"
_ONE_ARRAY = "Put the accounts into one array, [{…}, {…}], or one per line."
_LONGEST_OUTER_KEY = 100
_GOES_ON = ("{", "[", ",")
_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"?|[\[\]{}]', re.DOTALL)
_OBJECT = re.compile(r"[ \t\r\n]*\{")
_AFTER_ITEM = re.compile(r"[ \t\r\n]*([,\]])[ \t\r\n]*")

_decoder = json.JSONDecoder(parse_float=str, parse_int=str, parse_constant=str)
"""Numbers as they are written: rules validate 465.0, and no number is too long."""


class _Broken(str):
    """Why a line is no JSON, in the place of what it should have held."""

    __slots__ = ()


class _NoObjectError(ValueError):
    """An item is no object; why."""


def open_array(
    text: Text, recognizes: Recognizes, meter: Meter
) -> tuple[tuple[str, ...], Iterator[list[Record]]]:
    """Return the keys of the first object of an array, and its items."""
    return _opened(_items(text), text, recognizes, meter)


def open_object(
    text: Text, recognizes: Recognizes, meter: Meter
) -> tuple[str, tuple[str, ...], Iterator[list[Record]]]:
    """Return the format, the keys of the first object, and all objects.

    They are lines, or the first list of objects that is inside of one object.
    """
    start = text.start.lstrip(_BLANKS)
    at = _list_in(start)
    if _has_several(start, recognizes):
        raise FileRefusedError("Its accounts are in an object, not in a list.", _ONE_ARRAY)
    if at and not _begins_lines(start, recognizes):
        items = _items(text, start[:at], recognizes)
        return "JSON", *_opened(items, text, recognizes, meter)
    return "JSON Lines", *_opened(_objects(text), text, recognizes, meter)


def _list_in(start: str) -> int:
    """Return where a list of objects begins, with nothing around it but objects; 0 for none."""
    objects = lists = 0
    for token in _TOKEN.finditer(start):
        sign = token[0]
        if sign == "{":
            objects += 1
        elif sign == "}":
            objects -= 1
        elif sign == "[":
            lists += 1
            if lists == 1 and _OBJECT.match(start, token.end()):
                return token.start()
        elif sign == "]":
            lists -= 1
        if not lists and (not objects or objects > DEPTH):
            break
    return 0


def _has_several(start: str, recognizes: Recognizes) -> bool:
    """Return whether the first object holds accounts by names: `{"1": {…}, "2": {…}}`.

    Its SMTP and IMAP side are not two accounts: together they have more known names than one.
    """
    try:
        around, _ = _decoder.raw_decode(start)
    except (ValueError, RecursionError):
        return False
    objects = [around]
    while objects:
        values = [one for one in objects.pop().values() if isinstance(one, dict)]
        first, *others = [one for one in values if recognizes([*one])] or [{}]
        if others:
            both: dict[str, object] = {"a": first, "b": others[0]}
            return recognizes([key for key, _ in _flat(both)]) <= recognizes([*first])
        objects += values
    return False


def _begins_lines(start: str, recognizes: Recognizes) -> bool:
    """Return whether the first line is a whole object, and one account or one of several."""
    first, _, others = start.partition("\n")
    try:
        keys = [key for key, _ in _flat(_decoder.decode(first))]
    except (ValueError, RecursionError):
        return False
    return bool(others.strip(_BLANKS)) or recognizes(keys) > 0


def _opened(
    lists: Iterator[list[object]], text: Text, recognizes: Recognizes, meter: Meter
) -> tuple[tuple[str, ...], Iterator[list[Record]]]:
    """Return the keys of the first object with an address, else of the first one."""
    batches = meter.timed(_batches(lists, text, meter))
    sample = sample_of(batches)
    headers = [record.header for record in sample if isinstance(record, NewHeader)]
    if not headers:
        if sample:
            raise FileRefusedError("It begins like JSON, but has no list of objects.", _ONE_ARRAY)
        raise FileRefusedError("It is JSON without any account.", _ONE_ARRAY)
    header = next(filter(recognizes, headers), headers[0])
    if header == headers[0]:
        sample.remove(NewHeader(header))
    return header, chain([sample], batches)


def _batches(lists: Iterator[list[object]], text: Text, meter: Meter) -> Iterator[list[Record]]:
    header: tuple[str, ...] = ()
    headers: set[int] = set()
    number = 0
    for items in lists:
        records: list[Record] = []
        count = 0
        for item in items:
            number += 1
            try:
                keys, cells, joined = _cells(item)
            except (_NoObjectError, RecursionError) as error:
                records.append(Unreadable(number, str(error) or "it is nested too deeply"))
                continue
            count += len(cells)
            if not joined or joined.isspace():
                continue
            if len(cells) > COLUMNS:
                records.append(Unreadable(number, f"it has more than {COLUMNS:,} keys"))
                continue
            if not (keys == header or are_names(keys)) or (text.damaged and not is_text(cells)):
                records.append(Unreadable(number, NOT_TEXT))
                continue
            if keys != header:
                records.append(NewHeader(keys))
                headers.add(hash(keys))
            header = keys  # also where they are equal: the very same strings compare faster
            damage = not_ascii(cells) if text.unsure else None
            records.append(DamagedRow(number, cells, damage) if damage else (number, cells))
        meter.add(len(items), count)
        if len(headers) > HEADERS:
            raise FileRefusedError(
                f"Its objects have more than {HEADERS:,} different sets of keys.",
                "Give all accounts the same keys.",
            )
        yield records


def _cells(item: object) -> tuple[tuple[str, ...], list[str], str]:
    """Return the keys of an item, its cells, and these as one text."""
    if not isinstance(item, dict):
        raise _NoObjectError(str(item) if isinstance(item, _Broken) else "it is not an object")
    cells = [*item.values()]
    try:
        return tuple(item), cells, "".join(cells)
    except TypeError:
        pairs = [(key, _cell(value)) for key, value in _flat(item)]
    cells = [cell for _, cell in pairs]
    return tuple(key for key, _ in pairs), cells, "".join(cells)


def _flat(
    item: dict[str, object], within: str = "", depth: int = 0
) -> Iterator[tuple[str, object]]:
    """Yield keys and values; `{"smtp": {"host": …}}` becomes `smtp_host`."""
    for key, value in item.items():
        if not (value and isinstance(value, dict)):
            yield within + key, value
        elif depth == DEPTH or len(within) + len(key) > _LONGEST_OUTER_KEY:
            raise RecursionError
        else:
            yield from _flat(value, f"{within}{key}_", depth + 1)


_LIST = "\x00"


def _cell(value: object) -> str:
    if isinstance(value, str):
        return value
    if value and isinstance(value, list | dict):
        # Ignored in an unused column; every rule rejects it in a used one.
        return _LIST + json.dumps(value)
    return "" if value in (None, [], {}) else json.dumps(value)


def _objects(text: Text) -> Iterator[list[object]]:
    first, line_end, _ = text.start.lstrip(_BLANKS).partition("\n")
    if line_end and first.rstrip(_BLANKS).endswith(_GOES_ON):
        raise FileRefusedError("It is JSON, but its first line is not a whole object.", _ONE_ARRAY)
    waited = 0
    for lines in whole_lines(text.chunks()):
        waited = 0 if lines else waited + 1
        if waited * WINDOW > ROW:
            raise FileRefusedError("It is JSON without line breaks.", _ONE_ARRAY)
        yield [_object(line, text) for line in lines_in(lines) if not line.isspace()]


def _object(line: str, text: Text) -> object:
    if len(line) > CELL:
        return _Broken(f"it has more than {CELL:,} characters")
    text.damaged = text.damaged or _escapes_surrogates(line)
    try:
        return _decoder.decode(line)
    except (ValueError, RecursionError):
        return _Broken("it is not an object in JSON")


def _items(
    text: Text, before: str = "", recognizes: Recognizes | None = None
) -> Iterator[list[object]]:
    """Yield the items of an array, some at a time; only a window of the text is in memory.

    `before` is the text of the object around it.
    """
    chunks = text.chunks()
    rest = _wider("", chunks, text).lstrip(_BLANKS)[len(before) :]
    rest = rest.removeprefix("[").lstrip(_BLANKS)
    count = 0
    closed = False
    while not closed:
        items, rest, closed = _whole_items(rest, first=not count)
        yield items
        count += len(items)
        if not closed:
            window = _wider(rest, chunks, text)
            if len(window) == len(rest) or len(rest) > CELL:
                raise _broken(count + 1)
            rest = window.lstrip(_BLANKS)
    if before and recognizes:
        _check_rest(before, rest, chunks, recognizes)
    elif rest.strip(_BLANKS) or any(chunk.strip(_BLANKS) for chunk in chunks):
        raise FileRefusedError(
            f"Its JSON continues after the array of {count:,} items.", _ONE_ARRAY
        )


def _check_rest(before: str, rest: str, chunks: Iterator[str], recognizes: Recognizes) -> None:
    """Refuse an object that is cut off behind its list, or has another list of accounts."""
    while len(rest) <= CELL and (chunk := next(chunks, "")):
        rest += chunk
    try:
        around = _decoder.decode(f"{before}[]{rest}")
    except (ValueError, RecursionError):
        raise FileRefusedError(
            "The JSON object around its list is broken, cut off or too long.", _ONE_ARRAY
        ) from None
    for _, value in _flat(around):
        if (
            isinstance(value, list)
            and value
            and isinstance(value[0], dict)
            and recognizes([*value[0]])
        ):
            raise FileRefusedError("Its JSON has more than one list of accounts.", _ONE_ARRAY)


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
        f"than {CELL:,} characters.",
        "Fix it there, or export it again.",
    )
