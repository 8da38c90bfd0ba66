"""Signs in to many mailboxes, as fast as each machine allows."""

import time
import uuid
from collections import defaultdict, deque
from collections.abc import Callable, Generator, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import Empty, SimpleQueue
from threading import Lock

from email_accounts.models.account import Account, Server
from email_accounts.models.host_brake import Admission, HostBrake, Reply, pace_of
from email_accounts.ports import HostBrakes
from email_accounts.sign_in.dialogue import sign_in
from email_accounts.sign_in.findings import REFUSED_BY_SMTP, Finding, MailboxFindings, Verdict
from email_accounts.sign_in.wire import Place, locate

_AT_ONCE = 100
"""Threads; most of them wait for a slot at a host, or for its reply."""
_LONGEST_NAP = 1.0
_SLICE = 1.0
"""Seconds after which what was found is handed out: a kill loses no more."""
_TIME_OVER = "the time for sign-in checks was over"
_SAME_FOR_ALL = frozenset({Verdict.MISMATCH, Verdict.CERTIFICATE, Verdict.NO_PASSWORDS})
"""What every mailbox with the same settings would hear."""
_REPLIES = {
    Verdict.SIGNED_IN: Reply.SIGNED_IN,
    Verdict.REFUSED: Reply.REFUSED,
    Verdict.LATER: Reply.LATER,
    Verdict.NO_ANSWER: Reply.SILENT,
}


class LocalBrakes:
    """Brakes that this process alone knows of."""

    def __init__(self) -> None:
        """Begin with none."""
        self._brakes: defaultdict[str, HostBrake] = defaultdict(HostBrake)
        self._lock = Lock()

    def enter_host(self, host: str, attempt: str, now: float) -> Admission:
        """Begin an attempt at a host if that is allowed now."""
        with self._lock:
            brake, admission = self._brakes[host].enter(attempt, now, pace_of(host))
            self._brakes[host] = brake
        return admission

    def leave_host(self, host: str, attempt: str, reply: Reply, now: float) -> None:
        """End an attempt at a host."""
        with self._lock:
            self._brakes[host] = self._brakes[host].leave(attempt, reply, now, pace_of(host))


class Gate:
    """Lets attempts through, one after the other at each machine and no more than it takes."""

    def __init__(
        self,
        brakes: HostBrakes,
        now: Callable[[], float],
        until: float,
        trusted_hosts: frozenset[str] = frozenset(),
    ) -> None:
        """Begin no attempt at the time `until` or later."""
        self._brakes = brakes
        self._now = now
        self._until = until
        self._trusted_hosts = trusted_hosts
        self._queues: defaultdict[str, Lock] = defaultdict(Lock)
        self._places: dict[tuple[str, str, int], Place | Finding] = {}
        self._same: dict[tuple[str, str, int, str], Finding] = {}

    def check_all(self, accounts: Sequence[Account]) -> Generator[dict[str, MailboxFindings]]:
        """Try each mailbox once; yield every second what was found, by addresses in lower case.

        An error in one attempt is raised when the others are over.
        """
        by_host: defaultdict[str, deque[Account]] = defaultdict(deque)
        for account in accounts:
            by_host[account.smtp.host.lower()].append(account)
        results: SimpleQueue[tuple[str, MailboxFindings] | None] = SimpleQueue()

        def work(waiting: deque[Account]) -> None:
            try:
                while waiting:
                    account = waiting.popleft()
                    results.put((account.smtp.address.lower(), self._check(account)))
            except IndexError:  # another thread was quicker
                return
            finally:
                results.put(None)

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            begun = [
                pool.submit(work, waiting)
                for host, waiting in by_host.items()
                for _ in range(min(pace_of(host).at_once, len(waiting)))
            ]
            try:
                yield from _sliced(results, len(begun))
            finally:
                for waiting in by_host.values():
                    waiting.clear()
            for one in begun:
                one.result()

    def _check(self, account: Account) -> MailboxFindings:
        smtp = self._try("smtp", account.smtp, account)
        if smtp.verdict is Verdict.REFUSED and _credentials(account.smtp) == _credentials(
            account.imap
        ):
            return MailboxFindings(smtp, Finding("imap", Verdict.NOT_TRIED, REFUSED_BY_SMTP))
        return MailboxFindings(smtp, self._try("imap", account.imap, account))

    def _try(self, side: str, server: Server, account: Account) -> Finding:
        if self._now() >= self._until:  # resolving takes time, too
            return Finding(side, Verdict.NOT_TRIED, _TIME_OVER)
        place = self._located(side, server)
        if isinstance(place, Finding):
            return place
        attempt = uuid.uuid4().hex
        settings = (side, server.host.lower(), server.port, server.encryption)
        with self._queues[place.machine]:
            while True:
                if settings in self._same:
                    return self._same[settings]
                now = self._now()
                if now >= self._until:
                    return Finding(side, Verdict.NOT_TRIED, _TIME_OVER)
                admission = self._brakes.enter_host(place.machine, attempt, now)
                if admission.closed:
                    return Finding(side, Verdict.NOT_TRIED, admission.closed)
                if not admission.wait:
                    break
                time.sleep(min(admission.wait, _LONGEST_NAP))
        found = sign_in(side, server, place.address, account.secrets)
        if found.verdict in _SAME_FOR_ALL:
            self._same[settings] = found
        reply = _REPLIES.get(found.verdict, Reply.OTHER)
        self._brakes.leave_host(place.machine, attempt, reply, self._now())
        return found

    def _located(self, side: str, server: Server) -> Place | Finding:
        """Resolve a host once for all of its mailboxes."""
        host = server.host.lower()
        key = (side, host, server.port)
        with self._queues[host]:
            if key not in self._places:
                self._places[key] = locate(*key, self._trusted_hosts)
            return self._places[key]


def _sliced(
    results: SimpleQueue[tuple[str, MailboxFindings] | None], workers: int
) -> Iterator[dict[str, MailboxFindings]]:
    """Yield what was found in each second, until each worker has put None."""
    while workers:
        found: dict[str, MailboxFindings] = {}
        end = time.monotonic() + _SLICE
        while workers and (left := end - time.monotonic()) > 0:
            try:
                one = results.get(timeout=left)
            except Empty:
                break
            if one:
                found.update([one])
            else:
                workers -= 1
        if found:
            yield found


def _credentials(server: Server) -> tuple[object, ...]:
    return server.user_name, server.password
