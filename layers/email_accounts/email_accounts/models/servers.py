"""The mail servers of a domain, where they are found by DNS."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from email_accounts.models.providers import ServerPreset


class NotFound(StrEnum):
    """Why a domain has no servers."""

    NONE = "none"
    """DNS names none that a password may be sent to."""
    NO_DOMAIN = "no such domain"
    NO_ANSWER = "no answer"
    NOT_ASKED = "not asked"
    """The file has more domains than are looked up."""


@dataclass(frozen=True, slots=True)
class FoundServers:
    """The servers of a domain.

    `provider` is the service's code, `name` is for people, `by` is the kind of DNS record.
    """

    provider: str
    name: str
    by: str
    smtp: ServerPreset
    imap: ServerPreset


Found = FoundServers | NotFound
ServersOf = Callable[[str], Found | None]
"""Returns the servers of a domain in lower case; None where nothing was looked up."""
