"""Finds the mail servers of domains by DNS: MX records, then SRV records.

A password goes only to servers of the provider table, or to servers in the mailbox's own domain.
Sources: RFC 5321 (MX), RFC 7505 (null MX), RFC 6186 and RFC 8314 (SRV).
"""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from email_accounts.models.account import RULES
from email_accounts.models.providers import (
    OTHER,
    ServerPreset,
    preset_of_host,
    provider_of_host,
    provider_of_mx,
)
from email_accounts.models.servers import Found, FoundServers, NotFound

if TYPE_CHECKING:
    from dns.resolver import Resolver

_LONGEST_LOOKUP = 30.0
_LONGEST_QUESTION = 5.0
_AT_ONCE = 32
_SERVICES = {
    "smtp": (("_submissions", "ssl"), ("_submission", "tls")),
    "imap": (("_imaps", "ssl"), ("_imap", "tls")),
}


_Ask = Callable[[str, str], list[Any] | None]


class ServerLookup:
    """Asks name servers for the servers of domains.

    What has no answer within `seconds` has none; nothing waits longer, however many domains.
    """

    def __init__(self, name_server: str = "", seconds: float = _LONGEST_LOOKUP) -> None:
        """Ask one name server, as `address:port`, or those of this computer; not yet."""
        self._name_server = name_server
        self._seconds = seconds

    def __call__(self, domains: Sequence[str]) -> dict[str, Found]:
        """Return what is found for each domain."""
        # Only what has rows without servers pays for the import, a third of a cold start.
        from dns.exception import DNSException  # noqa: PLC0415  see above

        try:
            ask = _asking(_resolver(self._name_server), time.monotonic() + self._seconds)
        except (DNSException, OSError):  # this computer has no name server
            return dict.fromkeys(domains, NotFound.NO_ANSWER)

        def found(domain: str) -> Found:
            try:
                return _found(domain, ask)
            except (DNSException, OSError):
                return NotFound.NO_ANSWER

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            result = dict(zip(domains, pool.map(found, domains), strict=True))
        if NotFound.NO_DOMAIN in result.values() and not _knows_the_internet(ask):
            return {
                domain: NotFound.NO_ANSWER if one is NotFound.NO_DOMAIN else one
                for domain, one in result.items()
            }
        return result


def _resolver(name_server: str) -> "Resolver":
    from dns.resolver import Resolver  # noqa: PLC0415  see above

    if not name_server:
        return Resolver()
    resolver = Resolver(configure=False)
    address, _, port = name_server.rpartition(":")
    resolver.nameservers, resolver.port = [address.strip("[]")], int(port)
    return resolver


def _asking(resolver: "Resolver", until: float) -> _Ask:
    """Return what asks for the records of a name, until a time is over.

    It returns none where the name has none of the kind, and None for no name. It raises
    DNSException where there is no answer or an error, and TimeoutError once the time is over.
    """
    from dns.resolver import NXDOMAIN, NoAnswer  # noqa: PLC0415  see above

    def ask(name: str, kind: str) -> list[Any] | None:
        left = min(until - time.monotonic(), _LONGEST_QUESTION)
        if left <= 0:
            raise TimeoutError
        try:
            return [*resolver.resolve(f"{name}.", kind, search=False, lifetime=left)]
        except NoAnswer:
            return []
        except NXDOMAIN:
            return None

    return ask


def _knows_the_internet(ask: _Ask) -> bool:
    """Say whether the name server has more than internal names.

    It is not asked for the top-level domain of an address, which may be a slip such as `.con`.
    """
    from dns.exception import DNSException  # noqa: PLC0415  see above

    try:
        return ask("com", "SOA") is not None
    except (DNSException, OSError):
        return False


def _found(domain: str, ask: _Ask) -> Found:
    servers = ask(domain, "MX")
    if servers is None:
        return NotFound.NO_DOMAIN
    first = min((one.preference for one in servers), default=0)
    names = sorted(_name(one.exchange) for one in servers if one.preference == first)
    for provider in map(provider_of_mx, names):
        if provider:
            return FoundServers(provider.code, provider.name, "MX", provider.smtp, provider.imap)
    return _by_services(domain, ask)


def _by_services(domain: str, ask: _Ask) -> Found:
    sides = []
    for side, services in _SERVICES.items():
        preset = next(_presets(domain, side, services, ask), None)
        if preset is None:
            return NotFound.NONE
        sides.append(preset)
    smtp, imap = sides
    provider = provider_of_host(smtp.host)
    name = provider.name if provider else " and ".join(dict.fromkeys((smtp.host, imap.host)))
    return FoundServers(provider.code if provider else OTHER, name, "SRV", smtp, imap)


def _presets(
    domain: str, side: str, services: Sequence[tuple[str, str]], ask: _Ask
) -> Iterator[ServerPreset]:
    """Yield the first server of each service, unless it is one that a stranger's DNS chose."""
    for service, encryption in services:
        records = ask(f"{service}._tcp.{domain}", "SRV") or []
        first = min(records, key=lambda one: (one.priority, -one.weight), default=None)
        host = _name(first.target) if first else ""
        is_own = host == domain or host.endswith(f".{domain}")
        port = str(first.port) if first else ""
        is_valid = RULES[f"{side}Host"].holds(host) and RULES[f"{side}Port"].holds(port)
        if is_valid and (is_own or preset_of_host(host, side).host):
            yield ServerPreset(host, ((encryption, port),))


def _name(name: Any) -> str:  # noqa: ANN401  dnspython's, which is imported late
    """Return a name in lower case; "" for the root, and for one with more than plain letters."""
    text = str(name.to_text(omit_final_dot=True)).lower()
    return "" if "\\" in text else text.strip(".")
