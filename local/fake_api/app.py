"""The application: what surrounds every call to the service, and the endpoints."""

from __future__ import annotations

import hmac
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from fastapi.routing import APIRoute
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.routing import Match

from local.fake_api import answers, api, control
from local.fake_api.connections import Dropped, Waits
from local.fake_api.faults import Operation, Rule, broken, echoing
from local.fake_api.store import RATE_LIMITED, Store
from local.fake_api.store import Request as Submission

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

BODY_LIMIT = 5 * 1024 * 1024
CONTROL = "/control/"
OWN_PATHS = (CONTROL, "/docs", "/openapi.json")


def create_app(store: Store, waits: Waits, base_url: str, control_key: str) -> FastAPI:
    """Build the application; links to reports begin with the base URL."""
    app = FastAPI(title="Fake Saleshandy API", redoc_url=None, redirect_slashes=False)
    app.state.store = store
    app.state.waits = waits
    app.state.base_url = base_url
    app.include_router(api.router, tags=["service"])
    app.include_router(control.router, tags=["control"])
    app.add_middleware(Service, store=store, waits=waits)
    app.add_middleware(Guard, host=base_url.removeprefix("http://"), control_key=control_key)
    app.exception_handler(RequestValidationError)(refuse_body)
    app.exception_handler(HTTPException)(refuse_path)
    return app


class Guard:
    """Refuses what a browser sent for a page, and control without its key."""

    def __init__(self, app: ASGIApp, host: str, control_key: str) -> None:
        """Surround everything."""
        self._app = app
        self._host = host
        self._control_key = control_key.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a call on, or refuse it."""
        headers = Headers(scope=scope)
        key = headers.get("x-control-key", "").encode()
        answer: ASGIApp = self._app
        if "origin" in headers or headers.get("host") != self._host:
            answer = answers.plain(403, "Web pages and other hosts are not served")
        elif scope["path"].startswith(CONTROL) and not hmac.compare_digest(key, self._control_key):
            answer = answers.plain(401, "The header x-control-key is missing or wrong")
        await answer(scope, receive, send)


@dataclass(frozen=True, slots=True)
class Call:
    """One call, as described by its head; the request is the one that its path names."""

    number: int
    operation: Operation | None
    tenant: int | None
    key_ok: bool
    request: Submission | None


class Service:
    """Records every call to the service, and answers it, breaks it or hands it on."""

    def __init__(self, app: ASGIApp, store: Store, waits: Waits) -> None:
        """Surround the endpoints."""
        self._app = app
        self._store = store
        self._waits = waits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Record a call on its arrival and, before it is answered, with its answer."""
        if scope["type"] != "http" or scope["path"].startswith(OWN_PATHS):
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        call = self._arrived(request)
        try:
            await request.body()
        except ClientDisconnect:
            return
        answer = await self._answer(call, request)
        state = request.state
        self._store.end_call(
            call.number,
            None if isinstance(answer, Dropped) else answer.status_code,
            getattr(state, "accounts", None),
            getattr(state, "request_id", None),
        )
        await answer(scope, receive, send)

    def _arrived(self, request: Request) -> Call:
        store = self._store
        operation, named = _operation(request.scope)
        key = request.headers.get("x-api-key")
        submission = None
        if request.url.path.startswith(api.REPORTS):
            # Anyone who has the link may fetch the report: a key does not belong there.
            key_ok = key is None
            submission = store.reported(named.get("token", ""))
            tenant = submission.tenant if submission else None
        else:
            tenant = store.tenant_of(key or "")
            key_ok = tenant is not None
            if tenant is not None and operation == "status":
                submission = store.request(tenant, named["request_id"])
        request_id = submission.id if submission else named.get("request_id")
        request.state.tenant, request.state.request_id = tenant, request_id
        number = store.begin_call(
            *(request.method, request.url.path, operation, tenant),
            key_ok=key_ok,
            request_id=request_id,
        )
        return Call(number, operation, tenant, key_ok, submission)

    async def _answer(self, call: Call, request: Request) -> Response:
        behaviour = self._store.behaviour()
        if not call.key_ok:
            if request.url.path.startswith(api.REPORTS):
                return answers.plain(400, "A report is fetched without the API key")
            status = behaviour.refused_key_status
            return answers.coded(status, 1001, "Unauthorized", "Invalid API key")
        allowance = None
        if behaviour.rate_limit_calls and call.tenant and call.operation != "report":
            allowance = self._store.allowance(
                *(call.number, call.tenant),
                *(behaviour.rate_limit_calls, behaviour.rate_limit_seconds),
            )
            if allowance.remaining <= 0:
                self._store.mark_call(call.number, RATE_LIMITED)
                return answers.throttled(behaviour.rate_limit_answer, allowance.seconds)
        if unknown := sorted(request.query_params) + ["body"] * (
            request.method == "GET" and bool(await request.body())
        ):
            return answers.invalid([f"{name} is not allowed" for name in unknown])
        rule = self._store.take_rule(call.operation, call.request)
        if rule is not None:
            self._store.mark_call(call.number, rule.fault)
            return await self._broken(rule, call, request)
        answer = await self._carried_out(request)
        if allowance and behaviour.rate_limit_headers:
            how = behaviour.rate_limit_answer
            answer.headers["x-ratelimit-limit"] = str(behaviour.rate_limit_calls)
            answer.headers["x-ratelimit-remaining"] = str(allowance.remaining - 1)
            answer.headers["x-ratelimit-reset"] = answers.reset_moment(how, allowance.seconds)
        return answer

    async def _broken(self, rule: Rule, call: Call, request: Request) -> Response:
        whole = await self._carried_out(request) if rule.needs_answer else None
        if rule.fault not in ("slow", "hang"):
            answer = broken(rule, str(request.url), whole or Response())
            if rule.echoes and type(answer) in (Response, JSONResponse):
                key = request.headers.get("x-api-key", "")
                return echoing(answer, rule.echoes, key, await self._told(call, request))
            return answer
        if not await self._waits.wait(rule.seconds if rule.fault == "slow" else None):
            return Dropped()
        return whole or await self._carried_out(request)

    async def _told(self, call: Call, request: Request) -> list[dict[str, Any]]:
        """Return the accounts that a call is about, as they were sent."""
        if call.operation == "connect":
            return list(await request.json())
        return self._store.last_sent(call.tenant)

    async def _carried_out(self, request: Request) -> Response:
        """Have the endpoint answer, and keep the answer back."""
        body = await request.body()
        if len(body) > BODY_LIMIT:
            return answers.plain(413, "Request entity too large")
        messages: list[Message] = []

        async def give() -> Message:
            return {"type": "http.request", "body": body, "more_body": False}

        async def keep(message: Message) -> None:
            messages.append(message)

        await self._app(request.scope, give, keep)
        start, *parts = messages
        answer = Response(b"".join(part.get("body", b"") for part in parts), start["status"])
        answer.raw_headers = start["headers"]
        return answer


async def refuse_body(_: Request, error: Exception) -> Response:
    """Name what is wrong with a body without quoting any of its values."""
    problems = error.errors() if isinstance(error, RequestValidationError) else []
    return answers.invalid(
        [f"{'.'.join(map(str, one['loc'][1:])) or 'body'}: {one['msg']}" for one in problems]
    )


async def refuse_path(request: Request, error: Exception) -> Response:
    """Refuse a path or method that does not exist."""
    status = error.status_code if isinstance(error, HTTPException) else 500
    return answers.plain(status, f"Cannot {request.method} {request.url.path}")


def _operation(scope: Scope) -> tuple[Operation | None, dict[str, Any]]:
    """Return what a call is, None for a path that does not exist, and what its path names."""
    for route in api.router.routes:
        match, found = route.matches(scope)
        if match is Match.FULL and isinstance(route, APIRoute):
            return cast("Operation", route.name), found["path_params"]
    return None, {}
