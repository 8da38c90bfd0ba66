"""Every format people have their accounts in, found out from the content alone.

`open_records` yields row after row; nothing but a window of the file and the row in hand is
kept in memory (of a workbook: its shared texts, too). Reading the same bytes again yields the
same rows with the same numbers.
"""

from io import BytesIO
from itertools import chain
from typing import BinaryIO

from email_accounts.errors import FileRefusedError
from email_accounts.parsing.delimited import open_table
from email_accounts.parsing.encoding import Text
from email_accounts.parsing.json_items import open_array, open_lines
from email_accounts.parsing.records import KNOWN_FORMATS, NewHeader, Records, Unreadable
from email_accounts.parsing.source import ZIP, Source, open_source

__all__ = ["NewHeader", "Records", "Unreadable", "open_records"]

_OPENERS = {"[": ("JSON", open_array), "{": ("JSON Lines", open_lines)}
_TABLE = ("CSV", open_table)
_LARGEST_HELD = 64 << 20


def open_records(stream: BinaryIO) -> Records:
    """Recognise the format and the encoding, and read the names of the columns.

    The stream begins with the file. A workbook has to be read in no order: where the stream
    cannot seek, or gzip is to be undone, it is held in memory.

    Raises:
        FileRefusedError: the file cannot be read as rows. What shows up later only, such as a
            file that is cut off, raises it while the records are read.
    """
    source = open_source(stream)
    suffix = " (gzip)" if source.gzipped else ""
    if source.head.startswith(ZIP):
        from email_accounts.parsing.workbook import open_workbook  # noqa: PLC0415  rarely needed

        seekable = stream.seekable() and not source.gzipped
        header, records = open_workbook(stream if seekable else _held(source))
        return Records(f"XLSX{suffix}", header, records, str)
    text = Text(source.head, source.rest)
    begins_with = text.start.lstrip()[:1]
    if begins_with == "<":
        raise FileRefusedError("It is a web page or XML, not a table.", KNOWN_FORMATS)
    name, opener = _OPENERS.get(begins_with, _TABLE)
    header, records = opener(text)
    return Records(f"{name}{suffix}", header, records, lambda: text.encoding)


def _held(source: Source) -> BinaryIO:
    held = BytesIO()
    for chunk in chain([source.head], source.rest):
        if held.write(chunk) and held.tell() > _LARGEST_HELD:
            raise FileRefusedError(
                f"It is a workbook of more than {_LARGEST_HELD >> 20} MB.",
                "Split it, or save it as CSV.",
            )
    return held
