"""How fast mail servers are signed in to, and when it stops: one brake per machine.

Pure values: the ledger keeps them and changes them atomically, so that all imports share them.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum

from email_accounts.models.providers import OTHER, family_of, provider_of_host

_MOST_SILENT = 3
_FORGOTTEN_AFTER = 900.0
"""Seconds after the last refusal for which a host stays closed: servers that ban an address mostly
count the refusals of ten minutes."""
_LONGEST_ATTEMPT = 30.0
"""Seconds after which an attempt without a result counts as over."""


@dataclass(frozen=True, slots=True)
class Pace:
    """How many attempts at once, seconds between two, and refusals in a row that close a host."""

    at_once: int
    pause: float
    most_refused: int


_BIG = Pace(10, 0.1, 50)
_OTHER = Pace(2, 0.5, 3)
"""With one attempt under way these are four: programs that ban an address mostly do at five."""


def pace_of(host: str) -> Pace:
    """Return the limits of a host: big providers allow more than private servers."""
    return _BIG if family_of(OTHER, host).name else _OTHER


def machine_of(host: str, addresses: Sequence[str]) -> tuple[str, str]:
    """Return whose brake an attempt at a host counts for, and to which address it goes.

    Who bans, bans at one machine: at an address, so that `smtp.x` and `imap.x` count together, and
    whatever else is there. A known provider is one machine, because its names have many addresses;
    a big one takes so much that each of its hosts counts for itself.
    """
    if pace_of(host) is _BIG:
        return host, addresses[0]
    provider = provider_of_host(host)
    if provider:
        return provider.name, addresses[0]
    # The same one each time; of the kind that the resolver puts first, because it is reachable.
    address = min(one for one in addresses if (":" in one) is (":" in addresses[0]))
    return address, address


class Reply(StrEnum):
    """What an attempt shows about a host."""

    SIGNED_IN = "signed_in"
    REFUSED = "refused"
    LATER = "later"
    SILENT = "silent"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Admission:
    """Whether an attempt may begin: it may not while `wait` seconds are left, or if `closed`."""

    wait: float = 0.0
    closed: str = ""


@dataclass(frozen=True, slots=True)
class HostBrake:
    """The attempts under way, each with its end at the latest, and what came of the last ones.

    Times are seconds since the epoch.
    """

    next_at: float = 0.0
    running: tuple[tuple[str, float], ...] = ()
    refused: int = 0
    silent: int = 0
    changed_at: float = 0.0
    closed: str = ""

    def enter(self, attempt: str, now: float, pace: Pace) -> tuple["HostBrake", Admission]:
        """Begin an attempt if that is allowed now."""
        brake = self._as_of(now)
        if brake.closed:
            return self, Admission(closed=brake.closed)
        if len(brake.running) >= pace.at_once:
            return self, Admission(wait=pace.pause)
        if brake.next_at > now:
            return self, Admission(wait=brake.next_at - now)
        running = (*brake.running, (attempt, now + _LONGEST_ATTEMPT))
        return replace(brake, running=running, next_at=now + pace.pause), Admission()

    def leave(self, attempt: str, reply: Reply, now: float, pace: Pace) -> "HostBrake":
        """End an attempt."""
        brake = self._as_of(now)
        brake = replace(brake, running=tuple(one for one in brake.running if one[0] != attempt))
        match reply:
            case Reply.SIGNED_IN:
                return replace(brake, refused=0, silent=0)
            case Reply.REFUSED:
                brake = replace(brake, refused=brake.refused + 1, silent=0, changed_at=now)
            case Reply.SILENT:
                brake = replace(brake, silent=brake.silent + 1, changed_at=now)
            case Reply.LATER:
                closed = "the mail server asked to try later"
                return replace(brake, closed=closed, changed_at=now)
            case Reply.OTHER:
                return replace(brake, silent=0)
        if brake.refused >= pace.most_refused:
            closed = f"{brake.refused} sign-ins in a row were refused at this mail server"
            return replace(brake, closed=closed)
        if brake.silent >= _MOST_SILENT:
            closed = f"{brake.silent} attempts in a row got no answer from this mail server"
            return replace(brake, closed=closed)
        return brake

    def _as_of(self, now: float) -> "HostBrake":
        brake = self
        if now > self.changed_at + _FORGOTTEN_AFTER:
            brake = replace(self, refused=0, silent=0, closed="")
        return replace(brake, running=tuple(one for one in brake.running if one[1] > now))

    def dumped(self) -> str:
        """Return it as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def loaded(cls, text: str) -> "HostBrake":
        """Return what was dumped."""
        known = json.loads(text)
        running = tuple((attempt, until) for attempt, until in known.pop("running"))
        return cls(running=running, **known)
