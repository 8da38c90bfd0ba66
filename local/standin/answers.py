"""The bodies the service answers with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi.responses import JSONResponse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from local.standin.behaviour import Behaviour


def success(
    behaviour: Behaviour, fields: dict[str, Any], message: str | None = None
) -> JSONResponse:
    """Answer 200 with the fields where the behaviour puts them."""
    said = {} if message is None else {"message": message}
    return JSONResponse(said | (fields if behaviour.top_level_fields else {"payload": fields}))


def coded(status: int, code: int, kind: str, message: str) -> JSONResponse:
    """Refuse with a code of the service's own."""
    return JSONResponse({"code": code, "type": kind, "message": message}, status)


def invalid(messages: Sequence[str]) -> JSONResponse:
    """Refuse a body, naming everything that is wrong with it."""
    return JSONResponse({"statusCode": 400, "messages": list(messages)}, 400)


def plain(status: int, message: str) -> JSONResponse:
    """Refuse without a code, as for a path that does not exist."""
    return JSONResponse({"statusCode": status, "message": message}, status)
