"""Servers found by DNS: which domains are asked for, and the record of one import."""

import json
from collections.abc import Mapping
from typing import Any

from email_accounts.errors import ReportMissingError
from email_accounts.models.providers import ServerPreset
from email_accounts.models.servers import Found, FoundServers, NotFound, ServersOf
from email_accounts.ports import Reports

MOST_DOMAINS = 2_000
"""Domains that are looked up for one file."""
RECORD_NAME = "servers.json"


class WantedDomains:
    """Collects the domains whose servers have to be found, in the order of their first rows."""

    def __init__(self, known: ServersOf) -> None:
        """Collect what is not known."""
        self._known = known
        self._domains: dict[str, None] = {}

    def __call__(self, domain: str) -> Found:
        """Return what is known of a domain, or remember that it is wanted."""
        found = self._known(domain)
        if found is None:
            if len(self._domains) < MOST_DOMAINS:
                self._domains[domain] = None
            return NotFound.NOT_ASKED
        return found

    @property
    def domains(self) -> list[str]:
        """The first ones, at most MOST_DOMAINS."""
        return [*self._domains]


class ServerRecord:
    """What was found for an import. It is written once, before the plan; readings use it alone.

    It is read when a row first asks for it: most imports have none.
    """

    def __init__(self, reports: Reports, import_id: str) -> None:
        """Remember where it is; nothing is read yet."""
        self._reports = reports
        self._import_id = import_id
        self._found: Mapping[str, Found] | None = None
        self._is_read = False

    def __call__(self, domain: str) -> Found | None:
        """Return what was found for a domain; None where the import has no record."""
        if not self._is_read:
            self._found = self._read()
            self._is_read = True
        return None if self._found is None else self._found.get(domain, NotFound.NOT_ASKED)

    def write(self, found: Mapping[str, Found]) -> None:
        """Keep what was found, unless there is a record by now: that one counts."""
        text = json.dumps({domain: _document(one) for domain, one in found.items()})
        self._reports.create(self._import_id, RECORD_NAME, "application/json", text)
        self._is_read = False

    def _read(self) -> Mapping[str, Found] | None:
        try:
            with self._reports.open(self._import_id, RECORD_NAME) as record:
                found = json.load(record)
        except ReportMissingError:
            return None
        return {domain: _found(one) for domain, one in found.items()}


def _document(found: Found) -> object:
    if isinstance(found, NotFound):
        return found.value
    sides = (found.smtp, found.imap)
    servers = [[side.host, *([*port] for port in side.ports)] for side in sides]
    return [found.provider, found.name, found.by, *servers]


def _found(document: Any) -> Found:  # noqa: ANN401  what _document wrote
    if isinstance(document, str):
        return NotFound(document)
    provider, name, by, *sides = document
    smtp, imap = (
        ServerPreset(host, tuple((encryption, port) for encryption, port in ports))
        for host, *ports in sides
    )
    return FoundServers(provider, name, by, smtp, imap)
