"""What Saleshandy tells."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RequestStatus:
    """The remote's word on one request; the link is empty where it gave none."""

    completed: bool
    report_link: str = ""


@dataclass(frozen=True, slots=True)
class ListedAccount:
    """An account of the remote's list: its address in lower case, and whether it works.

    `created_at` is in seconds since the epoch; None where the list does not say.
    """

    address: str
    connected: bool
    created_at: float | None
