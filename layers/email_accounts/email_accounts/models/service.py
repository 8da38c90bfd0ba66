"""What Saleshandy returns."""

from dataclasses import dataclass
from enum import StrEnum

PAGE_SIZE = 100
"""Accounts on a page of the account list: the most that the service gives."""


class AccountStatus(StrEnum):
    """What the account list shows of an address; unknown if the list was not available."""

    ACTIVE = "active"
    INACTIVE = "inactive"
    SUSPENDED = "suspended"
    ABSENT = "absent"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True)
class RequestStatus:
    """Saleshandy's word on one request.

    The link is empty where it gave none, and None where what it gave is not understood.
    """

    completed: bool
    report_link: str | None = ""


@dataclass(frozen=True, slots=True)
class ListedAccount:
    """An account of the account list: its address in lower case, and its status.

    The address is empty where it is none. `created_at` is in seconds since the epoch; None where
    the list does not say. `id` shows whether it is the same account as before: a digest of
    Saleshandy's.
    """

    address: str
    status: AccountStatus
    created_at: float | None
    id: str = ""


class Order(StrEnum):
    """The order of the account list, by the creation of the accounts."""

    NEWEST_FIRST = "DESC"
    OLDEST_FIRST = "ASC"


@dataclass(frozen=True, slots=True)
class ListQuery:
    """One page of the account list: in which order, and of which accounts."""

    page: int = 1
    order: Order | None = None
    status: AccountStatus | None = None
    search: str = ""


class CallKind(StrEnum):
    """What a call of Saleshandy's API is for, by its letter in the ledger."""

    POLL = "p"
    BATCH = "b"
    LOOKUP = "l"
