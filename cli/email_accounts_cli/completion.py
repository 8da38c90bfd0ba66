"""Shell completion of import ids and workspaces; errors and time-outs suggest nothing."""

import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from email_accounts_cli.stack import Stack

_LONGEST_WAIT = 3.0
"""Seconds to wait for suggestions."""
_MOST_IMPORTS = 50
_SINCE = 7 * 86_400


def imports(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Suggest the ids of recent imports, newest first, with the name of their files."""
    from email_accounts_cli.terminal import printable, short  # noqa: PLC0415  only at a prompt

    def recent(stack: "Stack") -> Iterable[CompletionItem]:
        from email_accounts_cli.history import History  # noqa: PLC0415  loads boto3

        now = time.time()
        for one in History(stack).ledger.by_day(now - _SINCE, now + 1):
            if one.id.startswith(incomplete):
                identity = one.id if len(incomplete) > len(short(one.id)) else short(one.id)
                yield CompletionItem(identity, help=printable(one.upload.name))

    return _found(context, recent)


def workspaces(context: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Suggest the names of workspaces."""

    def known(stack: "Stack") -> Iterable[CompletionItem]:
        from email_accounts_cli import workspaces as module  # noqa: PLC0415  loads boto3

        for one in module.workspaces(stack):
            if one.name.startswith(incomplete):
                yield CompletionItem(one.name)

    return _found(context, known)


def _found(
    context: click.Context, search: "Callable[[Stack], Iterable[CompletionItem]]"
) -> list[CompletionItem]:
    """Return what a search finds in time; an error ends it silently."""
    found: list[CompletionItem] = []

    def run() -> None:
        from email_accounts_cli.stack import find_stack  # noqa: PLC0415  loads boto3

        where = (context.params.get(name) or "" for name in ("stack", "profile", "region"))
        with suppress(Exception):
            for one in search(find_stack(*where)):
                found.append(one)
                if len(found) == _MOST_IMPORTS:
                    return

    thread = Thread(target=run, daemon=True)
    thread.start()
    thread.join(_LONGEST_WAIT)
    return list(found)
