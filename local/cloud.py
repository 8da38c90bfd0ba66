"""The local cloud: the whole system on this computer, deployed by the commands used for AWS.

    python -m local.cloud [--state DIRECTORY] up | down | status | run FILE

`up` starts the emulator, the fake API and a name server on free ports of 127.0.0.1, builds
and deploys the template, and leaves everything running; `run` imports one file end to end.
Several clouds can run side by side, each with a state directory of its own. Each takes requests
with its own keys alone; they and all else in that directory are for its owner only.
"""

import argparse
import contextlib
import fcntl
import getpass
import hashlib
import json
import os
import re
import secrets
import shlex
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from email import message_from_bytes, policy
from pathlib import Path
from urllib.parse import urlsplit

import boto3

from email_accounts_cli.terminal import output_written
from local import processes

ROOT = Path(__file__).resolve().parent.parent
STACK = "email-accounts"
REGION = "us-east-1"
MAIL_ADDRESS = "you@mailbox.example"
SOURCES = ("template.yaml", "samconfig.toml", "statemachines", "functions", "layers")
# All clouds of a checkout deploy the same build.
BUILD = ROOT / ".local/build"
# Variables that the functions inherit from this computer, in addition to Lambda's.
PASSED_ON = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "REQUESTS_CA_BUNDLE",
)
PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy")
START_SECONDS = 30


class CloudError(Exception):
    """The local cloud failed; the text names the reason and the log to read."""


class FileError(Exception):
    """The file cannot be uploaded; the text says why."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What `up` was asked for. No address of an API means: with the fake API."""

    api_base_url: str
    wait_scale: float
    auth: bool
    workers: int
    parameters: tuple[str, ...]


DEFAULTS = Settings(api_base_url="", wait_scale=1.0, auth=False, workers=4, parameters=())


@dataclass(frozen=True, slots=True)
class Cloud:
    """A running cloud: how it was asked for, what it was built from, and the ways into it."""

    settings: Settings
    aws: dict[str, str]
    """The environment of who may use its AWS: the endpoint and the keys."""
    api_base_url: str
    control: dict[str, str]
    """The environment of who may set the fake API's switches; empty with another API."""
    name_server: str = ""
    """Its name server, as `address:port`; empty with another API: this computer's are asked."""
    sources: str = ""
    outputs: dict[str, str] = field(default_factory=dict)

    @property
    def endpoint(self) -> str:
        """The address of its AWS."""
        return self.aws["AWS_ENDPOINT_URL"]


class State:
    """The directory of one cloud. It contains passwords while the cloud runs."""

    def __init__(self, path: Path) -> None:
        """Name what is in the directory; nothing is made yet."""
        self.path = path
        self.record = path / "processes.json"
        self.cloud = path / "cloud.json"
        """The running cloud, written when all of it runs."""
        self.environment = path / "env"
        """Shell exports for `email-accounts`, `aws`, `sam` and boto3."""
        self.api_key = path / "api-key"
        self.control_key = path / "control-key"
        self.database = path / "fake_api.sqlite"
        self.emulator = path / "emulator"
        """What the emulator and the functions in it write, mail included."""

    def log(self, name: str) -> Path:
        """Where `name` writes what it does."""
        return self.path / f"{name}.log"

    @contextlib.contextmanager
    def alone(self) -> Iterator[None]:
        """Keep a second command from starting or stopping the same cloud meanwhile."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._shut_out_others()
        with _locked(self.path / "lock"):
            yield
        self._shut_out_others()  # pip makes some files executable for all, whatever the umask

    def _shut_out_others(self) -> None:
        """Take from other users what they may do with the directory or anything in it."""
        for folder, _, files in os.walk(self.path):
            for path in (Path(folder), *(Path(folder, name) for name in files)):
                with contextlib.suppress(FileNotFoundError):  # by the emulator, meanwhile
                    mode = path.lstat().st_mode
                    if not stat.S_ISLNK(mode):
                        path.chmod(mode & stat.S_IRWXU)


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


# ── up and down ─────────────────────────────────────────────────────────────────────────────────


def up(state: State, settings: Settings, own_api_key: str) -> Cloud:
    """Have a cloud with these settings and today's sources running, whatever runs now."""
    with state.alone():
        cloud = running(state)
        if cloud and cloud.settings != settings:
            print("The running local cloud has other settings: starting a new one.")
            cloud = None
        if not cloud:
            return _start(state, settings, own_api_key)
        os.environ.update(cloud.aws)
        if cloud.sources != _digest():
            cloud = _deploy(state, cloud)
        if own_api_key:
            _put_api_key(own_api_key)
        return cloud


def down(state: State) -> bool:
    """Stop all that was started and remove all that could hold a password; False: nothing ran."""
    with state.alone():
        found = state.record.exists()
        _stop(state)
        return found


def running(state: State) -> Cloud | None:
    """Find the cloud that runs now, whole and well."""
    if not state.cloud.exists() or not processes.all_running(state.record):
        return None
    known = json.loads(state.cloud.read_text())
    asked = known.pop("settings")
    parameters = tuple(asked.pop("parameters"))
    with contextlib.suppress(TypeError):  # another version's, to be replaced
        return Cloud(settings=Settings(parameters=parameters, **asked), **known)
    return None


def _start(state: State, settings: Settings, own_api_key: str) -> Cloud:
    _stop(state)
    try:
        cloud = serve(state, settings)
        os.environ.update(cloud.aws)
        cloud = _deploy(state, cloud)
        _put_api_key(own_api_key or state.api_key.read_text())
    except BaseException:
        _stop(state)
        raise
    return cloud


def serve(state: State, settings: Settings) -> Cloud:
    """Start the emulator, and the fake API unless another API is asked for."""
    with _step("Starting the emulator"):
        aws = _start_emulator(state, settings)
    if settings.api_base_url:
        return Cloud(settings, aws, settings.api_base_url, {})
    with _step("Starting the fake API"):
        address, key = _start_fake_api(state)
    with _step("Starting the name server"):
        name_server = _start_server(state, "name_server")
    control = {"CONTROL_URL": f"{address}/control", "CONTROL_KEY": key}
    return Cloud(settings, aws, f"{address}/v1", control, name_server)


def _stop(state: State) -> None:
    processes.stop(state.record)
    for file in (state.cloud, state.environment, state.api_key, state.control_key):
        file.unlink(missing_ok=True)
    for file in state.path.glob(f"{state.database.name}*"):
        file.unlink()
    shutil.rmtree(state.emulator, ignore_errors=True)


def _start_emulator(state: State, settings: Settings) -> dict[str, str]:
    """Return the environment of who may use it; its keys are made here."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        address = probe.getsockname()
    aws = {
        "AWS_ACCESS_KEY_ID": f"AKIA{secrets.token_hex(8).upper()}",
        "AWS_SECRET_ACCESS_KEY": secrets.token_hex(20),
        "AWS_DEFAULT_REGION": REGION,
        "AWS_REGION": REGION,
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{address[1]}",
    }
    temporary = state.emulator / "tmp"
    temporary.mkdir(parents=True)
    environment = {
        name: os.environ[name] for name in (*PASSED_ON, *PROXIES) if name in os.environ
    } | {
        **aws,
        "AUTH": str(settings.auth).lower(),
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(address[1]),
        "MINISTACK_HOST": "127.0.0.1",
        # Both would listen on every address of this computer.
        "IOT_MTLS_ENABLED": "0",
        "SFTP_ENABLED": "0",
        "PYTHONDONTWRITEBYTECODE": "1",
        "S3_DATA_DIR": str(state.emulator / "s3"),
        "SFN_WAIT_SCALE": str(settings.wait_scale),
        "STATE_DIR": str(state.emulator / "state"),
        "TMPDIR": str(temporary),
        "WORKERS_PER_FUNCTION": str(settings.workers),
    }
    python = ROOT / ".venvs/emulator/bin/python"
    log = state.log("emulator")
    command = [str(python), str(ROOT / "local/emulator.py"), str(state.emulator)]
    child = processes.start(state.record, command, log, environment, state.emulator)

    def ready() -> str:
        with contextlib.suppress(OSError):
            socket.create_connection(address, 5).close()
            return "listening"
        return ""

    _wait_for(ready, child, log)
    return aws


def _start_fake_api(state: State) -> tuple[str, str]:
    """Return its address and the key to its switches; its keys are made here."""
    # Signs that every way of quoting changes: where it is seen, it is seen as it is.
    state.api_key.write_text(f"key-{secrets.token_hex(8)}\"'&<%+/=>\\,;#9")
    control_key = secrets.token_hex(20)
    state.control_key.write_text(control_key)
    arguments = ["--database", str(state.database), "--api-key-file", str(state.api_key)]
    arguments += ["--control-key-file", str(state.control_key)]
    return _start_server(state, "fake_api", *arguments), control_key


def _start_server(state: State, name: str, *arguments: str) -> str:
    """Start a server of this project on a free port; return its address."""
    log = state.log(name.replace("_", "-"))
    command = [sys.executable, "-m", f"local.{name}", "--port", "0", *arguments]
    child = processes.start(state.record, command, log, os.environ, ROOT)
    return _wait_for(lambda: _listening(log), child, log)


def _listening(log: Path) -> str:
    """Return where a server has said that it listens."""
    said = re.search(r"^listening on (\S+)$", log.read_text(), re.MULTILINE)
    return said[1] if said else ""


def _wait_for(ready: Callable[[], str], child: subprocess.Popen[bytes], log: Path) -> str:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end and child.poll() is None:
        if address := ready():
            return address
        time.sleep(0.05)
    raise CloudError(f"it did not start. {_end_of(log)}")


# ── sam build, sam deploy ───────────────────────────────────────────────────────────────────────


def _deploy(state: State, cloud: Cloud) -> Cloud:
    """Build and deploy today's sources, and write down what came of it."""
    sources = _digest()
    host = urlsplit(cloud.api_base_url).hostname or ""
    parameters = [
        f"ApiBaseUrl={cloud.api_base_url}",
        f"NotificationEmail={MAIL_ADDRESS}",
        f"NameServer={cloud.name_server}",
        *([f"TrustedReportHosts={host}"] if host in {"127.0.0.1", "localhost"} else []),
        *cloud.settings.parameters,
    ]
    build = ["--build-dir", str(BUILD), "--cache-dir", f"{BUILD}-cache"]
    deploy = ["--config-file", str(ROOT / "samconfig.toml"), "--no-confirm-changeset"]
    deploy += ["--no-fail-on-empty-changeset", "--template-file", str(BUILD / "template.yaml")]
    BUILD.parent.mkdir(mode=0o700, exist_ok=True)
    with _locked(BUILD.with_suffix(".lock")):
        with _step("Building the functions (sam build)"):
            _sam(state, "build", *build)
        with _step("Deploying the stack (sam deploy)"):
            _sam(state, "deploy", *deploy, "--parameter-overrides", *parameters)
    cloud = replace(cloud, sources=sources, outputs=_outputs())
    state.environment.write_text(_exports(cloud))
    state.cloud.write_text(json.dumps(asdict(cloud)))
    return cloud


def _sam(state: State, *arguments: str) -> None:
    tools = ROOT / ".venvs/sam/bin"
    home = state.path / "sam"
    home.mkdir(exist_ok=True)
    environment = {
        **os.environ,
        "PATH": f"{tools}{os.pathsep}{os.environ['PATH']}",
        "SAM_CLI_POLL_DELAY": "0.5",
        "SAM_CLI_TELEMETRY": "0",
        # Else it remembers things in the user's home, and leaves empty folders in the common one.
        "__SAM_CLI_APP_DIR": str(home),
        "TMPDIR": str(home),
    }
    log = state.log(f"sam-{arguments[0]}")
    with log.open("wb") as output:
        done = subprocess.run(
            [tools / "sam", *arguments],
            check=False,
            cwd=ROOT,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    if done.returncode:
        raise CloudError(f"sam {arguments[0]} failed. {_end_of(log)}")


def _outputs() -> dict[str, str]:
    stacks = boto3.client("cloudformation")
    stack = stacks.describe_stacks(StackName=STACK)["Stacks"][0]
    return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}


def _put_api_key(api_key: str) -> None:
    store = boto3.client("secretsmanager")
    store.put_secret_value(SecretId=f"{STACK}/workspaces/default", SecretString=api_key)


def _digest() -> str:
    """Return whether anything that is deployed has changed."""
    digest = hashlib.sha256()
    files = [file for source in SOURCES for file in (ROOT / source, *(ROOT / source).rglob("*"))]
    for file in sorted(files):
        if file.is_file() and "__pycache__" not in file.parts:
            digest.update(f"{file.relative_to(ROOT)}\n".encode() + file.read_bytes())
    return digest.hexdigest()


# ── The environment ──────────────────────────────────────────────────────────────────────────────


def _exports(cloud: Cloud) -> str:
    values = cloud.aws | cloud.control | {"STACK_NAME": STACK}
    for name, value in cloud.outputs.items():
        shell_name = re.sub(r"(?<=[a-z])(?=[A-Z])", "_", name).upper().removesuffix("_NAME")
        values[shell_name] = value
    commands = shlex.quote(str(Path(sys.executable).parent))
    lines = ["unset AWS_PROFILE AWS_SESSION_TOKEN", f'export PATH={commands}:"$PATH"']
    lines += [f"export {name}='{value}'" for name, value in values.items()]
    return "\n".join(lines) + "\n"


def _forget_the_surroundings() -> str:
    """Keep the user's AWS settings, an outer make and an API key away from all that is started.

    Returns the API key, if there is one.
    """
    api_key = os.environ.pop("API_KEY", "")
    for name in list(os.environ):
        if name.startswith(("AWS_", "PYTHON", "MAKE", "MFLAGS")) or name == "VIRTUAL_ENV":
            del os.environ[name]
    os.environ["AWS_CONFIG_FILE"] = os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.devnull
    os.environ["NO_PROXY"] = os.environ["no_proxy"] = ",".join(
        filter(None, (os.environ.get("NO_PROXY") or os.environ.get("no_proxy"), "127.0.0.1"))
    )
    return api_key


# ── The command line ────────────────────────────────────────────────────────────────────────────


@contextlib.contextmanager
def _step(text: str) -> Iterator[None]:
    print(f"{text} … ", end="", flush=True)
    began = time.monotonic()
    try:
        yield
    except BaseException:
        print("failed")
        raise
    print(f"{time.monotonic() - began:.1f} s", flush=True)


def _end_of(log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()[-15:]
    return "\n".join([f"The end of {_shown(log)}:", *(f"  {line}" for line in lines)])


def _shown(path: Path) -> str:
    """Name a path as short as it can be typed."""
    with contextlib.suppress(ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local.cloud", description="The local cloud.")
    parser.add_argument("--state", type=Path, default=ROOT / ".local", help="its directory")
    commands = parser.add_subparsers(dest="command", required=True)
    start = commands.add_parser("up", help="start it and keep it, or bring it up to date")
    start.add_argument(
        "--api-base-url", default="", help="another API; its key is in API_KEY or on stdin"
    )
    start.add_argument("--wait-scale", type=float, default=1.0, help="0.05: waits 20 times shorter")
    start.add_argument("--auth", action="store_true", help="hold functions to their permissions")
    start.add_argument(
        "--workers",
        type=int,
        default=DEFAULTS.workers,
        choices=range(1, 101),
        metavar="N",
        help="processes of one function at most (4)",
    )
    start.add_argument(
        "--parameter", action="append", default=[], metavar="NAME=VALUE", help="of the template"
    )
    commands.add_parser("down", help="stop it")
    commands.add_parser("status", help="say what runs")
    take = commands.add_parser("run", help="import a file end to end")
    take.add_argument("file", type=Path)
    return parser.parse_args()


def _up(state: State, arguments: argparse.Namespace, api_key: str) -> None:
    if arguments.api_base_url and not api_key:
        # No argument: those are seen by every user of this computer.
        on_a_terminal = sys.stdin.isatty()
        api_key = (getpass.getpass("API key: ") if on_a_terminal else sys.stdin.read()).strip()
    if bool(arguments.api_base_url) != bool(api_key):
        raise CloudError(
            "another API needs both its address and its key, in the environment variable API_KEY"
            " or on stdin: make up API_BASE_URL=https://… < key.txt"
        )
    settings = Settings(
        arguments.api_base_url,
        arguments.wait_scale,
        arguments.auth,
        arguments.workers,
        tuple(arguments.parameter),
    )
    cloud = up(state, settings, api_key)
    print(f"The local cloud runs at {cloud.endpoint}, the API at {cloud.api_base_url}.")
    print(f"For email-accounts, aws, sam and boto3: . {_shown(state.environment)}")


def _status(state: State) -> None:
    cloud = running(state)
    if not cloud:
        print("No local cloud is running.")
        return
    print(f"The local cloud runs at {cloud.endpoint}, the API at {cloud.api_base_url}.")
    if cloud.sources != _digest():
        print("The sources have changed since: make up deploys them.")
    for name, value in cloud.outputs.items():
        print(f"  {name}: {value}")


def _run(state: State, file: Path) -> None:
    """Drop the file, follow it and print its mail, on the running cloud or one for it alone."""
    if not file.is_file():
        what = "is not a file" if file.exists() else "does not exist"
        raise FileError(f"{file} {what}. Name a file of accounts: make run FILE=<path>")
    cloud = running(state)
    started_here = cloud is None
    try:
        if cloud is None:
            cloud = up(state, DEFAULTS, "")
        os.environ.update(cloud.aws)
        dropped = _email_accounts("drop", "--anyway", "--json", str(file), output=subprocess.PIPE)
        import_id = json.loads(dropped)["importId"]
        _email_accounts("watch", import_id)
        if not (mail := _mail_about(import_id, state.emulator / "mail")):
            _save_logs(state.log("functions"))
            logs = ", ".join(
                _shown(state.log(one)) for one in ("functions", "emulator", "fake-api")
            )
            raise CloudError(f"import {import_id} has no mail. What happened is in {logs}.")
        print(f"\n{mail}\n", flush=True)
        folder = state.path / "reports" / import_id
        _email_accounts("report", import_id, "--output", str(folder), output=subprocess.DEVNULL)
        print(f"Reports: {_shown(folder)}/")
    finally:
        if started_here:
            down(state)
    if started_here:
        print(
            "The cloud and its imports are gone. To use email-accounts: make up, then "
            f". {_shown(state.environment)}, then make run again."
        )


def _email_accounts(command: str, *arguments: str, output: int | None = None) -> str:
    """Run a command of `email-accounts` on the stack; return what it printed, if it is piped."""
    done = subprocess.run(
        [sys.executable, "-m", "email_accounts_cli", command, "--stack", STACK, *arguments],
        check=False,
        stdout=output,
        text=True,
    )
    if done.returncode not in {0, 1}:  # 1: some row is not connected
        raise CloudError(f"email-accounts {command} failed.")
    return done.stdout or ""


def _mail_about(import_id: str, folder: Path) -> str:
    """Return the mail on an import as its subscriber gets it; "" where there is none."""
    for file in folder.glob("*.eml"):
        letter = message_from_bytes(file.read_bytes(), policy=policy.default)
        body = letter.get_body()
        text = str(body.get_content() if body else "").rstrip()
        if import_id in text:
            head = (f"{name}: {letter[name]}" for name in ("From", "To", "Subject"))
            return "\n".join([*head, "", text])
    return ""


def _save_logs(target: Path) -> None:
    """Write what all functions logged into one file, in the order of time."""
    logs = boto3.client("logs")
    groups = logs.describe_log_groups(logGroupNamePrefix="/aws/lambda/")["logGroups"]
    pages = logs.get_paginator("filter_log_events")
    events = [
        event
        for group in groups
        for page in pages.paginate(logGroupName=group["logGroupName"])
        for event in page["events"]
    ]
    events.sort(key=lambda event: event["timestamp"])
    target.write_text("".join(f"{event['message'].rstrip()}\n" for event in events))


def main() -> int:
    """Do what the command line says; 0 done, 1 not done, 2 cannot be done as asked."""
    os.umask(0o077)
    # Ends by an exception, so that what was started half is stopped.
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: sys.exit(1))
    api_key = _forget_the_surroundings()
    arguments = _arguments()
    state = State(arguments.state.resolve())
    try:
        match arguments.command:
            case "up":
                _up(state, arguments, api_key)
            case "down":
                print("Stopped." if down(state) else "No local cloud is running.")
            case "status":
                _status(state)
            case "run":
                _run(state, arguments.file)
    except FileError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except CloudError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        return 130
    return 0


if __name__ == "__main__":
    with output_written():
        sys.exit(main())
