"""The operator's command line: `email-accounts`."""

INTERRUPTED = 130
"""The exit code after Ctrl-C."""
