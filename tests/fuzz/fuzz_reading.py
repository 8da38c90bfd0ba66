"""Coverage-guided fuzzing of reading: whatever the bytes, an answer in bounded time and memory.

In addition to exceptions, it finds answers that contradict each other: rows read and accepted at a
glance are compared with what csv.reader, the XML parser and the rules asked one by one say, and
the accounts handed out with the plan.
"""

import gzip
import hashlib
import io
import os
import random
import resource
import sys
import time
import traceback
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from unittest.mock import patch

import atheris  # type: ignore[import-untyped]
import openpyxl

with atheris.instrument_imports(include=["email_accounts"]):
    from email_accounts.errors import FileRefusedError
    from email_accounts.intake import accounts_file
    from email_accounts.intake.accounts_file import open_accounts_file
    from email_accounts.intake.batches import accounts_of, plan
    from email_accounts.intake.layouts import ALIASES, IGNORED, LAYOUTS, OPTIONAL_HEADERS
    from email_accounts.intake.rows import Accepted, RowReader, RowResult
    from email_accounts.intake.seen_addresses import SeenAddresses
    from email_accounts.models.imports import Plan
    from email_accounts.parsing.delimited import _Rows
    from email_accounts.parsing.records import Record

    # Imported here because reading does so only when it meets a workbook.
    from email_accounts.parsing.workbook import open_workbook as _instrumented  # noqa: F401

    # It imports the rules of an account.
    from tests.benchmarks.samples import shared_texts

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".local" / "fuzz"
CORPUS, FINDS = FOLDER / "corpus", FOLDER / "finds"
LARGEST = 64 << 10
MOST_SECONDS = 2.0
MOST_KIB = 300 << 10
BATCH = 3
ZIP, GZIP = b"PK\x03\x04", b"\x1f\x8b"

# Of the real size, making the table would take most of the time.
vars(accounts_file)["SeenAddresses"] = partial(SeenAddresses, 1 << 16)


class Fuzzing:
    """Runs inputs until the time is over, and keeps each kind of find once."""

    def __init__(self, minutes: float) -> None:
        """Begin to count."""
        self._begin = time.monotonic()
        self._end = self._begin + 60 * minutes
        self._executions = self._answered = 0
        self._finds: set[str] = set()
        self._peak = _peak()

    def run(self, content: bytes) -> None:
        """Read one input; never raises, so that fuzzing continues."""
        self._executions += 1
        begin = time.process_time()
        try:
            self._answered += check(content)
        except Exception as error:  # noqa: BLE001  each of them is what is looked for
            place = traceback.extract_tb(error.__traceback__)[-1]
            where = f"{Path(place.filename).stem}-{place.lineno}"
            what = str(error) if isinstance(error, AssertionError) else type(error).__name__
            self._keep(f"{what}-{where}".replace(" ", "-"), content)
        if time.process_time() - begin > MOST_SECONDS:
            self._keep("slow", content)
        if _peak() > self._peak + MOST_KIB:
            self._peak = _peak()
            self._keep("memory", content)
        if time.monotonic() > self._end:
            self._finish()

    def _keep(self, kind: str, content: bytes) -> None:
        if kind not in self._finds:
            self._finds.add(kind)
            name = f"{kind}-{hashlib.sha256(content).hexdigest()[:8]}"
            (FINDS / name).write_bytes(content)
            print(f"find: {name}", flush=True)  # noqa: T201

    def _finish(self) -> None:
        minutes = (time.monotonic() - self._begin) / 60
        print(  # noqa: T201
            f"{self._executions:,} executions in {minutes:.1f} minutes, {self._answered:,} of them "
            f"read as accounts to the end; finds: {', '.join(sorted(self._finds)) or 'none'}",
            flush=True,
        )
        # The fuzzer's own end would always be a success.
        os._exit(bool(self._finds))


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def check(content: bytes) -> bool:
    """Read a file in three ways, which have to agree; return whether it is one of accounts."""
    try:
        file = open_accounts_file(io.BytesIO(content))
        planned = plan(file, BATCH)
    except FileRefusedError as error:
        str(error).encode()
        return False
    glanced, polled = _read(content), _looked_closely(content)
    for part, glance, poll in zip(("rows", "warnings", "encodings"), glanced, polled, strict=True):
        assert glance == poll, f"{part} differ"
    assert [one.text for one in file.warnings] == glanced[1], "warnings of two readings differ"
    _hand_out(content, planned)
    return True


class _ByRulesAlone(RowReader):
    """Asks the rules about every row."""

    def rows(self, records: Iterator[Record]) -> Iterator[RowResult]:
        self.next_header = ()
        return self._validated(records)


def _looked_closely(content: bytes) -> tuple[list[object], list[str], str]:
    with (
        patch.object(accounts_file, "RowReader", _ByRulesAlone),
        patch.object(_Rows, "_split", lambda rows, lines: [*rows._parsed(lines)]),  # noqa: SLF001,
    ):
        return _read(content)


def _read(content: bytes) -> tuple[list[object], list[str], str]:
    file = open_accounts_file(io.BytesIO(content))
    answers = [*map(_answer, file.rows)]
    return answers, [one.text for one in file.warnings], file.encoding


def _answer(examined: RowResult) -> object:
    if isinstance(examined, Accepted):
        return (examined.row, examined.address, examined.account())
    return (type(examined), *examined)


def _hand_out(content: bytes, planned: Plan) -> None:
    rows = open_accounts_file(io.BytesIO(content)).rows
    accounts = sum(len(accounts_of(rows, batch)) for batch in planned.batches)
    assert accounts == planned.accepted, "plan and accounts differ"


def mutated(content: bytes, largest: int, seed: int) -> bytes:
    """Change an input: of archives mostly what is inside, which their checksums guard."""
    chance = random.Random(seed)  # noqa: S311  no secret hangs on it
    # An archive may be broken in any way: then its bytes are changed like those of any file.
    with suppress(Exception):
        if content.startswith(GZIP) and chance.random() < 0.9:
            inside = zlib.decompressobj(wbits=31).decompress(content, LARGEST)
            return _fitting(gzip.compress(mutated(inside, LARGEST, seed + 1)), content)
        if content.startswith(ZIP) and chance.random() < 0.9:
            return _fitting(_mutated_archive(content, chance), content)
    return bytes(atheris.Mutate(content, largest))


def _fitting(changed: bytes, content: bytes) -> bytes:
    return changed if len(changed) <= LARGEST else content


def _mutated_archive(content: bytes, chance: random.Random) -> bytes:
    archive = zipfile.ZipFile(io.BytesIO(content))
    names = archive.namelist()
    chosen = chance.choice(names)
    parts = []
    for name in names:
        with archive.open(name) as part:
            parts.append((name, part.read(LARGEST)))
    return _archive(
        (name, bytes(atheris.Mutate(part, LARGEST)) if name == chosen else part)
        for name, part in parts
    )


def _archive(parts: Iterable[tuple[str, bytes]]) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, part in parts:
            archive.writestr(name, part)
    return file.getvalue()


_VALUES = {
    "address": "Kim.Lake@gmail.com",
    "fullName": "Kim Lake",
    "emailServiceProvider": "google",
    "password": "abcd efgh ijkl mnop",
    "smtpPort": "465.0",
    "smtpEncryption": "true",
    "imapPort": "993",
    "imapEncryption": "ssl",
    "smtpHost": "smtp.gmail.com",
    "imapHost": "",
}
_TARGETS = {name: target for target, names in ALIASES.items() for name in (target, *names)}
_CSV_ROWS = (
    "email,password,smtp_host,smtp_port,imap_host,imap_port\n"
    "a@b.example,p,smtp.b.example,587,imap.b.example,993\n"
)
_BROKEN = {
    "space": b"email,password\na@gmail.com, \nb@gmail.com,\t\n",
    "quote": b'email,password\n"a@b.example,x\nc@d.example,y\n',
    "inner-quote": b'email,password\na@b.example,"x"y"\nc@gmail.com,y\n',
    "nul": b"email,password\na@gmail.com,\x00\n",
    "sep": b"sep=;\nemail;password\na@gmail.com;x\n",
    "long-row": b"email,password\na@gmail.com,x,y,z\n\n \nb@gmail.com\n",
    "latin": b"email,password,name\na@gmail.com,x,Zo\xeb\nb@gmail.com,y,\xff\n",
    "damaged-utf8": b"email,password,name\na@gmail.com,x,Zo\xc3\xab\nb@gmail.com,y,\xff\n",
    "cut-array": b'[{"email":"a@gmail.com","password":"x"},{"email":',
    "deep": b"[" * 2000,
    "wrapped": b'{"items": [{"email":"a@gmail.com","password":"x","smtp":{"host":"h"}}], "n": 1}',
    "titles": b"Order 4711,,\n# two\n\nemail,password,\na@gmail.com,x,\nb@gmail.com,y,\n",
    "keys": b'[{"email":"a@gmail.com","password":"x"},{"mail":1,"x":null},3,{"email":{}}]',
    "bad-line": b'{"email":"a@gmail.com","password":"x"}\n{"email"\n\n{"email":"\\ud800"}\n',
    "html": b"<html>",
    "xls": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
    "sendgrid": b"email,password,provider,imap\na@b.example,x,sendgrid,\nc@b.example,y,sendgrid,z",
}


def seeds() -> dict[str, bytes]:
    """Return small files of every format, encoding and layout, and broken ones."""
    samples = (path for path in (ROOT / "tests" / "samples").rglob("*") if path.is_file())
    made = {path.name: path.read_bytes() for path in samples}
    for name, headers in LAYOUTS.items():
        wide = (*headers, *OPTIONAL_HEADERS.get(name, ()))
        targets = [_TARGETS.get(h) or _TARGETS.get(_snake(h), "") for h in wide]
        made[name] = _csv([wide, [_VALUES.get(target, "x") for target in targets]], ",")
    for delimiter in ",;\t|":
        made[f"delimiter-{ord(delimiter)}"] = _CSV_ROWS.replace(",", delimiter).encode()
    for codec in ("utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"):
        made[codec] = _CSV_ROWS.encode(codec)
    for name in ("accounts.csv", "accounts.json", "instantly.csv"):
        made[name] = made[name][:1500]
        made[f"{name}.gz"] = gzip.compress(made[name])
    made["book"] = _workbook([line.split(",") for line in _CSV_ROWS.split()])
    made["texts"] = shared_texts(made["book"])
    made["book.gz"] = gzip.compress(made["book"])
    made["zip"] = _archive([("accounts.csv", _CSV_ROWS.encode())])
    made["truncated"] = made["book"][:-40]
    return made | _BROKEN


def _snake(header: str) -> str:
    return header.strip().lower().replace(" ", "_")


def _csv(rows: Iterable[Iterable[str]], delimiter: str) -> bytes:
    return "".join(delimiter.join(row) + "\r\n" for row in rows).encode()


def _workbook(rows: Iterable[Iterable[object]]) -> bytes:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for row in rows:
        sheet.append(list(row))
    file = io.BytesIO()
    book.save(file)
    return file.getvalue()


def _words() -> str:
    """Return what a file may say that chance would hardly find, as libFuzzer's dictionary."""
    words = [*ALIASES, *_TARGETS, *IGNORED, *_VALUES.values(), "sep=;", "\\ud800", "sendgrid"]
    words += ["office365", "microsoft", "starttls", "implicit", "@yahoo.com", "o365", "587", "2525"]
    words += ['t="inlineStr"', 't="s"', "<v>", "</v>", "<rPh>", 'r="XFD1048576"', "_x000D_"]
    escaped = (word.replace("\\", "\\\\").replace('"', '\\"') for word in dict.fromkeys(words))
    return "".join(f'"{word}"\n' for word in escaped if word)


def main(minutes: float) -> None:
    """Fuzz for so many minutes; the exit status shows whether there were finds."""
    for folder in (CORPUS, FINDS):
        folder.mkdir(parents=True, exist_ok=True)
    for name, content in seeds().items():
        (CORPUS / name.replace(" ", "-")).write_bytes(content)
    dictionary = FOLDER / "words"
    dictionary.write_text(_words())
    options = [f"-max_len={LARGEST}", f"-dict={dictionary}", "-timeout=60", "-rss_limit_mb=0"]
    atheris.Setup(
        [sys.argv[0], *options, f"-artifact_prefix={FINDS}/", str(CORPUS)],
        Fuzzing(minutes).run,
        custom_mutator=mutated,
    )
    atheris.Fuzz()


if __name__ == "__main__":
    main(float(sys.argv[1]))
