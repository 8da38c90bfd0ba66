"""One account: its fields, the rules they obey, and the account made of valid values."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from email_accounts.text.secret import Secret

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
ADDRESS_FIELD = "smtpEmailAddress"
LONGEST_TEXT = 255
_HIGHEST_PORT = 65535
# Groups are not repeated possessively: Python before 3.11.5 matches that wrong.
_LABEL = r"(?![a-z0-9-]{64})[a-z0-9]++(?:-++[a-z0-9]++)*"
_ADDRESS = re.compile(
    r"(?=.{3,254}\Z)[a-z0-9!#$%&'*+/=?^_`{|}~-]++(?:\.[a-z0-9!#$%&'*+/=?^_`{|}~-]++)*"
    rf"@(?:{_LABEL}\.)+(?=[a-z]){_LABEL}(?<!@.)(?<!\..)",
    re.IGNORECASE | re.ASCII,
)
PLAIN_ADDRESS = re.compile(
    r"[a-z0-9]++(?:[._+-][a-z0-9]++)*@(?:[a-z0-9]++(?:-[a-z0-9]++)*\.)+[a-z]{2,24}"
)
"""The simplest form of an address; what fits it and is not long fits the whole form, too."""

LONGEST_PLAIN = 64
_HOST = re.compile(
    rf"(?=.{{1,253}}\Z)(?:{_LABEL}\.)+{_LABEL}",
    re.IGNORECASE | re.ASCII,
)
_UNSENDABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one field of a row, and how to mend it. Never the value itself."""

    field: str
    code: str
    message: str
    fix: str


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
class Rule:
    """What holds for a normalised value, and what is told where it does not."""

    holds: Callable[[str], object]
    code: str
    message: str
    fix: str


def secrets_of(accounts: Iterable[Account]) -> Iterator[Secret]:
    """Yield the passwords of accounts."""
    for account in accounts:
        yield from account.secrets


def is_address(text: str) -> bool:
    """Say whether a text is an email address."""
    is_plain = PLAIN_ADDRESS.fullmatch(text) and len(text) <= LONGEST_PLAIN
    return bool(is_plain or _ADDRESS.fullmatch(text))


def _is_text(value: str) -> bool:
    return len(value) <= LONGEST_TEXT and (value.isprintable() or not _UNSENDABLE.search(value))


def _is_filled_text(value: str) -> bool:
    return value != "" and not value.isspace() and _is_text(value)


def _is_port(value: str) -> bool:
    is_short_number = len(value) <= len(str(_HIGHEST_PORT)) and value.isascii() and value.isdigit()
    return is_short_number and 1 <= int(value) <= _HIGHEST_PORT


_NAME = Rule(
    _is_text,
    "name_unusable",
    "the name is too long or holds control characters",
    f"Write at most {LONGEST_TEXT} characters, without line breaks.",
)
_EMAIL_ADDRESS = Rule(
    is_address,
    "address_invalid",
    "this is not an email address",
    "Write it as name@domain, without blanks or brackets.",
)
_USER_NAME = Rule(
    _is_filled_text,
    "user_name_unusable",
    "the user name is missing, too long or holds control characters",
    "Give the name the mailbox signs in with; leave it blank where that is the address.",
)
_PASSWORD = Rule(
    _is_filled_text,
    "password_missing",
    "the password is missing or unusable",
    "Give the mailbox's password; where two-step verification is on, an app password.",
)
_SERVER_HOST = Rule(
    _HOST.fullmatch,
    "host_invalid",
    "this is not the name of a mail server",
    "Give its full name such as smtp.gmail.com, without http:// and without a port.",
)
_PORT = Rule(
    _is_port,
    "port_invalid",
    "this is not a port",
    "Give a number from 1 to 65535; usual are 465 or 587 for SMTP and 993 for IMAP.",
)
_ENCRYPTION = Rule(
    ENCRYPTIONS.__contains__,
    "encryption_invalid",
    "this is not an encryption the service knows",
    "Write ssl (ports 465 and 993) or tls (ports 587, 143 and 2525).",
)

RULES: dict[str, Rule] = {
    "emailServiceProvider": Rule(
        PROVIDERS.__contains__,
        "provider_unknown",
        "this is not a provider the service knows",
        f"Write one of {', '.join(PROVIDERS)}, or leave it blank.",
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
"""The 15 fields in the remote's order, each with its rule."""

FIELDS: tuple[str, ...] = tuple(RULES)
SETTINGS = (
    "emailServiceProvider",
    "smtpHost",
    "smtpPort",
    "smtpEncryption",
    "imapHost",
    "imapPort",
    "imapEncryption",
)
"""The fields that many accounts of a file share."""

_SENDGRID = Problem(
    "imapHost",
    "imap_missing",
    "SendGrid only sends: it has no mailbox to read",
    "Name the IMAP server where the answers arrive, with its port.",
)


def problem_with(field: str) -> Problem:
    """Return what is told where the rule of a field does not hold."""
    rule = RULES[field]
    return Problem(field, rule.code, rule.message, rule.fix)


def sendgrid_problems(problems: tuple[Problem, ...]) -> tuple[Problem, ...]:
    """Tell the missing IMAP server of a SendGrid account as what it is."""
    others = (problem for problem in problems if not problem.field.startswith("imap"))
    return (*others, _SENDGRID)


def account_of(values: Sequence[str]) -> Account:
    """Make the account of a normalised row without problems."""
    provider, first_name, last_name, *servers = values
    return Account(provider, first_name, last_name, _server(servers[:6]), _server(servers[6:]))


def _server(values: Sequence[str]) -> Server:
    address, user_name, password, host, port, encryption = values
    return Server(address, user_name, Secret(password), host, int(port), encryption)
