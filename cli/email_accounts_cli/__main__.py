"""Starts `email-accounts`."""

import os
import signal

from email_accounts_cli import INTERRUPTED


def run() -> None:
    """Load the commands and run one; Ctrl-C ends it at once, whatever it is doing."""
    heard = signal.getsignal(signal.SIGINT)
    if heard is signal.default_int_handler:  # not where it is ignored, as in the background
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from email_accounts_cli.main import commands  # noqa: PLC0415  this takes its time
    from email_accounts_cli.terminal import output_written  # noqa: PLC0415  as above

    signal.signal(signal.SIGINT, heard)
    try:
        with output_written():
            commands()
    except SystemExit as ended:
        if ended.code == INTERRUPTED:
            os._exit(INTERRUPTED)  # or threads that AWS does not answer would be waited for
        raise


if __name__ == "__main__":
    run()
