"""Finds out which parameters of the account list the service honours. It only reads."""

from collections.abc import Sequence
from itertools import pairwise

from email_accounts.models.account_index import Honoured
from email_accounts.models.service import AccountStatus, ListedAccount, ListQuery, Order

Answer = Sequence[ListedAccount] | None
"""A page of the list; None where the service refused the query."""

_QUERIES = 8
_NOBODY = "nobody.d41c8a@probe.invalid"


def next_query(answers: Sequence[Answer]) -> ListQuery | None:
    """Return the query that follows so many answers; None where nothing is left to be asked."""
    if not answers:
        return ListQuery()
    first = answers[0]
    if not first or (len(answers) > 1 and answers[1] == []):
        return None
    queries = (
        ListQuery(page=2),
        ListQuery(order=Order.NEWEST_FIRST),
        ListQuery(order=Order.OLDEST_FIRST),
        ListQuery(status=AccountStatus.INACTIVE),
        ListQuery(status=AccountStatus.SUSPENDED),
        ListQuery(search=first[-1].address),
        ListQuery(search=_NOBODY),
    )
    return queries[len(answers) - 1] if len(answers) <= len(queries) else None


def honoured(answers: Sequence[Answer]) -> Honoured | None:
    """Return what the answers to all queries show; what they do not show is not honoured.

    None where the list has one page at most, which shows nothing.
    """
    if len(answers) < _QUERIES:
        return None
    first, second, newest, oldest, inactive, suspended, found, nobody = answers
    return Honoured(
        page=second is not None and _differ(first, second),
        sort=_in_order(newest, oldest),
        status=_is_filtered(first, inactive, suspended),
        search=_is_searched(first, found, nobody),
    )


def _differ(first: Answer, second: Answer) -> bool:
    """Say whether two pages are different ones: accounts that came in between move some on."""
    common = _addresses(first) & _addresses(second)
    return 2 * len(common) <= len(_addresses(second))


def _addresses(answer: Answer) -> set[str]:
    return {one.address for one in answer or ()}


def _in_order(newest: Answer, oldest: Answer) -> bool:
    """Return whether the times in two answers prove the two orders."""
    falling = [one.created_at or 0.0 for one in newest or ()]
    rising = [one.created_at or 0.0 for one in oldest or ()]
    return (
        all([*falling, *rising, falling, rising])
        and falling[0] > rising[0]
        and all(one >= next_ for one, next_ in pairwise(falling))
        and all(one <= next_ for one, next_ in pairwise(rising))
    )


def _is_filtered(first: Answer, inactive: Answer, suspended: Answer) -> bool:
    """Say whether filtered answers have the wanted accounts alone, and leave others out."""
    if inactive is None or suspended is None:
        return False
    works = any(one.status is AccountStatus.ACTIVE for one in first or ())
    return (
        works
        and all(one.status is AccountStatus.INACTIVE for one in inactive)
        and all(one.status is AccountStatus.SUSPENDED for one in suspended)
    )


def _is_searched(first: Answer, found: Answer, nobody: Answer) -> bool:
    """Say whether an address is found by a search for it, and others are not."""
    if not first or found is None or nobody is None:
        return False
    wanted = first[-1].address
    return wanted in _addresses(found) and not nobody
