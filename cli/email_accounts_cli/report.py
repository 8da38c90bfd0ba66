"""Download the reports of an import."""

import re
from pathlib import Path

import click
from boto3.s3.transfer import TransferConfig

from email_accounts.models.imports import OUTCOME_NAME
from email_accounts_cli.history import RUNNING, History
from email_accounts_cli.stack import Stack
from email_accounts_cli.terminal import ALL_WELL, CommandError, counted, echo, print_json, short

_PAGE = "report.html"
_PART = re.compile(r"[A-Za-z0-9._-]+")
"""The names of reports: no backslash, no drive."""

_PLAIN = TransferConfig(use_threads=False)


def report(stack: Stack, given: str, output: Path | None, *, opened: bool, as_json: bool) -> int:
    """Download all reports of an import into a folder; open the page if asked to."""
    history = History(stack)
    imported = history.find(given)
    prefix = f"imports/{imported.id}/"
    names = [
        entry["Key"].removeprefix(prefix)
        for page in history.s3.get_paginator("list_objects_v2").paginate(
            Bucket=history.reports_bucket, Prefix=prefix
        )
        for entry in page.get("Contents", [])
    ]
    if not names:
        running = history.ending(imported).status == RUNNING
        raise CommandError(
            f"There is no report on {imported.upload.name} yet. Watch the import: "
            f"email-accounts watch {short(imported.id)}"
            if running
            else f"There is no report on {imported.upload.name}. See what is known: "
            f"email-accounts show {short(imported.id)}"
        )
    folder = output or Path(imported.id)
    places = {name: _place(folder, name) for name in names}
    try:
        for name, place in places.items():
            place.parent.mkdir(parents=True, exist_ok=True)
            place.touch(exist_ok=False)
            address = history.reports_bucket, prefix + name
            history.s3.download_file(*address, str(place), Config=_PLAIN)
    except OSError as error:
        raise CommandError(
            f"{folder}: {error.strerror}. Name another folder with --output."
        ) from None
    shown = next((name for name in (_PAGE, OUTCOME_NAME) if name in names), names[0])
    if as_json:
        print_json(
            {
                "importId": imported.id,
                "folder": str(folder),
                "files": names,
                "address": f"s3://{history.reports_bucket}/{prefix}",
            }
        )
    else:
        echo(f"{counted(len(names), 'file')} in {folder}: {', '.join(names)}")
    if opened:
        click.launch(str(folder / shown))
    return ALL_WELL


def _place(folder: Path, name: str) -> Path:
    """Return where an object is downloaded to: a new file inside the folder."""
    parts = name.split("/")
    if any(part in ("", ".", "..") or not _PART.fullmatch(part) for part in parts):
        raise CommandError(f"{name} is not the name of a report. Nothing was downloaded.")
    place = folder.joinpath(*parts)
    if place.exists() or place.is_symlink():
        raise CommandError(f"{place} exists: name another folder with --output.")
    return place
