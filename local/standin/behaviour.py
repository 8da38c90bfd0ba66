"""How the stand-in behaves where the service is configurable, undocumented or unknown."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Behaviour(BaseModel):
    """Every switch of the stand-in; the defaults are the service's most likely behaviour."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    completion_seconds: float = Field(
        default=12, ge=0, description="From a submission to its completion; fixed when submitted."
    )
    max_accounts: int = Field(default=100, ge=1, description="Accounts taken in one connect.")
    takes_encryption_none: bool = Field(
        default=False, description="Whether connect takes `none` beside `ssl` and `tls`."
    )
    refused_key_status: Literal[400, 401, 403] = Field(
        default=401, description="HTTP status given to a missing or wrong API key."
    )
    status_not_found_polls: int = Field(
        default=0, ge=0, description="So many first looks at a request answer 'not found'."
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
