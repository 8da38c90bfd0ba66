"""The endpoints of the API, and the link to a report."""

import csv
import io
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from local.echoes import in_turn
from local.fake_api import answers
from local.fake_api.account import Account, Provider
from local.fake_api.behaviour import Behaviour
from local.fake_api.store import SORT_COLUMNS, Attempt, ListedAccount, SortKey, Store
from local.fake_api.store import Request as Submission

REPORTS = "/v3-email-connect-fault-csv"
INITIATED = "The email accounts connection process has been initiated successfully."
REPORT_COLUMNS = {
    "service": ("Email", "Status", "Reason"),
    "fields": ("smtpEmailAddress", "status", "errorMessage"),
}

router = APIRouter()


async def current_store(request: Request) -> Store:
    """Hand the application's store to an endpoint, on the thread that owns it."""
    store: Store = request.app.state.store
    return store


async def current_behaviour(store: Annotated[Store, Depends(current_store)]) -> Behaviour:
    """Hand the behaviour to an endpoint as it is when the call arrives."""
    return store.behaviour()


async def current_tenant(request: Request) -> int:
    """Hand the tenant whose key the call has to an endpoint."""
    tenant: int = request.state.tenant
    return tenant


CurrentStore = Annotated[Store, Depends(current_store)]
CurrentTenant = Annotated[int, Depends(current_tenant)]
CurrentBehaviour = Annotated[Behaviour, Depends(current_behaviour)]


class ListQuery(BaseModel):
    """One page of the list and what it is narrowed to; no account has a client or a sequence."""

    model_config = ConfigDict(alias_generator=to_camel, strict=True, extra="forbid")

    search: str = ""
    page: Annotated[int, Field(ge=1)] = 1
    page_size: Annotated[int, Field(ge=1, le=100)] = 25
    status: Literal[0, 1, 2] | None = None
    email_service_provider: list[Provider] | None = None
    client_ids: list[str] | None = None
    sequence_ids: list[str] | None = None
    added_by: list[str] | None = None
    sort_by_key: SortKey = "created-date"
    sort: Literal["ASC", "DESC"] = "ASC"


@router.post("/v1/email-accounts/connect")
async def connect(
    accounts: Annotated[list[Account], Field(min_length=1)],
    request: Request,
    store: CurrentStore,
    tenant: CurrentTenant,
    behaviour: CurrentBehaviour,
) -> Response:
    """Take accounts and answer at once, before any of them has been tried."""
    request.state.accounts = len(accounts)
    if len(accounts) > behaviour.max_accounts:
        return answers.invalid([f"at most {behaviour.max_accounts} email accounts are allowed"])
    encryptions = {"ssl", "tls", "none"} if behaviour.takes_encryption_none else {"ssl", "tls"}
    if wrong := _wrong_encryptions(accounts, encryptions):
        return answers.invalid(wrong)
    if behaviour.already_listed == "refused" and store.saved(
        tenant, [one.address for one in accounts]
    ):
        return answers.coded(409, 1001, "Conflict", "Email account already exists")
    request.state.request_id = store.submit(tenant, accounts, behaviour)
    return answers.success(behaviour, {"requestId": request.state.request_id}, INITIATED)


@router.get("/v1/email-accounts/connect/status/{request_id}")
async def status(
    request_id: str,
    request: Request,
    store: CurrentStore,
    tenant: CurrentTenant,
    behaviour: CurrentBehaviour,
) -> Response:
    """Return whether every account of a request has been tried, and where its report is."""
    submission = store.poll(tenant, request_id)
    if submission is None or submission.polls <= behaviour.status_not_found_polls:
        return answers.request_not_found()
    if not submission.is_completed:
        return answers.success(behaviour, _running(behaviour))
    has_report = behaviour.report == "all" or (
        behaviour.report == "failures" and submission.failures > 0
    )
    link = request.app.state.base_url + _report_path(submission) if has_report else None
    return answers.success(behaviour, {"isCompleted": True, "reportURL": link})


@router.post("/v1/email-accounts", name="list")
async def list_accounts(
    store: CurrentStore,
    tenant: CurrentTenant,
    behaviour: CurrentBehaviour,
    query: ListQuery | None = None,
) -> Response:
    """Give one page of all accounts that are listed, working or not."""
    query, ignored = query or ListQuery(), behaviour.list_ignores
    where: dict[str, str | int] = {
        "size": query.page_size,
        "offset": 0 if "page" in ignored else (query.page - 1) * query.page_size,
    }
    if query.search and "search" not in ignored:
        where["search"] = query.search
    if query.status is not None and "status" not in ignored:
        where["status"] = query.status
    if query.email_service_provider:
        where["providers"] = json.dumps(query.email_service_provider)
    if query.client_ids or query.sequence_ids or query.added_by:
        where["nobody"] = 1
    order = f"{SORT_COLUMNS[query.sort_by_key]} {query.sort}, number {query.sort}"
    page = store.listed(
        tenant, where, "id" if "sort" in ignored else order, behaviour.list_lag_seconds
    )
    return answers.success(
        behaviour, {"emails": [_listed(*one, behaviour) for one in enumerate(page)]}
    )


@router.get(REPORTS + "/{token}/{name}")
async def report(
    token: str, name: str, store: CurrentStore, behaviour: CurrentBehaviour
) -> Response:
    """Give the report of a request as a CSV file; the link alone is the permission."""
    submission = store.reported(token)
    if submission is None:
        return answers.plain(404, "Not Found")
    attempts = store.attempts(submission.id)
    if behaviour.report != "all":
        attempts = [one for one in attempts if one.reason is not None]
    return Response(
        _csv(attempts, behaviour),
        media_type="text/csv",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


def _wrong_encryptions(accounts: Sequence[Account], taken: set[str]) -> list[str]:
    return [
        f"{position}.{field} must be one of {', '.join(sorted(taken))}"
        for position, one in enumerate(accounts)
        for field, encryption in (
            ("smtpEncryption", one.smtp_encryption),
            ("imapEncryption", one.imap_encryption),
        )
        if encryption not in taken
    ]


def _running(behaviour: Behaviour) -> dict[str, Any]:
    links: dict[str, dict[str, Any]] = {
        "null": {"reportURL": None},
        "missing": {},
        "empty": {"reportURL": ""},
    }
    return {"isCompleted": False} | links[behaviour.running_report_url]


def _report_path(submission: Submission) -> str:
    name = f"Email-Account_Bulk_Report_c{submission.id}_{submission.completes_at}.csv"
    return f"{REPORTS}/{submission.report_token}/{name}"


def _listed(number: int, listed: ListedAccount, behaviour: Behaviour) -> dict[str, Any]:
    created_at = datetime.fromtimestamp(listed.created_at, UTC).isoformat(timespec="milliseconds")
    times = {
        "iso": {"createdAt": created_at.replace("+00:00", "Z")},
        "no_zone": {"createdAt": created_at.removesuffix("+00:00")},
        "missing": {},
    }
    names = {"id": listed.id, "fromName": listed.account.name}
    if behaviour.list_echoes_input:
        names = dict.fromkeys(names, in_turn(number, listed.account.smtp_password))
    return (
        times[behaviour.list_times]
        | names
        | {
            "fromEmail": listed.account.smtp_email_address,
            "type": "smtp-imap",
            "status": listed.status,
            "healthScore": 100 * listed.status,
            "emailServiceProvider": listed.account.email_service_provider,
        }
    )


def _csv(attempts: Sequence[Attempt], behaviour: Behaviour) -> str:
    address, status, reason = REPORT_COLUMNS[behaviour.report_columns]
    echoed = [to_camel(name) for name in Account.model_fields]
    columns = [*(echoed if behaviour.report_echoes_input else []), address, status, reason]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(dict.fromkeys(columns)), extrasaction="ignore")
    writer.writeheader()
    writer.writerows(
        one.account.model_dump(by_alias=True)
        | {
            address: one.account.smtp_email_address,
            status: "Connected" if one.reason is None else "Failed",
            reason: _reason(number, one, behaviour),
        }
        for number, one in enumerate(attempts)
    )
    return text.getvalue()


def _reason(number: int, attempt: Attempt, behaviour: Behaviour) -> str | None:
    if not (behaviour.reasons_echo_input and attempt.reason):
        return attempt.reason
    sent = attempt.account.model_dump().values()
    return " ".join([attempt.reason, *(in_turn(number, str(value)) for value in sent)])
