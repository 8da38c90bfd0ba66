"""Serve the fake API on loopback: `python -m local.fake_api --help`."""

from __future__ import annotations

import argparse
import signal
import socket
import sys
from contextlib import closing
from pathlib import Path

import uvicorn

from local.fake_api.app import create_app
from local.fake_api.connections import Connection, DelayingServer, Waits
from local.fake_api.store import Store

HOST = "127.0.0.1"
SHUTDOWN_SECONDS = 3


def main() -> None:
    """Serve until SIGTERM or SIGINT."""
    arguments = _arguments()
    for ending in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ending, lambda *_: sys.exit(0))
    # Bound and listening before the line is printed: its reader may call at once.
    with (
        socket.create_server((HOST, arguments.port), backlog=128) as listener,
        closing(Store(arguments.database)) as store,
    ):
        base_url = f"http://{HOST}:{listener.getsockname()[1]}"
        store.set_first_key(arguments.api_key)
        waits = Waits()
        config = uvicorn.Config(
            create_app(store, waits, base_url, arguments.control_key),
            http=Connection,
            log_level="warning",
            access_log=False,
            lifespan="off",
            timeout_graceful_shutdown=SHUTDOWN_SECONDS,
        )
        sys.stdout.write(f"listening on {base_url}\n")
        sys.stdout.flush()
        DelayingServer(config, waits).run(sockets=[listener])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="local.fake_api", description=main.__doc__)
    parser.add_argument("--port", type=int, required=True, help="0 for any free port")
    parser.add_argument("--database", type=Path, required=True, help="SQLite file, made if absent")
    for name, what in (
        ("api", "the first API key that is accepted"),
        ("control", "the key that /control demands"),
    ):
        parser.add_argument(
            f"--{name}-key-file",
            dest=f"{name}_key",
            metavar="PATH",
            type=_key,
            required=True,
            help=f"file that holds {what}",
        )
    return parser.parse_args()


def _key(path: str) -> str:
    try:
        key = Path(path).read_text(encoding="utf-8").strip()
    except OSError as error:
        msg = f"{path} cannot be read: {error.strerror}"
        raise argparse.ArgumentTypeError(msg) from error
    if not key:
        msg = f"{path} is empty"
        raise argparse.ArgumentTypeError(msg)
    return key


if __name__ == "__main__":
    main()
