"""Starts `email-accounts`."""

import os
import signal

from email_accounts_cli import INTERRUPTED


def run() -> None:
    """Load the commands and run one; Ctrl-C ends it at once."""
    heard = signal.getsignal(signal.SIGINT)
    if heard is signal.default_int_handler:  # background jobs ignore it
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from email_accounts_cli.main import commands  # noqa: PLC0415  this takes its time
    from email_accounts_cli.terminal import output_written  # noqa: PLC0415  as above

    signal.signal(signal.SIGINT, heard)
    try:
        with output_written():
            commands()
    except SystemExit as ended:
        if ended.code == INTERRUPTED:
            os._exit(INTERRUPTED)  # do not wait for threads that wait for AWS
        raise


if __name__ == "__main__":
    run()
