"""Detects the format of a file from its content alone.

`open_records` yields row after row; only a window of the file and the current row are
kept in memory (of a workbook: its shared texts, too). Reading the same bytes again yields the
same rows with the same numbers: batches rely on it.
"""

from io import BytesIO
from itertools import chain
from typing import BinaryIO

from email_accounts.errors import FileRefusedError
from email_accounts.parsing.bounds import Meter
from email_accounts.parsing.delimited import open_table
from email_accounts.parsing.encoding import Text
from email_accounts.parsing.json_items import open_array, open_object
from email_accounts.parsing.records import KNOWN_FORMATS, Recognizes, Records
from email_accounts.parsing.source import UNPACK, ZIP, Source, open_source

_LARGEST_HELD = 64 << 20


def open_records(stream: BinaryIO, recognizes: Recognizes) -> Records:
    """Recognise the format, the encoding and the header.

    The stream begins with the file. A zip archive, which a workbook is, has to be read in no
    order: where the stream cannot seek, or the archive is inside of another, it is held in memory.

    Raises:
        FileRefusedError: the file cannot be read as rows, or passes a bound. What shows up later
            only, such as a file that is cut off, raises it while the records are read.
    """
    source = open_source(stream)
    packed = " (gzip)" if source.gzipped else ""
    if not source.head.startswith(ZIP):
        return _records_of_text(source, packed, recognizes)
    from email_accounts.parsing.archive import Archive  # noqa: PLC0415  rarely needed
    from email_accounts.parsing.workbook import open_workbook  # noqa: PLC0415  rarely needed

    seekable = stream.seekable() and not source.gzipped
    archive = Archive(stream if seekable else _held(source))
    if not archive.is_workbook:
        source = open_source(archive.only_file())
        packed += " (zip)"
        if source.gzipped:
            raise FileRefusedError("It is a gzip archive inside a zip archive.", UNPACK)
        if not source.head.startswith(ZIP):
            return _records_of_text(source, packed, recognizes)
        archive = Archive(_held(source))
        if not archive.is_workbook:
            raise FileRefusedError("It is a zip archive inside a zip archive.", UNPACK)
    return open_workbook(archive, f"XLSX{packed}", recognizes, Meter())


def _records_of_text(source: Source, packed: str, recognizes: Recognizes) -> Records:
    text = Text(source.head, source.rest)
    meter = Meter()
    begins_with = text.start.lstrip()[:1]
    number, delimiter = 0, ""
    if begins_with == "<":
        raise FileRefusedError("It is a web page or XML, not a table.", KNOWN_FORMATS)
    if begins_with == "[":
        name, header, batches = "JSON", *open_array(text, recognizes, meter)
    elif begins_with == "{":
        name, header, batches = open_object(text, recognizes, meter)
    else:
        name = "CSV"
        table, batches = open_table(text, recognizes, meter)
        header, number, delimiter = table.header, table.number, table.delimiter
        batches = chain([table.below], batches)
    records = chain.from_iterable(batches)
    return Records(
        f"{name}{packed}", header, records, lambda: text.encoding, number, delimiter=delimiter
    )


def _held(source: Source) -> BinaryIO:
    held = BytesIO()
    for chunk in chain([source.head], source.rest):
        if held.write(chunk) and held.tell() > _LARGEST_HELD:
            raise FileRefusedError(
                f"It is a workbook or archive of more than {_LARGEST_HELD >> 20} MB.",
                "Split it, or save it as CSV.",
            )
    return held
