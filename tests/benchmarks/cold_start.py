"""Measures cold starts of the built artefact, and writes them into docs/measurements.md.

    python -m tests.benchmarks.cold_start BUILD_DIRECTORY        (what `sam build` made)

A cold start is a fresh process that imports a handler and makes its clients: the handler from
its artefact, everything else from the layer, with files dated 1980 as Lambda unpacks them and
bytecode writing off. Ratios of CPU time to that of `import boto3; boto3.client("s3")` of an
installed boto3, because absolute times say nothing about another machine; all ways alternate.
"""

import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import median

from tests.support.measurements import write
from tests.support.template import template

ROUNDS = 15
MARK = 1.2
_1980 = 315_532_800

HANDLERS = {
    "submit_accounts": ("SubmitAccounts", "_submitter"),
    "check_sign_in": ("CheckSignIn", "_checker"),
    "check_status": ("CheckStatus", "_poller"),
    "deliver_report": ("DeliverReport", "_deliverer"),
}
"""Each handler's artefact, and what makes its clients."""
BASE = ("-c", 'import boto3; boto3.client("s3")')
ENVIRONMENT = {
    "AWS_ACCESS_KEY_ID": "none",
    "AWS_SECRET_ACCESS_KEY": "none",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_CONFIG_FILE": os.devnull,
    "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    "POWERTOOLS_SERVICE_NAME": "service",
    # Nothing is called, so anything that is both a text and a number will do.
    **dict.fromkeys(template()["Globals"]["Function"]["Environment"]["Variables"], "1"),
    "API_BASE_URL": "https://api.example",
    "SIGN_IN_CHECK": "off",
    "NAME_SERVER": "",
}


def main(build: Path) -> None:
    """Measure everything and write the tables."""
    with tempfile.TemporaryDirectory() as folder:
        compiled, plain = Path(folder, "compiled"), Path(folder, "plain")
        sizes = _unpacked(build, compiled)
        shutil.copytree(compiled, plain, ignore=shutil.ignore_patterns("__pycache__"))
        for path in (*compiled.rglob("*"), *plain.rglob("*")):
            os.utime(path, (_1980, _1980))
        ratios = _ratios(compiled, plain)
    text = _tables(ratios, sizes)
    write("cold", text)
    print(text)  # noqa: T201  a command says what it found


def _unpacked(build: Path, folder: Path) -> dict[str, tuple[int, int]]:
    """Pack each artefact and unpack it; return its bytes packed and unpacked."""
    sizes = {}
    for name in ("EmailAccountsLayer", *(artefact for artefact, _ in HANDLERS.values())):
        packed = shutil.make_archive(str(folder) + name, "zip", build / name)
        with zipfile.ZipFile(packed) as archive:
            archive.extractall(folder / name)
            unpacked = sum(item.file_size for item in archive.infolist())
            sizes[name] = (Path(packed).stat().st_size, unpacked)
    return sizes


def _ratios(compiled: Path, plain: Path) -> dict[tuple[str, str], list[float]]:
    """Return the ratios of every round, by handler and kind of artefact."""
    found: dict[tuple[str, str], list[float]] = {}
    _seconds(BASE)  # its bytecode is written, whatever was installed
    for _ in range(ROUNDS):
        base = _seconds(BASE)
        for handler, (artefact, makes_clients) in HANDLERS.items():
            for kind, folder in (("before", plain), ("after", compiled)):
                paths = (folder / artefact, folder / "EmailAccountsLayer" / "python")
                environment = {
                    "PYTHONPATH": os.pathsep.join(map(str, paths)),
                    "PYTHONDONTWRITEBYTECODE": "1",
                }
                code = f"import {handler}; {handler}.{makes_clients}()"
                seconds = _seconds(("-c", code), environment)
                found.setdefault((handler, kind), []).append(seconds / base)
    return found


def _seconds(command: Iterable[str], environment: Mapping[str, str] | None = None) -> float:
    """Return the CPU seconds of a fresh process."""
    begun = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [sys.executable, *command], env=ENVIRONMENT | dict(environment or {}), check=True
    )
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return ended.ru_utime + ended.ru_stime - begun.ru_utime - begun.ru_stime


def _tables(
    ratios: Mapping[tuple[str, str], list[float]], sizes: Mapping[str, tuple[int, int]]
) -> str:
    lines = []
    for handler in HANDLERS:
        before, after = (ratios[handler, kind] for kind in ("before", "after"))
        met = "yes" if median(after) <= MARK else "**no**"
        lines.append(f"| {handler} | {_range(before)} | {_range(after)} | {MARK} | {met} |")
    packages = [
        f"| {name} | {packed / 1e6:.2f} | {unpacked / 1e6:.2f} |"
        for name, (packed, unpacked) in sizes.items()
    ]
    return f"""{os.cpu_count()} cores ({platform.machine()}, {platform.system()}), \
Python {platform.python_version()}.

| handler | before | after | mark: at most | met |
|---|---|---|---|---|
{chr(10).join(lines)}

| artefact | MB packed | MB unpacked |
|---|---|---|
{chr(10).join(packages)}
"""


def _range(ratios: list[float]) -> str:
    return f"{median(ratios):.2f} ({min(ratios):.2f}-{max(ratios):.2f})"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
