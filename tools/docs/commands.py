"""Renews cli.md: options from the code (`make docs`), recordings from runs (`ALL=1`)."""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import boto3
import click
import requests

from email_accounts_cli.main import commands

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/cli.md"
COMMON = {"--stack", "--profile", "--region", "--json", "--help"}
"""Options that are explained once, above the commands."""

STEPS: dict[str, tuple[str, ...]] = {
    "check": ("email-accounts check accounts.csv",),
    "template": ("email-accounts template --json | sed -n 1,2p",),
    "workspace add": ("email-accounts workspace add north < key.txt",),
    "workspace notify": ("email-accounts workspace notify north team@mailbox.example",),
    "workspace list": ("email-accounts workspace list",),
    "workspace test": ("email-accounts workspace test north",),
    "drop": ("email-accounts drop accounts.csv",),
    "watch": ("email-accounts watch {import}",),
    "follow": ("email-accounts drop --follow --workspace north smartlead.csv",),
    "list": ("email-accounts list", "email-accounts list --workspace north --json"),
    "show": ("email-accounts show {import:.8}",),
    "report": ("email-accounts report {import:.8} --output reports",),
    "failed": ("email-accounts failed {import:.8}", "email-accounts check failed-accounts.csv"),
    "doctor": ("email-accounts doctor",),
    "redrive": ("email-accounts redrive",),
    "resume": (
        "email-accounts workspace add south < wrong-key.txt",
        "email-accounts drop --follow --workspace south instantly.csv",
        "email-accounts workspace add south --replace < key.txt",
        "email-accounts resume {last:.8}",
        "email-accounts watch {last:.8}",
    ),
    "workspace remove": ("email-accounts workspace remove north --yes",),
}
"""The commands of each recording, in the order in which they are run.

`{import}` is the import of the first file that is dropped, `{last}` that of the last one.
"""

_PIPE = r"\|"
_OPTIONS = re.compile(r"(<!-- options: ([\w ]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_RECORDING = re.compile(r"(<!-- recording: ([\w ]+) -->\n).*?(<!-- end -->)", re.DOTALL)
_DROPPED = re.compile(r"^[0-9a-f]{32}(?=  )", re.MULTILINE)
_MASKS = (
    # Lines about stages and status checks: how many appear depends on the time of each poll.
    (
        re.compile(
            r"^[\w.-]+: (queued|validating |writing |file refused|stopped, w|[\d,]+ of ).*\n",
            re.MULTILINE,
        ),
        "",
    ),
    (re.compile(r"^.* status checked.*\n", re.MULTILINE), ""),
    (re.compile(r"\b[0-9a-f]{32}\b|\b[0-9a-f]{8}-[0-9a-f-]{27}\b"), "ID"),
    (re.compile(r"\b(?=[0-9a-f]*[0-9])[0-9a-f]{8,10}\b"), "ID"),
    (re.compile(r"\b(inboxbucket|reportsbucket)-\w+"), r"\1"),
    (re.compile(r"\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+\+00:00)?"), "TIME"),
    (re.compile(r"(boto3|Python|email-accounts) \d[\d.]*\d"), r"\1 VERSION"),
    (re.compile(r"\d+ alarms?"), "ALARMS"),
    (re.compile(r" {2,}"), "  "),
    (re.compile(r" +$", re.MULTILINE), ""),
)


def renewed(page: str) -> str:
    """Return the page with the options as the code has them."""
    known = dict(every_command())
    return _OPTIONS.sub(lambda found: found[1] + _described(known, found[2]) + found[3], page)


def every_command() -> Iterator[tuple[str, click.Command]]:
    """Yield each command by its name, those of a group as `group command`."""
    for name, command in commands.commands.items():
        if isinstance(command, click.Group):
            yield from ((f"{name} {one}", inner) for one, inner in command.commands.items())
        else:
            yield name, command


def options_of(command: click.Command) -> dict[str, str]:
    """Return what the help says of each option."""
    context = click.Context(command, help_option_names=["-h", "--help"])
    records = (
        one.get_help_record(context)
        for one in command.get_params(context)
        if isinstance(one, click.Option)
    )
    return dict(record for record in records if record)


def _described(known: Mapping[str, click.Command], name: str) -> str:
    if name == "common":
        rows = {
            option: text
            for command in known.values()
            for option, text in options_of(command).items()
            if _long(option) in COMMON
        }
        return _table(rows)
    rows = {
        option: text
        for option, text in options_of(known[name]).items()
        if _long(option) not in COMMON
    }
    return _usage(known[name], name) + _table(rows)


def _usage(command: click.Command, name: str) -> str:
    context = click.Context(command, info_name=f"email-accounts {name}")
    text = re.sub(r"\s*Example: .*", "", command.help or "", flags=re.DOTALL)
    paragraphs = [" ".join(paragraph.split()) for paragraph in text.split("\n\n")]
    usage = command.get_usage(context).removeprefix("Usage: ")
    return f"`{' '.join(usage.split())}`\n\n" + "\n\n".join(paragraphs) + "\n\n"


def _long(option: str) -> str:
    """Return an option's long name, without what it takes."""
    return option.rsplit(", ", maxsplit=1)[-1].split(" ", maxsplit=1)[0]


def _table(rows: Mapping[str, str]) -> str:
    lines = "".join(
        f"| `{option.replace('|', _PIPE)}` | {' '.join(text.split())} |\n"
        for option, text in rows.items()
    )
    return f"| option | |\n| --- | --- |\n{lines}\n" if rows else ""


# Recordings


def recorded(page: str, recordings: Mapping[str, str]) -> str:
    """Return the page with these recordings."""
    return _RECORDING.sub(
        lambda found: f"{found[1]}```console\n{recordings[found[2]]}```\n{found[3]}", page
    )


def recordings_of(page: str) -> dict[str, str]:
    """Return the recordings of a page."""
    return {
        found[2]: found[0].removeprefix(f"{found[1]}```console\n").removesuffix(f"```\n{found[3]}")
        for found in _RECORDING.finditer(page)
    }


def masked(recording: str) -> str:
    """Return what does not change from run to run."""
    for pattern, instead in _MASKS:
        recording = pattern.sub(instead, recording)
    return recording


def record(exports: Mapping[str, str], api_key: str) -> dict[str, str]:
    """Run all steps on a local cloud that is otherwise unused; return what each showed.

    `exports` is the environment that leads to the cloud, `api_key` what its fake API takes.
    """
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = os.environ | exports | {"PATH": path, "TZ": "UTC", "COLUMNS": "100"}
    shown: dict[str, str] = {}
    first = last = ""
    # Long enough to show the stage, short enough not to wait long.
    behaviour = {"completion_seconds": 5}
    key = {"x-control-key": exports["CONTROL_KEY"]}
    requests.put(f"{exports['CONTROL_URL']}/behaviour", json=behaviour, headers=key, timeout=10)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copy(ROOT / "events/accounts.csv", folder)
        shutil.copy(ROOT / "tests/samples/smartlead.csv", folder)
        shutil.copy(ROOT / "tests/samples/instantly.csv", folder)
        (folder / "key.txt").write_text(api_key)
        (folder / "wrong-key.txt").write_text("no-such-key")
        for step, lines in STEPS.items():
            if step == "doctor":
                _make_a_dead_letter(exports)
            shown[step] = ""
            for line in lines:
                command = line.format(**{"import": first, "last": last})
                said = _run(command, folder, environment)
                shown[step] += f"$ {command}\n{said}"
                if dropped := _DROPPED.search(said):
                    last = dropped[0]
                    first = first or last
    return shown


def _run(command: str, folder: Path, environment: Mapping[str, str]) -> str:
    done = subprocess.run(  # noqa: S602  the commands above, of which some use pipes
        command,
        shell=True,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 1):
        sys.exit(f"{command} ended with {done.returncode}:\n{done.stdout}")
    return re.sub(r" +$", "", done.stdout, flags=re.MULTILINE)


def _make_a_dead_letter(exports: Mapping[str, str]) -> None:
    """Put an event of an existing upload into the queue of dead letters."""
    item = {"key": "uploads/accounts.csv", "size": 1}
    detail = {"bucket": {"name": exports["INBOX_BUCKET"]}, "object": item}
    queues = boto3.client(
        "sqs",
        endpoint_url=exports["AWS_ENDPOINT_URL"],
        region_name=exports["AWS_REGION"],
        aws_access_key_id=exports["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=exports["AWS_SECRET_ACCESS_KEY"],
    )
    queues.send_message(
        QueueUrl=exports["DEAD_LETTER_QUEUE_URL"],
        MessageBody=json.dumps({"detail-type": "Object Created", "detail": detail}),
    )


def main() -> None:
    """Renew the options; with `record`, run a local cloud and renew the recordings too."""
    page = renewed(PAGE.read_text(encoding="utf-8"))
    if sys.argv[1:] == ["record"]:
        page = recorded(page, _recordings_of_a_run())
    PAGE.write_text(page, encoding="utf-8")


def _recordings_of_a_run() -> dict[str, str]:
    with tempfile.TemporaryDirectory() as name:
        state = Path(name, "state")
        cloud = [sys.executable, "-m", "local.cloud", "--state", str(state)]
        try:
            subprocess.run([*cloud, "up", "--wait-scale", "0.05"], cwd=ROOT, check=True)  # noqa: S603  ours
            exports = re.findall(
                r"^export (\w+)='(.*)'$", (state / "env").read_text(), re.MULTILINE
            )
            return record(dict(exports), (state / "api-key").read_text())
        finally:
            subprocess.run([*cloud, "down"], cwd=ROOT, check=True)  # noqa: S603  ours


if __name__ == "__main__":
    main()
