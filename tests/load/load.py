"""Loads the whole system on a local cloud of its own, and writes down what it measured.

    python -m tests.load.load                   300 files of 50 rows, dropped at once
    python -m tests.load.load --rows 1000000    one file of so many rows, with an open budget

Waits are as long as on AWS. Where anything does not add up it is printed, and nothing is written.
"""

import argparse
import csv
import io
import json
import os
import platform
import re
import sqlite3
import sys
import threading
import time
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import psutil

from email_accounts.models.account import FIELDS
from email_accounts.models.upload import import_id
from tests.benchmarks.samples import rows
from tests.support.cloud import ROOT, LocalCloud, Subscriber, subscribed
from tests.support.faults import workers
from tests.support.measurements import write

STATE = ROOT / ".local/load"
OTHERS = ("emulator", "fake API", "name server")
FUNCTIONS = ("submit_accounts", "check_sign_in", "check_status", "deliver_report")
FILES, ROWS_EACH = 300, 50
BAD = 0.02
BUDGET, OPEN_BUDGET = 200, 6000
LONGEST_WAIT = 900
MINUTE = 60.0
SAMPLE_SECONDS = 0.5
# An answer that came twice would have come the second time by then.
SETTLING_SECONDS = 5
EVENTS_LIMIT = 25_000


@dataclass(frozen=True, slots=True)
class Load:
    """What is dropped, and the calls a minute that are allowed."""

    files: int
    rows: int
    budget: int

    @property
    def all_rows(self) -> int:
        """Rows of all files."""
        return self.files * self.rows


@dataclass(slots=True)
class Watch:
    """What the processes of a cloud have used, looked at twice a second while they run."""

    cloud: LocalCloud
    most: Counter[str] = field(default_factory=Counter)
    peaks: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, dict[int, float]] = field(default_factory=lambda: defaultdict(dict))

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Watch for a time."""
        ended = threading.Event()

        def watch() -> None:
            while not ended.wait(SAMPLE_SECONDS):
                self._look()

        self._look()  # what fails here fails before the load
        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            yield
        finally:
            ended.set()
            watcher.join()
            self._look()

    def _look(self) -> None:
        started = json.loads((self.cloud.state / "processes.json").read_text())
        own = dict(zip(OTHERS, started, strict=True))
        found = {name: [psutil.Process(pid)] for name, (pid, _) in own.items()}
        for name, processes in (found | workers(self.cloud.state)).items():
            self.most[name] = max(self.most[name], len(processes))
            for process in processes:
                with suppress(psutil.NoSuchProcess, FileNotFoundError):
                    self.peaks[name] = max(self.peaks[name], _peak(process))
                    times = process.cpu_times()
                    self.seconds[name][process.pid] = times.user + times.system

    def shares(self) -> str:
        """Tell the processor time of all, and how it is shared."""
        seconds = {name: sum(self.seconds[name].values()) for name in (*OTHERS, *FUNCTIONS)}
        whole = sum(seconds.values())
        shares = (f"{name} {of / whole:.0%}" for name, of in seconds.items())
        return f"{whole:,.0f} seconds: {', '.join(shares)}"


def _peak(process: psutil.Process) -> int:
    """Return the most memory a process has held so far, in bytes; elsewhere, what it holds."""
    status = Path(f"/proc/{process.pid}/status")
    if status.exists():
        known = re.search(r"^VmHWM:\s*(\d+) kB$", status.read_text(), re.MULTILINE)
        return int(known[1]) << 10 if known else 0
    return int(process.memory_info().rss)


# ── The load ────────────────────────────────────────────────────────────────────────────────────


def main() -> int:
    """Run one load; 0 when all of it adds up."""
    parser = argparse.ArgumentParser(prog="python -m tests.load.load", description=__doc__)
    parser.add_argument("--rows", type=int, help="of one file, in place of 300 files of 50")
    asked = parser.parse_args().rows
    load = Load(1, asked, OPEN_BUDGET) if asked else Load(FILES, ROWS_EACH, BUDGET)
    cloud = LocalCloud(STATE)
    cloud.command("down")
    try:
        cloud.up("--auth", "--parameter", f"CallsPerMinute={load.budget}")
        lines, problems = _run(cloud, load)
    finally:
        cloud.command("down")
    text = "".join(f"| {name} | {value} |\n" for name, value in (("", ""), ("---", "---"), *lines))
    print(text)  # noqa: T201
    for problem in problems:
        print(f"wrong: {problem}")  # noqa: T201
    if problems:
        return 1
    write("large" if asked else "many", text)
    return 0


def _run(cloud: LocalCloud, load: Load) -> tuple[list[tuple[str, str]], list[str]]:
    """Drop the files and wait for their answers; return what was measured and what is wrong."""
    watch = Watch(cloud)
    with ExitStack() as stack:
        cloud.behave(completion_seconds=12)
        subscriber = stack.enter_context(subscribed(cloud))
        with watch.watching():
            began = time.monotonic()
            identities = _upload(cloud, load)
            uploaded = time.monotonic() - began
            _wait_for_answers(cloud, subscriber, identities)
            answered = time.monotonic() - began
        time.sleep(SETTLING_SECONDS)
        subscriber.receive()
        answers = Counter(
            json.loads(envelope["Message"])["importId"] for envelope in subscriber.envelopes
        )
        outcomes, known = _outcomes(cloud, identities)
        arrivals, sent = _seen_by_the_service(cloud)
        events = [events_on_aws(cloud.history(identity)) for identity in identities]
    busiest = busiest_minute(arrivals)
    sent_accounts = load.all_rows - outcomes["rejected"]
    problems = [
        text
        for wrong, text in (
            (answers != Counter(identities), f"{answers.total()} answers to {len(answers)} files"),
            (known != load.all_rows, f"{known} rows of {load.all_rows} have one outcome"),
            (set(outcomes) != {"connected", "rejected"}, f"outcomes: {dict(outcomes)}"),
            (sent != Counter({1: sent_accounts}), f"accounts by times sent: {dict(sent)}"),
            (busiest > load.budget, f"{busiest} calls in one minute"),
            (max(events) > EVENTS_LIMIT, f"{max(events)} events in one execution"),
        )
        if wrong
    ]
    counted = ", ".join(f"{count:,} {outcome}" for outcome, count in outcomes.most_common())
    lines = [
        ("files, rows in each", f"{load.files:,}, {load.rows:,}"),
        ("answers", f"{answers.total():,}, one to each file"),
        ("outcomes", f"{outcomes.total():,}: {counted}"),
        ("accounts the service received, more than once", f"{sent.total():,}, none"),
        ("calls to the service, all", f"{len(arrivals):,}"),
        ("calls in the busiest 60 seconds, allowed", f"{busiest:,}, {load.budget:,}"),
        ("upload, seconds", f"{uploaded:,.0f}"),
        ("from the first upload to the last answer, seconds", f"{answered:,.0f}"),
        ("state machine events, all executions", f"{sum(events):,}"),
        ("state machine events, largest execution, limit", f"{max(events):,}, {EVENTS_LIMIT:,}"),
        *((f"`{name}`: processes, peak memory of one", _used(watch, name)) for name in FUNCTIONS),
        ("processor time", watch.shares()),
        (
            "measured with",
            f"{os.cpu_count()} processors, Python {platform.python_version()}, batches of 100",
        ),
    ]
    return lines, problems


def _used(watch: Watch, name: str) -> str:
    return f"{watch.most[name]}, {watch.peaks[name] / (1 << 20):,.0f} MiB"


# ── The way in ──────────────────────────────────────────────────────────────────────────────────


def _upload(cloud: LocalCloud, load: Load) -> list[str]:
    store, inbox = cloud.client("s3"), cloud.environment["INBOX_BUCKET"]

    def put(key: str, content: Any) -> str:  # noqa: ANN401  bytes or a file
        stored = store.put_object(Bucket=inbox, Key=key, Body=content)
        return import_id(inbox, key, stored["VersionId"])

    made = rows(load.all_rows, BAD)
    if load.files == 1:
        path = STATE / "large.csv"
        _write(path, made)
        with path.open("rb") as file:
            return [put("uploads/large.csv", file)]
    contents = []
    for number in range(load.files):
        path = STATE / "small.csv"
        _write(path, islice(made, load.rows))
        contents.append((f"uploads/{number:03}.csv", path.read_bytes()))
    with ThreadPoolExecutor(10) as pool:
        return list(pool.map(put, *zip(*contents, strict=True)))


def _write(path: Path, made: Iterable[Sequence[str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(FIELDS)
        writer.writerows(made)


def _wait_for_answers(cloud: LocalCloud, subscriber: Subscriber, identities: list[str]) -> None:
    """Wait until there are as many answers as files; give up when nothing moves any more."""
    moved, seen = time.monotonic(), 0
    while len(subscriber.envelopes) < len(identities):
        subscriber.receive()
        calls = _count_of_calls(cloud)
        now = len(subscriber.envelopes)
        if calls + now > seen:
            moved, seen = time.monotonic(), calls + now
        if time.monotonic() - moved > LONGEST_WAIT:
            sys.exit(f"{now} of {len(identities)} answers after {calls} calls, and nothing moves")
        time.sleep(1)


# ── What came of it ─────────────────────────────────────────────────────────────────────────────


def _outcomes(cloud: LocalCloud, identities: list[str]) -> tuple[Counter[str], int]:
    """Count the outcomes of all files, and their rows that have one."""
    store, reports = cloud.client("s3"), cloud.environment["REPORTS_BUCKET"]
    outcomes: Counter[str] = Counter()
    known = 0
    for identity in identities:
        stored = store.get_object(Bucket=reports, Key=f"imports/{identity}/outcome.csv")
        text = io.StringIO(stored["Body"].read().decode("utf-8-sig"), newline="")
        numbers = set()
        for line in csv.DictReader(text):
            outcomes[line["outcome"]] += 1
            numbers.add(line["row"])
        known += len(numbers)
    return outcomes, known


def _service(cloud: LocalCloud) -> sqlite3.Connection:
    """Look into what the fake API remembers; its own list of a million accounts takes minutes."""
    return sqlite3.connect(f"file:{cloud.state}/fake_api.sqlite?mode=ro", uri=True)


def _count_of_calls(cloud: LocalCloud) -> int:
    with closing(_service(cloud)) as service:
        return int(service.execute("SELECT count(*) FROM calls").fetchone()[0])


def _seen_by_the_service(cloud: LocalCloud) -> tuple[list[float], Counter[int]]:
    """Return when each call came, in seconds, and how many accounts came how often."""
    with closing(_service(cloud)) as service:
        calls = service.execute("SELECT at FROM calls WHERE path LIKE '/v1/%'")
        arrivals = sorted(at / 1000 for (at,) in calls)
        sent = service.execute("SELECT times_sent, count(*) FROM accounts GROUP BY times_sent")
        return arrivals, Counter(dict(sent.fetchall()))


def busiest_minute(arrivals: list[float]) -> int:
    """Return the most calls that came within 60 seconds, wherever they begin."""
    return max(
        number - bisect_right(arrivals, at - MINUTE) + 1 for number, at in enumerate(arrivals)
    )


def events_on_aws(history: list[str]) -> int:
    """Count an execution's events as AWS does: the emulator leaves out that a task started."""
    return len(history) + history.count("TaskScheduled") - history.count("TaskStarted")


if __name__ == "__main__":
    sys.exit(main())
