"""Zip archives, all of whose parts are bounded before one is unpacked."""

import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from io import SEEK_END, SEEK_SET
from typing import IO, BinaryIO, cast
from xml.parsers import expat

from email_accounts.errors import FileRefusedError
from email_accounts.parsing.records import EXPORT_AGAIN, KNOWN_FORMATS
from email_accounts.parsing.source import UNPACK, WINDOW, Readable

_SMALLEST_ARCHIVE = 98
_LARGEST_DIRECTORY = 1 << 20
_LARGEST_WORKBOOK = 300_000_000
_LARGEST_RATIO = 200
_FREE_OF_RATIO = 1_000_000
_ENCRYPTED = 0x1
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_OF_THE_SYSTEM = ("__macosx/", ".ds_store", "thumbs.db", "desktop.ini")
_BROKEN = (
    zipfile.BadZipFile,
    zlib.error,
    expat.ExpatError,
    struct.error,
    EOFError,
    ValueError,
    LookupError,
    NotImplementedError,
    OverflowError,
)
"""What zipfile and expat raise for archives and parts that are not what they say they are."""


def damaged(what: str) -> FileRefusedError:
    """Return the error for a workbook or archive of which a part is not as it has to be."""
    return FileRefusedError(f"It is a damaged workbook or zip archive: {what}.", EXPORT_AGAIN)


class Archive:
    """The parts of an archive by their names in lower case."""

    def __init__(self, file: BinaryIO) -> None:
        """Read the list of parts; the file has to be one that can seek."""
        self._file = _Bounded(file)
        with self.damage_refused():
            self._zip = zipfile.ZipFile(cast("IO[bytes]", self._file))
        members = self._zip.infolist()
        self._members = {
            member.filename.replace("\\", "/").lstrip("/").lower(): member for member in members
        }
        self.is_workbook = "[content_types].xml" in self._members
        if self.is_workbook:
            _refuse_bomb(members)

    @contextmanager
    def damage_refused(self) -> Iterator[None]:
        """Refuse what cannot be unpacked and parsed; a file that cannot be read is no damage."""
        try:
            yield
        except _BROKEN:
            if self._file.failure:
                raise self._file.failure from None
            raise damaged("it cannot be unpacked and parsed completely") from None

    def only_file(self) -> Readable:
        """Return the content of the one file of an archive.

        Raises:
            FileRefusedError: there is none or there are several, or it unpacks to too much.
        """
        if "content.xml" in self._members:
            raise FileRefusedError("It is an OpenDocument file, not a workbook.", KNOWN_FORMATS)
        files = [
            member
            for name, member in self._members.items()
            if not name.endswith(("/", *_OF_THE_SYSTEM)) and not name.startswith(_OF_THE_SYSTEM)
        ]
        if len(files) != 1:
            count = f"{len(files):,} files" if files else "no files"
            raise FileRefusedError(f"It is a zip archive of {count}.", UNPACK)
        _refuse_bomb(files)
        return _Member(self, self._opened(files[0]))

    def size(self, name: str) -> int:
        """Return how many bytes a part unpacks to; LookupError where there is none."""
        return self._members[name.lower()].file_size

    def windows(self, name: str) -> Iterator[bytes]:
        """Yield the bytes of a part; zipfile never gives more than it declares."""
        with self._opened(self._members[name.lower()]) as part:
            while window := part.read(WINDOW):
                yield window

    def _opened(self, member: zipfile.ZipInfo) -> IO[bytes]:
        if member.flag_bits & _ENCRYPTED:
            raise FileRefusedError("It is protected by a password.", "Save it without one.")
        if member.compress_type not in _METHODS:
            raise damaged("it is compressed in an unusual way")
        with self.damage_refused():
            return self._zip.open(member)


class _Member:
    """A file of an archive, to be read once."""

    def __init__(self, archive: Archive, part: IO[bytes]) -> None:
        self._archive = archive
        self._part = part

    def read(self, size: int, /) -> bytes:
        with self._archive.damage_refused():
            return self._part.read(size)


def _refuse_bomb(members: list[zipfile.ZipInfo]) -> None:
    swollen = any(
        member.file_size > max(_FREE_OF_RATIO, _LARGEST_RATIO * member.compress_size)
        for member in members
    )
    if swollen or sum(member.file_size for member in members) > _LARGEST_WORKBOOK:
        raise FileRefusedError(
            f"It unpacks to more than {_LARGEST_RATIO} times its size or "
            f"{_LARGEST_WORKBOOK / 1e6:g} MB.",
            "Split it, or save it as CSV.",
        )


class _Bounded:
    """A file that gives zipfile no more at once than the list of an archive's parts takes.

    It keeps why reading failed, which zipfile takes for damage.
    """

    def __init__(self, file: BinaryIO) -> None:
        self.failure: Exception | None = None
        self._file = file
        self._size = file.seek(0, SEEK_END)

    def seek(self, offset: int, whence: int = SEEK_SET) -> int:
        if self._size < _SMALLEST_ARCHIVE or (whence == SEEK_SET and offset < 0):
            raise zipfile.BadZipFile
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def read(self, size: int = -1) -> bytes:
        left = max(self._size - self._file.tell(), 0)
        if size < 0 or size > left:
            size = left
        if size > _LARGEST_DIRECTORY:
            raise zipfile.BadZipFile
        data = b""
        try:
            while len(data) < size:
                more = self._file.read(size - len(data))
                if not more:
                    raise EOFError(f"the file has fewer than {self._size} bytes")  # noqa: TRY301  kept like others
                data += more
        except Exception as error:
            self.failure = error
            raise
        return data

    def seekable(self) -> bool:
        return True
