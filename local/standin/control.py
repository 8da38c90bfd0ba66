"""The control endpoints: what a test sets, and what it may know afterwards."""

from fastapi import APIRouter

from local.standin.api import CurrentBehaviour, CurrentStore
from local.standin.behaviour import Behaviour
from local.standin.store import Call, KnownAccount

router = APIRouter(prefix="/control")


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


@router.get("/calls")
async def show_calls(store: CurrentStore) -> list[Call]:
    """Show every call received but those to /control, in the order of arrival."""
    return store.calls()


@router.delete("/calls", status_code=204)
async def forget_calls(store: CurrentStore) -> None:
    """Forget the calls; their numbers go on."""
    store.forget_calls()


@router.get("/accounts")
async def show_accounts(store: CurrentStore) -> list[KnownAccount]:
    """Show every address ever sent, with how often it was sent and what became of it."""
    return store.known()


@router.post("/reset", status_code=204)
async def reset(store: CurrentStore) -> None:
    """Forget accounts, requests and calls, and set every switch to its default."""
    store.reset()
