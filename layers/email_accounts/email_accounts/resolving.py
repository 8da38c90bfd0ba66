"""Resolves names that strangers gave, and says which addresses are public.

Resolve a name once and connect to an address that was validated: a name server may answer
differently the next time.
"""

import socket
from ipaddress import IPv6Address, IPv6Network, ip_address

# What is outside is reserved, local, or an IPv4 address in disguise.
_GLOBAL_UNICAST = IPv6Network("2000::/3")


def resolve(host: str, port: int) -> list[str]:
    """Return the addresses of a host; OSError or UnicodeError where there are none."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


def is_public(address: str) -> bool:
    """Say whether an address is one of the public internet."""
    ip = ip_address(address)
    if isinstance(ip, IPv6Address) and (ip not in _GLOBAL_UNICAST or ip.sixtofour):
        return False
    return ip.is_global and not ip.is_multicast
