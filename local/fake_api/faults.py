"""Faults that calls run into by rule."""

from __future__ import annotations

import asyncio
import html
import json
import re
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

from fastapi import Response
from fastapi.responses import JSONResponse, StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from local.echoes import ECHOES
from local.fake_api import answers
from local.fake_api.behaviour import Throttle
from local.fake_api.connections import Dropped, Shortened

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

Operation = Literal["connect", "status", "report", "list"]
Expired = Literal["error_403", "error_404", "error_410"]
Altered = Literal["cut_body", "short_body", "huge_body"]
Held = Literal["slow", "hang"]
Fault = Literal[
    Throttle,
    Held,
    "close",
    "reset",
    "error_500",
    "error_502",
    Expired,
    "not_json",
    "json_array",
    "json_empty",
    Altered,
    "not_found",
    "running",
    "redirect",
]
MEGABYTE = 1_000_000
BAD_GATEWAY = "<html><head><title>502 Bad Gateway</title></head><body><h1>502</h1></body></html>"
EXPIRED = '<?xml version="1.0"?><Error><Code>AccessDenied</Code><Message>Expired</Message></Error>'
FILLER = b"nobody@filler.example,Failed,Sign-in refused\r\n" * 1000


class Rule(BaseModel):
    """A fault, and which calls run into it."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    operation: Operation | Literal["any"] = Field(description="The calls it concerns.")
    fault: Fault = Field(description="What happens to them.")
    skip: int = Field(default=0, ge=0, description="So many first calls are spared.")
    times: int | None = Field(
        default=1, ge=1, description="So many calls run into it then; null: all."
    )
    per_request: bool = Field(
        default=False, description="`skip` and `times` count for each request id by itself."
    )
    carried_out: bool = Field(
        default=False, description="The call is carried out, but its answer is lost."
    )
    seconds: float = Field(
        default=1, ge=0, description="Of `slow`, and until the throttles let a call pass."
    )
    megabytes: int = Field(default=60, ge=1, description="Size of `huge_body`.")
    echoes: Annotated[str, Field(pattern=f"^({'|'.join(map(re.escape, ECHOES))})$")] | None = Field(
        default=None,
        description="An answer of text repeats the API key and the accounts, passwords included, "
        "in this one of `local/echoes.py`.",
    )
    location: Annotated[str, Field(pattern=r"^[!-~]+$")] | None = Field(
        default=None, description="Where `redirect` leads; null: to itself."
    )

    @property
    def needs_answer(self) -> bool:
        """Whether the call is carried out before the fault happens."""
        return self.carried_out or self.fault in get_args(Altered)


def broken(rule: Rule, url: str, whole: Response) -> Response:
    """Return what a call to the URL gets for its answer, which is empty if not carried out."""
    if rule.fault in get_args(Expired):
        return Response(EXPIRED, int(rule.fault[-3:]), media_type="application/xml")
    if rule.fault == "redirect":
        return Response(status_code=302, headers={"location": rule.location or url})
    if rule.fault == "huge_body":
        return StreamingResponse(_huge(bytes(whole.body), rule.megabytes), media_type="text/csv")
    for throttle in get_args(Throttle):
        if rule.fault == throttle:
            return answers.throttled(throttle, rule.seconds)
    return ANSWERS[rule.fault](whole)


def echoing(
    answer: Response, encoding: str, key: str, accounts: Sequence[dict[str, Any]]
) -> Response:
    """Return the answer with the key and the values of the accounts in its text, encoded."""
    body = bytes(answer.body).decode()
    values = [str(value) for one in accounts for value in one.values()]
    texts = [ECHOES[encoding](text) for text in (key, *values)]
    if answer.media_type == "application/json":
        said = json.loads(body)
        if isinstance(said, dict):
            said |= _said_with(said, texts)
        body = json.dumps(said)
    else:
        body += f"<pre>{html.escape(' '.join(texts))}</pre>"
    kept = {name: value for name, value in answer.headers.items() if "content" not in name}
    return Response(body, answer.status_code, kept, answer.media_type)


def _said_with(said: dict[str, Any], texts: Sequence[str]) -> dict[str, object]:
    if "messages" in said:
        return {"messages": [*said["messages"], *texts]}
    return {"message": " ".join([said.get("message", ""), *texts])}


def _cut(whole: Response) -> bytes:
    """Return the body up to the middle of the line that is in its middle."""
    body = bytes(whole.body)
    middle = len(body) // 2
    begin, end = body.rfind(b"\n", 0, middle) + 1, body.find(b"\n", middle)
    return body[: (begin + (end if end >= 0 else len(body))) // 2]


def _cut_off(whole: Response) -> Response:
    return Response(_cut(whole), whole.status_code, media_type=whole.headers.get("content-type"))


async def _huge(body: bytes, megabytes: int) -> AsyncIterator[bytes]:
    yield body
    for _ in range(0, megabytes * MEGABYTE, len(FILLER)):
        yield FILLER
        # Writing to a client that has gone never waits, and so would never hear of it.
        await asyncio.sleep(0)


ANSWERS: dict[str, Callable[[Response], Response]] = {
    "close": lambda _: Dropped(),
    "reset": lambda _: Dropped(reset=True),
    "error_500": lambda _: answers.coded(500, 5001, "InternalServerError", "Internal error"),
    "error_502": lambda _: Response(BAD_GATEWAY, 502, media_type="text/html"),
    "not_json": lambda _: Response("OK", media_type="text/plain"),
    "json_array": lambda _: JSONResponse([]),
    "json_empty": lambda _: JSONResponse({"payload": {}}),
    "cut_body": _cut_off,
    "short_body": lambda whole: Shortened(whole, _cut(whole)),
    "not_found": lambda _: answers.request_not_found(),
    "running": lambda _: JSONResponse({"payload": {"isCompleted": False, "reportURL": None}}),
}
