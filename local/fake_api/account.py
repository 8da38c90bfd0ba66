"""An account as it is sent to Saleshandy, and why it cannot be signed in to."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

Provider = Literal[
    "gmail",
    "microsoft",
    "gsuite",
    "o365",
    "yahoo",
    "zoho",
    "godaddy",
    "yandex",
    "sendgrid",
    "other",
]
Text = Annotated[str, Field(min_length=1)]
Port = Annotated[int, Field(ge=1, le=65535)]
Secret = Annotated[str, Field(min_length=1, repr=False)]

REFUSED = "wrong-password"
IMAP_DISABLED = "imap-disabled"
UNREACHABLE = "unreachable.example"


class Account(BaseModel):
    """The fifteen fields of one account; which encryptions are accepted is a switch."""

    model_config = ConfigDict(alias_generator=to_camel, strict=True, extra="forbid", frozen=True)

    email_service_provider: Provider
    from_first_name: str
    from_last_name: str
    smtp_email_address: Text
    smtp_user_name: Text
    smtp_password: Secret
    smtp_host: Text
    smtp_port: Port
    smtp_encryption: str
    imap_email_address: Text
    imap_user_name: Text
    imap_password: Secret
    imap_host: Text
    imap_port: Port
    imap_encryption: str

    @property
    def address(self) -> str:
        """The identity of an account, without its case."""
        return self.smtp_email_address.lower()

    @property
    def name(self) -> str:
        """The sender's whole name."""
        return f"{self.from_first_name} {self.from_last_name}".strip()


def failure(account: Account) -> str | None:
    """Return the one error a report gives, decided by the data of the account; None: connected."""
    return _smtp_error(account) or _imap_error(account)


def _smtp_error(account: Account) -> str | None:
    if _is_unreachable(account.smtp_host):
        return _no_answer("SMTP", account.smtp_host, account.smtp_port)
    if account.smtp_password == REFUSED:
        return "Sign-in refused: 535 5.7.8 Username and Password not accepted"
    return None


def _imap_error(account: Account) -> str | None:
    if _is_unreachable(account.imap_host):
        return _no_answer("IMAP", account.imap_host, account.imap_port)
    if account.imap_password == REFUSED:
        return "Sign-in refused: NO [AUTHENTICATIONFAILED] Invalid credentials"
    if IMAP_DISABLED in (account.smtp_password, account.imap_password):
        return "IMAP access is switched off for this mailbox: NO [ALERT] IMAP access is disabled"
    return None


def _is_unreachable(host: str) -> bool:
    return f".{host.lower()}".endswith(f".{UNREACHABLE}")


def _no_answer(protocol: str, host: str, port: int) -> str:
    return f"No answer from the {protocol} server {host}:{port}: connection timed out"
