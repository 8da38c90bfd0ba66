"""From the bytes of an upload to its content: gzip undone, what cannot be read refused."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

from email_accounts.errors import FileRefusedError
from email_accounts.parsing.bounds import BYTES, SPLIT
from email_accounts.parsing.records import EXPORT_AGAIN, KNOWN_FORMATS

WINDOW = 1 << 16
"""Bytes that are read and decoded at a time."""

ZIP = b"PK\x03\x04"
_GZIP = b"\x1f\x8b"
_LARGEST_RATIO = 200
_FREE_OF_RATIO = 10_000_000
_MOST_MEMBERS = 100_000
UNPACK = "Unpack it and upload the files inside."
_REFUSED = {
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": (
        "It is an old Excel workbook (.xls), or it is protected by a password.",
        "Save it as an Excel workbook (.xlsx) without a password and upload it again.",
    ),
    b"PK\x05\x06": ("It is an empty zip archive.", KNOWN_FORMATS),
    b"%PDF": ("It is a PDF.", KNOWN_FORMATS),
    b"{\\rtf": ("It is a rich text document.", KNOWN_FORMATS),
    b"BZh": ("It is a bzip2 archive.", UNPACK),
    b"\xfd7zXZ": ("It is an xz archive.", UNPACK),
    b"\x28\xb5\x2f\xfd": ("It is a Zstandard archive.", UNPACK),
    b"7z\xbc\xaf\x27\x1c": ("It is a 7-Zip archive.", UNPACK),
    b"Rar!": ("It is a RAR archive.", UNPACK),
}


class Readable(Protocol):
    """What bytes are read from."""

    def read(self, size: int, /) -> bytes:
        """Return up to so many bytes, none at the end."""
        ...


@dataclass(frozen=True, slots=True)
class Source:
    """The content of an upload: its first bytes (at least a window of them), then the others."""

    head: bytes
    rest: Iterator[bytes]
    gzipped: bool


def open_source(stream: Readable) -> Source:
    """Undo gzip and read the first bytes.

    Raises:
        FileRefusedError: it is empty or nothing that can be read; while reading on, that the
            gzip archive is damaged or too large.
    """
    source = _first_window(_windows(stream), gzipped=False)
    if source.head.startswith(_GZIP):
        source = _first_window(_inflated(chain([source.head], source.rest)), gzipped=True)
        if source.head.startswith(_GZIP):
            raise FileRefusedError("It is a gzip archive inside a gzip archive.", UNPACK)
    if not source.head:
        raise FileRefusedError("It is empty.", "The first line must be the header row.")
    for magic, refusal in _REFUSED.items():
        if source.head.startswith(magic):
            raise FileRefusedError(*refusal)
    return source


def _first_window(chunks: Iterator[bytes], *, gzipped: bool) -> Source:
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= WINDOW:
            break
    return Source(head, chunks, gzipped)


def _windows(stream: Readable) -> Iterator[bytes]:
    """Yield windows that are full but for the last, however little the stream gives at once."""
    size = 0
    while window := stream.read(WINDOW):
        while len(window) < WINDOW and (more := stream.read(WINDOW - len(window))):
            window += more
        size += len(window)
        if size > BYTES:
            raise FileRefusedError(f"It has more than {BYTES / 1e9:g} GB.", SPLIT)
        yield window


def _inflated(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Undo gzip, of which one file may have several members, in pieces of up to a window."""
    member = zlib.decompressobj(wbits=31)
    members = 1
    deflated = inflated = 0
    for chunk in chunks:
        deflated += len(chunk)
        data = chunk
        while data:
            if member.eof:
                data = data.lstrip(b"\0")  # some writers fill up their last block
                if not data:
                    break
                member = zlib.decompressobj(wbits=31)
                members += 1
            try:
                piece = member.decompress(data, WINDOW)
            except zlib.error:
                raise FileRefusedError("Its gzip data is damaged.", EXPORT_AGAIN) from None
            data = member.unused_data if member.eof else member.unconsumed_tail
            inflated += len(piece)
            _refuse_bomb(deflated, inflated, members)
            if piece:
                yield piece
    if not member.eof:
        raise FileRefusedError("Its gzip data ends too early.", EXPORT_AGAIN)


def _refuse_bomb(deflated: int, inflated: int, members: int) -> None:
    suspicious = inflated > _FREE_OF_RATIO and inflated > _LARGEST_RATIO * deflated
    if suspicious or inflated > BYTES or members > _MOST_MEMBERS:
        raise FileRefusedError(
            f"Its gzip data unpacks to more than {_LARGEST_RATIO} times its size or "
            f"{BYTES / 1e9:g} GB.",
            "Upload it unpacked, or split it.",
        )
