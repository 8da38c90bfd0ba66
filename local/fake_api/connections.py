"""What a fault does to a connection, below HTTP."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING, Any

from fastapi import Response
from uvicorn import Server
from uvicorn.protocols.http.h11_impl import H11Protocol

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send
    from uvicorn import Config


class Connection(H11Protocol):
    """HTTP on a connection that the application may cut off."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Hand the connection to the application, in the state of each of its calls."""
        super().connection_made(transport)
        self.app_state = {**self.app_state, "transport": transport}
        # asyncio does so for sockets it made itself: else each answer's body waits 40 ms.
        transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


class Waits:
    """Calls that are kept waiting, all of which can be released at once."""

    def __init__(self) -> None:
        """Nothing waits yet."""
        self._over = asyncio.Event()

    async def wait(self, seconds: float | None) -> bool:
        """Wait, without end if need be; False if stopped before the time was over."""
        try:
            async with asyncio.timeout(seconds):
                await self._over.wait()
        except TimeoutError:
            return True
        return False

    def end(self) -> None:
        """End all current waits."""
        self._over.set()
        self._over = asyncio.Event()


class DelayingServer(Server):
    """A server that does not wait for calls which are kept waiting."""

    def __init__(self, config: Config, waits: Waits) -> None:
        """Prepare to serve."""
        super().__init__(config)
        self._waits = waits

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Let go of them first."""
        self._waits.end()
        await super().shutdown(sockets)


class Dropped(Response):
    """No answer: the connection is closed in an orderly way, or reset as by a server that died."""

    def __init__(self, *, reset: bool = False) -> None:
        """Choose how."""
        super().__init__()
        self._reset = reset

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002  the signature of ASGI
        """End the connection."""
        transport = scope["state"]["transport"]
        if self._reset:
            # To linger for no time at all is to send a reset.
            transport.get_extra_info("socket").setsockopt(
                socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0)
            )
        await _close(transport, receive)


class Shortened(Response):
    """An answer that promises the whole body, sends its beginning and closes the connection."""

    def __init__(self, whole: Response, beginning: bytes) -> None:
        """Take status and headers from the whole answer."""
        super().__init__(beginning, whole.status_code)
        self.raw_headers = whole.raw_headers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send what there is."""
        start: dict[str, Any] = {"status": self.status_code, "headers": self.raw_headers}
        await send({"type": "http.response.start", **start})
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        await _close(scope["state"]["transport"], receive)


async def _close(transport: asyncio.Transport, receive: Receive) -> None:
    """Close, and come back when the server has noticed, which else would answer 500 itself."""
    transport.close()
    while (await receive())["type"] != "http.disconnect":
        pass
