"""What is remembered of the account list of a workspace; the accounts are in the reports bucket."""

import json
import math
from dataclasses import asdict, dataclass, replace


@dataclass(frozen=True, slots=True)
class Honoured:
    """Which parameters of the account list the service honours, as a probe has shown."""

    page: bool
    sort: bool
    status: bool
    search: bool

    def __str__(self) -> str:
        """Name the parameters; "none" if there are none."""
        return ", ".join(name for name, works in asdict(self).items() if works) or "none"

    @property
    def newest_first(self) -> bool:
        """Whether the list can be read from its newest account on."""
        return self.page and self.sort

    @property
    def stopped(self) -> bool:
        """Whether the accounts that do not work can be read alone."""
        return self.page and self.status


@dataclass(frozen=True, slots=True)
class Reading:
    """A way through the list, or through a part of it, that has come so many pages far.

    `statuses` counts the values of the status filter that are read to their end; `in_order` says
    whether the pages are asked for newest first. `page` is a digest of the last page, `repeated`
    how many pages before it were the same. A reading of the newest accounts ends at those first
    listed before it, and before `until`.
    """

    began_at: float
    moved_at: float
    pages: int = 0
    statuses: int = 0
    in_order: bool = True
    page: str = ""
    repeated: int = 0
    until: float = math.inf


@dataclass(frozen=True, slots=True)
class AccountIndex:
    """How far the account list of a workspace is known. Times are seconds since the epoch.

    `version` counts the writes. `key` is a digest of the API key with which the list was read: the
    key of another Saleshandy account shows another list. `parts` names the files of accounts in
    the order in which they were written, the first one at `packed_at`. Every account of the time
    `complete_at` is in them (0: the list has never been read to its end), where it had `pages`;
    once it has been, every account of the time `newest_at`, and every one that did not work at
    `stopped_at`. What was first listed at `newest_since` or later was all read at `newest_at`. The
    readings under way are `scan`, `newest` and `stopped`; `glance` is one of the newest pages that
    shows what was just sent, and ends anywhere. `first_at` is when the one page of a list without
    pages was read. `probed` counts the calls made so far to find out what the service honours.
    `failing_since` is when the first of the calls failed that have failed since; 0 for none.
    """

    version: int = 0
    key: str = ""
    parts: tuple[str, ...] = ()
    packed_at: float = 0.0
    complete_at: float = 0.0
    pages: int = 0
    newest_at: float = 0.0
    newest_since: float = math.inf
    stopped_at: float = 0.0
    scan: Reading | None = None
    newest: Reading | None = None
    stopped: Reading | None = None
    first_at: float = 0.0
    glance: Reading = Reading(0.0, 0.0)
    probed: int = 0
    failing_since: float = 0.0

    @property
    def is_repeated(self) -> bool:
        """Whether a reading under way met the same page three times."""
        readings = (self.scan, self.newest, self.stopped)
        return any(one.repeated > 1 for one in readings if one)

    def probed_again(self) -> "AccountIndex":
        """Return it after a probe, without readings that met the same page three times."""

        def kept(reading: Reading | None) -> Reading | None:
            return reading if reading and reading.repeated <= 1 else None

        return replace(
            self,
            probed=0,
            scan=kept(self.scan),
            newest=kept(self.newest),
            stopped=kept(self.stopped),
        )

    def dumped(self) -> str:
        """Return the index as JSON."""
        return json.dumps(asdict(self))

    @classmethod
    def loaded(cls, text: str) -> "AccountIndex":
        """Read an index from JSON."""
        fields = json.loads(text)
        for name in ("scan", "newest", "stopped", "glance"):
            fields[name] = fields[name] and Reading(**fields[name])
        return cls(**fields | {"parts": tuple(fields["parts"])})
