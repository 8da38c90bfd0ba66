"""The application: what surrounds every endpoint, and the endpoints."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from local.standin import answers, api, control

if TYPE_CHECKING:
    from starlette.middleware.base import RequestResponseEndpoint

    from local.standin.behaviour import Behaviour
    from local.standin.store import Store

BODY_LIMIT = 5 * 1024 * 1024
OWN_PATHS = ("/control/", "/docs", "/openapi.json")


def create_app(store: Store, api_key: str, base_url: str) -> FastAPI:
    """Build the application; links to reports begin with the base URL."""
    app = FastAPI(title="Stand-in for the remote API", redoc_url=None, redirect_slashes=False)
    app.state.store = store
    app.state.api_key = api_key
    app.state.base_url = base_url
    app.include_router(api.router, tags=["service"])
    app.include_router(control.router, tags=["control"])
    app.middleware("http")(record_call)
    app.exception_handler(RequestValidationError)(refuse_body)
    app.exception_handler(HTTPException)(refuse_path)
    return app


async def record_call(request: Request, call_next: RequestResponseEndpoint) -> Response:
    """Record a call on its arrival and, once it is answered, with its answer."""
    if request.url.path.startswith(OWN_PATHS):
        return await call_next(request)
    store: Store = request.app.state.store
    key_ok = _key_ok(request)
    number = store.begin_call(request.method, request.url.path, key_ok=key_ok)
    response = await answer_instead(request, store.behaviour(), key_ok=key_ok)
    if response is None:
        response = await call_next(request)
    told = request.state
    store.end_call(
        number,
        response.status_code,
        getattr(told, "accounts", None),
        getattr(told, "request_id", None),
    )
    return response


async def answer_instead(
    request: Request, behaviour: Behaviour, *, key_ok: bool
) -> Response | None:
    """Answer before an endpoint is reached, or return None: every fault hooks in here."""
    if not key_ok and request.url.path.startswith(api.REPORTS):
        return answers.plain(400, "A report is fetched without the API key")
    if not key_ok:
        status = behaviour.refused_key_status
        return answers.coded(status, 1001, "Unauthorized", "Invalid API key")
    if len(await request.body()) > BODY_LIMIT:
        return answers.plain(413, "Request entity too large")
    return None


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


def _key_ok(request: Request) -> bool:
    """Whether the API key is right where it belongs, and absent where it does not belong."""
    sent = request.headers.get("x-api-key")
    if request.url.path.startswith(api.REPORTS):
        return sent is None
    expected: str = request.app.state.api_key
    return sent is not None and secrets.compare_digest(sent.encode(), expected.encode())
