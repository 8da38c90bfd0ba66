"""One account: its fields, the rules they obey, and the account made of valid values."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from email_accounts.secret import Secret

PROVIDERS = (
    "gmail",
    "gsuite",
    "microsoft",
    "o365",
    "yahoo",
    "zoho",
    "godaddy",
    "yandex",
    "sendgrid",
    "other",
)
ENCRYPTIONS = ("ssl", "tls")
_HIGHEST_PORT = 65535
_LONGEST_TEXT = 255
_ADDRESS = re.compile(
    r"(?=.{3,254}\Z)[a-z0-9!#$%&'*+/=?^_`{|}~-]+(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]+)*"
    r"@(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z](?:[a-z0-9-]{0,61}[a-z0-9])",
    re.IGNORECASE | re.ASCII,
)
_HOST = re.compile(
    r"(?=.{1,253}\Z)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+"
    r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?",
    re.IGNORECASE | re.ASCII,
)
_WHOLE_NUMBER = re.compile(r"[0-9]{1,5}(?:\.0+)?")
_UNSENDABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one field of a row, and how to mend it. Never the value itself."""

    field: str
    code: str
    message: str
    cure: str


@dataclass(frozen=True, slots=True)
class Server:
    """How to reach one side (SMTP or IMAP) of a mailbox."""

    address: str
    user_name: str
    password: Secret
    host: str
    port: int
    encryption: str


@dataclass(frozen=True, slots=True)
class Account:
    """A valid row: one mailbox as it is sent to the remote."""

    provider: str
    first_name: str
    last_name: str
    smtp: Server
    imap: Server

    @property
    def secrets(self) -> tuple[Secret, Secret]:
        """Both passwords."""
        return self.smtp.password, self.imap.password


@dataclass(frozen=True, slots=True)
class _Rule:
    holds: Callable[[str], bool]
    code: str
    message: str
    cure: str


def is_address(text: str) -> bool:
    """Say whether a text is an email address."""
    return bool(_ADDRESS.fullmatch(text))


def _is_text(value: str) -> bool:
    return len(value) <= _LONGEST_TEXT and not _UNSENDABLE.search(value)


def _is_port(value: str) -> bool:
    return bool(_WHOLE_NUMBER.fullmatch(value)) and 1 <= int(float(value)) <= _HIGHEST_PORT


_NAME = _Rule(
    _is_text,
    "name_unusable",
    "the name is too long or holds control characters",
    f"Shorten it to {_LONGEST_TEXT} characters without line breaks.",
)
_EMAIL_ADDRESS = _Rule(
    is_address,
    "address_invalid",
    "this is not an email address",
    "Write it as name@domain, without blanks or brackets.",
)
_USER_NAME = _Rule(
    lambda value: value != "" and _is_text(value),
    "user_name_missing",
    "the user name is missing or unusable",
    "Give the name the mailbox signs in with; mostly it is the address.",
)
_PASSWORD = _Rule(
    lambda value: value != "" and _is_text(value),
    "password_missing",
    "the password is missing or unusable",
    "Give the mailbox's password; where two-step verification is on, an app password.",
)
_SERVER_HOST = _Rule(
    lambda value: bool(_HOST.fullmatch(value)),
    "host_invalid",
    "this is not the name of a mail server",
    "Give its full name such as smtp.gmail.com, without http:// and without a port.",
)
_PORT = _Rule(
    _is_port,
    "port_invalid",
    "this is not a port",
    "Give a number from 1 to 65535; usual are 465 or 587 for SMTP and 993 for IMAP.",
)
_ENCRYPTION = _Rule(
    lambda value: value in ENCRYPTIONS,
    "encryption_invalid",
    "this is not an encryption the service knows",
    "Write ssl (ports 465 and 993) or tls (ports 587, 143 and 2525).",
)

_RULES: dict[str, _Rule] = {
    "emailServiceProvider": _Rule(
        lambda value: value in PROVIDERS,
        "provider_unknown",
        "this is not a provider the service knows",
        f"Write one of {', '.join(PROVIDERS)}.",
    ),
    "fromFirstName": _NAME,
    "fromLastName": _NAME,
    "smtpEmailAddress": _EMAIL_ADDRESS,
    "smtpUserName": _USER_NAME,
    "smtpPassword": _PASSWORD,
    "smtpHost": _SERVER_HOST,
    "smtpPort": _PORT,
    "smtpEncryption": _ENCRYPTION,
    "imapEmailAddress": _EMAIL_ADDRESS,
    "imapUserName": _USER_NAME,
    "imapPassword": _PASSWORD,
    "imapHost": _SERVER_HOST,
    "imapPort": _PORT,
    "imapEncryption": _ENCRYPTION,
}
FIELDS: tuple[str, ...] = tuple(_RULES)
ADDRESS_FIELD = "smtpEmailAddress"
_ADDRESS_AT = FIELDS.index(ADDRESS_FIELD)
_LOWERCASE_AT = tuple(
    FIELDS.index(field) for field in ("emailServiceProvider", "smtpEncryption", "imapEncryption")
)


def normalise(values: list[str]) -> list[str]:
    """Bring the texts of a row, in the order of FIELDS, into the form the rules expect."""
    values = [value.strip() for value in values]
    for at in _LOWERCASE_AT:
        values[at] = values[at].lower()
    return values


def address_of(values: Sequence[str]) -> str:
    """Return the address a row is known by, or '' where there is none.

    What is no address is not shown: where columns are shifted it may be a password.
    """
    address = values[_ADDRESS_AT]
    return address if is_address(address) else ""


def problems_of(values: Sequence[str]) -> tuple[Problem, ...]:
    """Return every problem of a normalised row; none means that it is an account."""
    return tuple(
        Problem(field, rule.code, rule.message, rule.cure)
        for (field, rule), value in zip(_RULES.items(), values, strict=True)
        if not rule.holds(value)
    )


def account_of(values: Sequence[str]) -> Account:
    """Make the account of a normalised row without problems."""
    provider, first_name, last_name, *servers = values
    return Account(provider, first_name, last_name, _server(servers[:6]), _server(servers[6:]))


def _server(values: Sequence[str]) -> Server:
    address, user_name, password, host, port, encryption = values
    return Server(address, user_name, Secret(password), host, int(float(port)), encryption)
