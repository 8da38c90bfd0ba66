"""Measures reading against what others take for less, and writes them into docs/measurements.md.

Ratios of CPU time, because absolute times say nothing about another machine: both ways run
alternately in one process, and the median of the ratios of all rounds counts.
"""

import csv
import gc
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Annotated, Any, Literal

import openpyxl
from pydantic import Field, ValidationError, create_model

from email_accounts.intake.accounts_file import open_accounts_file
from email_accounts.intake.batches import plan
from email_accounts.intake.columns import recognized
from email_accounts.parsing.detect import open_records
from tests.benchmarks.samples import shared_texts, write_csv, write_json, write_workbook
from tests.support.measurements import write

ROOT = Path(__file__).parents[2]
ROUNDS = 7
ROWS, BOOK_ROWS = 100_000, 10_000
MEMORY_ROWS = (10_000, 100_000, 1_000_000)
BATCH = 100

Way = Callable[[Path], object]


@dataclass(frozen=True, slots=True)
class Result:
    """What was compared; the median, lowest and highest ratio; the mark, where there is one."""

    thing: str
    against: str
    ratios: tuple[float, ...]
    mark: float | None = None

    def line(self) -> str:
        """Return a line of the table."""
        ratio = f"{median(self.ratios):.2f}"
        if len(self.ratios) > 1:
            ratio += f" ({min(self.ratios):.2f}-{max(self.ratios):.2f})"
        if self.mark is None:
            return f"| {self.thing} | {self.against} | {ratio} | | |"
        met = "yes" if median(self.ratios) <= self.mark else "**no**"
        return f"| {self.thing} | {self.against} | {ratio} | {self.mark:.2f} | {met} |"


def main() -> None:
    """Measure everything and write the tables."""
    load = os.getloadavg()[0]
    (ROOT / ".local").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=ROOT / ".local") as folder:
        results, peaks = _measured(Path(folder))
    text = _tables(results, peaks, load)
    write("reading", text)
    print(text)  # noqa: T201


def _measured(folder: Path) -> tuple[list[Result], dict[int, float]]:
    peaks = {0: _peak(None)}
    for count in MEMORY_ROWS:
        peaks[count] = _peak(write_csv(folder / f"{count}.csv", count))
    least, *_, most = (peaks[count] for count in MEMORY_ROWS)
    results = []
    for bad, mark in ((0.0, 1.4), (0.05, 1.6), (0.5, 2.2)):
        path = write_csv(folder / "rows.csv", ROWS, bad)
        results += _csv_results(path, f"CSV planned, {bad:.0%} bad rows", mark)
    path = write_csv(folder / "rows.csv", ROWS, quoted=True)
    results += _csv_results(path, "CSV planned, every cell in quotes")[:1]
    path = write_json(folder / "rows.json", ROWS)
    json_ways = _ratios(path, _load_json, _read, _plan)
    results.append(Result("JSON array, rows read", "`json.load`", json_ways[0], 1.0))
    results.append(Result("JSON array planned", "`json.load`", json_ways[1]))
    inline = write_workbook(folder / "inline.xlsx", BOOK_ROWS)
    shared = folder / "shared.xlsx"
    shared.write_bytes(shared_texts(inline.read_bytes()))
    for path, kind in ((inline, "texts in their cells"), (shared, "shared texts, as Excel writes")):
        read, planned = _ratios(path, _openpyxl, _read, _plan)
        against = "openpyxl, read-only"
        results.append(Result(f"XLSX with {kind}, rows read", against, read, 0.5))
        results.append(Result(f"XLSX with {kind}, planned", against, planned, 0.5))
    memory = Result("peak memory of planning 1,000,000 rows", "10,000 rows", (most / least,), 1.1)
    return [*results, memory], peaks


def _csv_results(path: Path, thing: str, mark: float | None = None) -> list[Result]:
    reader, model = _ratios(path, _plan, _dict_reader, _models)
    others = (
        ("`csv.DictReader` that does nothing", reader, mark),
        ("pydantic, a model per row", model, None),
    )
    # Each ratio is that of the other way to planning.
    return [
        Result(thing, against, tuple(1 / ratio for ratio in ratios), limit)
        for against, ratios, limit in others
    ]


def _ratios(path: Path, base: Way, *ways: Way) -> list[tuple[float, ...]]:
    """Return for each way the ratios of its CPU time to that of the base, one per round."""
    rounds = []
    for _ in range(ROUNDS):
        begun = _seconds(base, path)
        rounds.append([_seconds(way, path) / begun for way in ways])
    return list(zip(*rounds, strict=True))


def _seconds(way: Way, path: Path) -> float:
    gc.collect()
    begin = time.process_time()
    way(path)
    return time.process_time() - begin


def _exhaust(things: Iterable[object]) -> None:
    deque(things, maxlen=0)


def _plan(path: Path) -> None:
    with path.open("rb") as file:
        plan(open_accounts_file(file), BATCH)


def _read(path: Path) -> None:
    with path.open("rb") as file:
        _exhaust(open_records(file, recognized).records)


def _dict_reader(path: Path) -> None:
    with path.open(newline="", encoding="utf-8") as file:
        _exhaust(csv.DictReader(file))


def _load_json(path: Path) -> None:
    with path.open(encoding="utf-8") as file:
        json.load(file)


def _openpyxl(path: Path) -> None:
    book = openpyxl.load_workbook(path, read_only=True)
    _exhaust(book.worksheets[0].iter_rows(values_only=True))
    book.close()


_Address = Annotated[str, Field(pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+$", max_length=254)]
_Filled = Annotated[str, Field(min_length=1, max_length=255)]
_Host = Annotated[str, Field(pattern=r"^[A-Za-z0-9.-]+$", max_length=253)]
_Port = Annotated[int, Field(ge=1, le=65535)]
_Encryption = Literal["ssl", "tls"]


_FIELDS: dict[str, Any] = {
    "emailServiceProvider": (Literal["gmail", "gsuite", "zoho", "microsoft", "o365", "other"], ...),
    "fromFirstName": (str, ...),
    "fromLastName": (str, ...),
    "smtpEmailAddress": (_Address, ...),
    "smtpUserName": (_Filled, ...),
    "smtpPassword": (_Filled, ...),
    "smtpHost": (_Host, ...),
    "smtpPort": (_Port, ...),
    "smtpEncryption": (_Encryption, ...),
    "imapEmailAddress": (_Address, ...),
    "imapUserName": (_Filled, ...),
    "imapPassword": (_Filled, ...),
    "imapHost": (_Host, ...),
    "imapPort": (_Port, ...),
    "imapEncryption": (_Encryption, ...),
}
_MODEL = create_model("_Model", **_FIELDS)


def _models(path: Path) -> None:
    """Ask for the errors of bad rows as well: planning names them, too."""
    with path.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            try:
                _MODEL.model_validate(row)
            except ValidationError as error:
                error.errors(include_url=False)


_PEAK = """
import pathlib, sys
from email_accounts.intake.batches import plan
from email_accounts.intake.accounts_file import open_accounts_file
if sys.argv[1:]:
    with open(sys.argv[1], "rb") as file:
        plan(open_accounts_file(file), 100)
status = pathlib.Path("/proc/self/status").read_text()
print(status.partition("VmHWM:")[2].split()[0])
"""


def _peak(path: Path | None) -> float:
    """Return the peak MiB of a process of its own; without a file, of one that is idle."""
    # What rusage says of a process includes the one that started it; this is of Linux alone.
    command = [sys.executable, "-c", _PEAK, *([str(path)] if path else [])]
    return int(subprocess.run(command, check=True, capture_output=True).stdout) / 1024


def _tables(results: list[Result], peaks: dict[int, float], load: float) -> str:
    memory = "".join(f"| {rows:,} | {peak:.1f} |\n" for rows, peak in peaks.items())
    table = "\n".join(result.line() for result in results)
    libraries = ", ".join(f"{name} {version(name)}" for name in ("pydantic", "openpyxl"))
    return f"""{os.cpu_count()} cores ({platform.machine()}, {platform.system()}), \
{platform.python_implementation()} {platform.python_version()}, {libraries}; load {load:.1f} \
when it began.

| what | against | ratio | mark: at most | met |
|---|---|---|---|---|
{table}

| rows | MiB |
|---|---|
{memory}"""


if __name__ == "__main__":
    main()
