"""The control endpoints: what a test sets, and what it may know afterwards."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from local.fake_api.api import CurrentBehaviour, CurrentStore
from local.fake_api.behaviour import Behaviour
from local.fake_api.connections import Waits
from local.fake_api.faults import Rule
from local.fake_api.store import Call, KnownAccount, Rate, Total

router = APIRouter(prefix="/control")


class Key(BaseModel):
    """An API key to accept."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    key: Annotated[str, Field(pattern=r"^[!-~]+$", repr=False)]


class Tenant(BaseModel):
    """The tenant of an API key: its accounts, calls and limits; the first key is tenant 1."""

    tenant: int


@router.get("/behaviour")
async def show_behaviour(behaviour: CurrentBehaviour) -> Behaviour:
    """Show every switch."""
    return behaviour


@router.put("/behaviour")
async def change_behaviour(
    changes: Behaviour, store: CurrentStore, behaviour: CurrentBehaviour
) -> Behaviour:
    """Set the switches that are named and leave the others as they are."""
    changed = behaviour.model_copy(update=changes.model_dump(exclude_unset=True))
    store.set_behaviour(changed)
    return changed


@router.delete("/behaviour")
async def reset_behaviour(store: CurrentStore) -> Behaviour:
    """Set every switch to its default."""
    store.set_behaviour(Behaviour())
    return store.behaviour()


@router.get("/faults")
async def show_faults(store: CurrentStore) -> list[Rule]:
    """Show the rules in their order, each with what is left of it."""
    return store.rules()


@router.post("/faults")
async def add_faults(rules: list[Rule], store: CurrentStore) -> list[Rule]:
    """Add rules behind those there are; of the rules that concern a call the first one wins."""
    store.add_rules(rules)
    return store.rules()


@router.delete("/faults", status_code=204)
async def forget_faults(request: Request, store: CurrentStore) -> None:
    """Forget the rules, and drop the connections of calls that are kept waiting."""
    store.forget_rules()
    _waits(request).end()


@router.get("/keys")
async def show_keys(store: CurrentStore) -> list[Tenant]:
    """Show the tenants, but no key."""
    return [Tenant(tenant=one) for one in store.tenants()]


@router.post("/keys")
async def add_key(key: Key, store: CurrentStore) -> Tenant:
    """Accept an API key, which is a tenant of its own; the same key twice is the same tenant."""
    return Tenant(tenant=store.add_key(key.key))


@router.get("/calls")
async def show_calls(store: CurrentStore) -> list[Call]:
    """Show every call received but those to /control, in the order of arrival."""
    return store.calls()


@router.delete("/calls", status_code=204)
async def forget_calls(store: CurrentStore) -> None:
    """Forget the calls; their numbers go on."""
    store.forget_calls()


@router.get("/rates")
async def show_rates(
    store: CurrentStore, seconds: Annotated[float, Query(ge=0.001)] = 60
) -> list[Rate]:
    """Show for each tenant the most calls that arrived in any so many seconds."""
    return store.rates(seconds)


@router.get("/accounts")
async def show_accounts(store: CurrentStore) -> list[KnownAccount]:
    """Show every address ever sent, with how often it was sent and its result."""
    return store.known()


@router.get("/totals")
async def show_totals(store: CurrentStore) -> list[Total]:
    """Show for each tenant how many addresses it sent, and how often."""
    return store.totals()


@router.post("/reset", status_code=204)
async def reset(request: Request, store: CurrentStore) -> None:
    """Forget all but the first key, and drop the connections of calls that are kept waiting."""
    store.reset()
    _waits(request).end()


def _waits(request: Request) -> Waits:
    waits: Waits = request.app.state.waits
    return waits
