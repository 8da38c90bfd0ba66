"""A name server for this computer: it answers from a zone of its own and forwards nothing.

    python -m local.name_server --port 0

What the zone does not have has no records, as if it existed; see ZONE.
"""

import argparse
import contextlib
import socket
import sys
from collections.abc import Callable, Mapping

import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

_TTL = 60
_LARGEST_QUESTION = 4096

Zone = Mapping[tuple[str, str], tuple[str, ...] | dns.rcode.Rcode | None]
"""By name and kind of record: the records, a code without records, or None for no answer."""

ZONE: Zone = {
    ("workspace.example", "MX"): ("1 smtp.google.com.",),
    ("microsoft.example", "MX"): ("0 microsoft-example.mail.protection.outlook.com.",),
    ("zoho.example", "MX"): ("10 mx.zoho.eu.", "20 mx2.zoho.eu."),
    ("own.example", "MX"): ("10 mx.own.example.",),
    ("_submissions._tcp.own.example", "SRV"): ("0 1 465 mail.own.example.",),
    ("_imaps._tcp.own.example", "SRV"): ("0 1 993 mail.own.example.",),
    ("missing.example", "MX"): dns.rcode.NXDOMAIN,
    ("broken.example", "MX"): dns.rcode.SERVFAIL,
    ("silent.example", "MX"): None,
}


class NameServer:
    """Answers over UDP on a port of the loopback address, and remembers what it was asked."""

    def __init__(self, zone: Zone = ZONE, port: int = 0) -> None:
        """Listen; port 0 is a free one."""
        self.zone = zone
        self.questions: list[tuple[str, str]] = []
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", port))

    @property
    def address(self) -> str:
        """Where it listens, as `address:port`."""
        host, port = self._socket.getsockname()
        return f"{host}:{port}"

    def serve(self, is_over: Callable[[], bool] = lambda: False) -> None:
        """Answer until it is over, which is asked each tenth of a second."""
        self._socket.settimeout(0.1)
        while not is_over():
            with contextlib.suppress(TimeoutError, dns.exception.DNSException):
                question, client = self._socket.recvfrom(_LARGEST_QUESTION)
                if answer := self._answer(question):
                    self._socket.sendto(answer, client)

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()

    def _answer(self, question: bytes) -> bytes:
        query = dns.message.from_wire(question)
        [asked] = query.question
        name = asked.name.to_text(omit_final_dot=True).lower()
        kind = dns.rdatatype.to_text(asked.rdtype)
        self.questions.append((name, kind))
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.RA
        found = self.zone.get((name, kind), self.zone.get((name, "CNAME"), ()))
        if found is None:
            return b""
        if isinstance(found, dns.rcode.Rcode):
            answer.set_rcode(found)
        elif found:
            kind = kind if (name, kind) in self.zone else "CNAME"
            answer.answer.append(dns.rrset.from_text(asked.name, _TTL, "IN", kind, *found))
        return answer.to_wire()


def main() -> None:
    """Serve the zone until the process ends."""
    parser = argparse.ArgumentParser(prog="python -m local.name_server")
    parser.add_argument("--port", type=int, default=0, help="UDP port of 127.0.0.1; 0: a free one")
    server = NameServer(port=parser.parse_args().port)
    sys.stdout.write(f"listening on {server.address}\n")
    sys.stdout.flush()
    server.serve()


if __name__ == "__main__":
    main()
