"""Name servers for tests, each with a zone of its own."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from local.name_server import ZONE, NameServer, Zone


@contextmanager
def answering(zone: Zone = ZONE) -> Iterator[NameServer]:
    """Run a name server that remembers its questions."""
    server, over = NameServer(zone), threading.Event()
    thread = threading.Thread(target=server.serve, args=(over.is_set,))
    thread.start()
    try:
        yield server
    finally:
        over.set()
        thread.join()
        server.close()
