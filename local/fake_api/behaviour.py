"""How the fake API behaves where the service is configurable, undocumented or unknown."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Throttle = Literal[
    "throttle_retry_after", "throttle_reset_epoch", "throttle_reset_date", "throttle_code"
]


class Behaviour(BaseModel):
    """Every switch of the fake API; the defaults are the service's most likely behaviour."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    completion_seconds: float = Field(
        default=12, ge=0, description="From a submission to its completion; fixed when submitted."
    )
    max_accounts: int = Field(default=100, ge=1, description="Accounts accepted in one connect.")
    takes_encryption_none: bool = Field(
        default=False, description="Whether connect takes `none` beside `ssl` and `tls`."
    )
    refused_key_status: Literal[400, 401, 403] = Field(
        default=401, description="HTTP status given to a missing or wrong API key."
    )
    already_listed: Literal["tried_again", "refused", "reported"] = Field(
        default="tried_again",
        description="What connect does with an address that is connected already.",
    )
    status_not_found_polls: int = Field(
        default=0,
        ge=0,
        description="So many first status checks of a request return 'not found'.",
    )
    running_report_url: Literal["null", "missing", "empty"] = Field(
        default="null", description="What `reportURL` is while a request is running."
    )
    top_level_fields: bool = Field(
        default=False, description="Answers carry their fields at top level, not under `payload`."
    )
    report: Literal["failures", "all", "none"] = Field(
        default="failures",
        description="Rows of a report; with `failures` a request without one has no link.",
    )
    report_columns: Literal["service", "fields"] = Field(
        default="service",
        description="`Email,Status,Reason` or `smtpEmailAddress,status,errorMessage`.",
    )
    report_echoes_input: bool = Field(
        default=False, description="Report rows begin with all they were sent, passwords included."
    )
    reasons_echo_input: bool = Field(
        default=False,
        description="Reasons end with all that was sent, passwords included: each in one way of "
        "`local/echoes.py`, the next one in the next way.",
    )
    list_echoes_input: bool = Field(
        default=False,
        description="The list repeats passwords in the same ways, as ids and names of accounts.",
    )
    listed_when: Literal["tried", "accepted"] = Field(
        default="tried",
        description="When an account enters the list; until tried its status is 0. Fixed when"
        " submitted.",
    )
    listing_delay_seconds: float = Field(
        default=0,
        ge=0,
        description="So much later an account enters the list. Fixed when submitted.",
    )
    list_lag_seconds: float = Field(
        default=0, ge=0, description="The list shows accounts as they were so long ago."
    )
    list_times: Literal["iso", "no_zone", "missing"] = Field(
        default="iso", description="How the list names the time of an account's creation."
    )
    list_ignores: tuple[Literal["page", "search", "sort", "status"], ...] = Field(
        default=(), strict=False, description="Parameters of the list that have no effect."
    )
    silent_failure_every: int | None = Field(
        default=None,
        ge=1,
        description="Of each connect every so manieth account is saved, stays inactive and is in"
        " no report of failures; null: none.",
    )
    rate_limit_calls: int | None = Field(
        default=None, ge=1, description="Calls of one key accepted in any window; null: any number."
    )
    rate_limit_seconds: float = Field(default=60, gt=0, description="Length of that window.")
    rate_limit_answer: Throttle = Field(
        default="throttle_retry_after", description="How a call over the limit is answered."
    )
    rate_limit_headers: bool = Field(
        default=False, description="Whether answers say how many calls remain."
    )
