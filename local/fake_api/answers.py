"""The bodies the service answers with."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from fastapi.responses import JSONResponse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from local.fake_api.behaviour import Behaviour, Throttle


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


def request_not_found() -> JSONResponse:
    """Refuse an id that is unknown, or not known yet."""
    return coded(400, 40000, "BadRequest", "Email Account connect request not found")


def throttled(how: Throttle, seconds: float) -> JSONResponse:
    """Ask for fewer calls, in one of the ways the service has been seen to; seconds from now."""
    if how == "throttle_code":
        return coded(400, 40000, "BadRequest", "Rate Limit exceeded")
    answer = plain(429, "Too Many Requests")
    if how == "throttle_retry_after":
        answer.headers["retry-after"] = str(math.ceil(seconds))
    else:
        answer.headers["x-ratelimit-remaining"] = "0"
        answer.headers["x-ratelimit-reset"] = reset_moment(how, seconds)
    return answer


def reset_moment(how: Throttle, seconds: float) -> str:
    """Spell the moment so many seconds from now: an epoch, or a date as JavaScript writes it."""
    epoch = math.ceil(time.time() + seconds)
    if how != "throttle_reset_date":
        return str(epoch)
    moment = datetime.fromtimestamp(epoch, UTC)
    return f"{moment:%a %b %d %Y %H:%M:%S} GMT+0000 (Coordinated Universal Time)"
