"""One account: its fields, the rules they obey, and the account made of valid values."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache

from email_accounts.models.providers import PROVIDER_TABLE
from email_accounts.text.secret import Secret

PROVIDERS = tuple(dict.fromkeys(one.code for one in PROVIDER_TABLE))
"""The codes of the service, in its order."""
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
_HOST = re.compile(rf"(?=.{{1,253}}\Z)(?:{_LABEL}\.)+{_LABEL}", re.IGNORECASE | re.ASCII)
_UNSENDABLE = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with one field of a row, and how to fix it. Never the value itself.

    `column` is the name that the file gives the field; "" where it has no column for it.
    """

    field: str
    code: str
    message: str
    fix: str
    column: str = ""


class WarningCode(StrEnum):
    """The codes of all warnings: about a row, then about a file."""

    GOOGLE_SIGN_IN = "google_sign_in"
    MICROSOFT_SIGN_IN = "microsoft_sign_in"
    SIGN_IN_NOT_TRIED = "sign_in_not_tried"
    PASSWORD_TRIMMED = "password_trimmed"  # noqa: S105  a code, not a password
    PASSWORD_LIKE_DATE = "password_like_date"  # noqa: S105  as above
    PASSWORD_APOSTROPHE = "password_apostrophe"  # noqa: S105  as above
    PASSWORD_QUOTED = "password_quoted"  # noqa: S105  as above
    NAME_MISREAD = "name_misread"
    NAME_DAMAGED = "name_damaged"
    NAME_NOT_UTF_8 = "name_not_utf_8"
    INVISIBLE_REMOVED = "invisible_removed"
    COLUMNS_DIFFER = "columns_differ"
    PROVIDER_UNKNOWN = "provider_unknown"
    SERVERS_FOUND = "servers_found"
    ENCRYPTION_AND_PORT = "encryption_and_port"
    ENCRYPTION_UNKNOWN = "encryption_unknown"
    OPTIONS_GIVEN = "options_given"
    ADDRESS_COLUMN = "address_column"
    COLUMN_UNCLEAR = "column_unclear"
    COLUMN_NEAR = "column_near"
    SHEETS_LEFT_OUT = "sheets_left_out"


@dataclass(frozen=True, slots=True)
class RowWarning:
    """A warning about a row that is sent nevertheless.

    One `about_sign_in` has no meaning any more once the mailbox is connected.
    """

    code: WarningCode
    message: str
    about_sign_in: bool = False


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
    """A valid row: one mailbox as it is sent to Saleshandy."""

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
    """What holds for a normalized value, and what to write."""

    holds: Callable[[str], object]
    hint: str


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
    return len(value) <= LONGEST_TEXT and value.isprintable() and value.strip() != ""


def _is_port(value: str) -> bool:
    is_short_number = len(value) <= len(str(_HIGHEST_PORT)) and value.isascii() and value.isdigit()
    return is_short_number and 1 <= int(value) <= _HIGHEST_PORT


_SERVERS_GIVEN = "the columns smtpHost, smtpPort, imapHost and imapPort"
_TYPE_AGAIN = "Format the column as text and type the value again."
_WITHOUT_INVISIBLE = "Type it again by hand instead of pasting it."

PROBLEMS: dict[str, tuple[str, str]] = {
    "provider_unknown": (
        "unknown provider",
        f"Write one of {', '.join(PROVIDERS)}, or give the servers in {_SERVERS_GIVEN}.",
    ),
    "name_unusable": (
        "the name is too long or contains control characters",
        f"Use at most {LONGEST_TEXT} characters, without line breaks.",
    ),
    "address_missing": ("no email address", "Write it as name@domain."),
    "address_invalid": (
        "not an email address",
        "Write it as name@domain, without spaces or brackets.",
    ),
    "address_not_ascii": (
        "the address has letters that some mail servers do not accept",
        "Write the domain as xn--…, and the part before the @ in ASCII letters.",
    ),
    "user_name_unusable": (
        "the user name is too long or contains control characters",
        "Enter the name that the mailbox signs in with. Leave it blank if that is the address.",
    ),
    "user_name_invisible": ("the user name contains an invisible character", _WITHOUT_INVISIBLE),
    "user_name_damaged": ("a spreadsheet has changed the user name", _TYPE_AGAIN),
    "password_missing": (
        "no password: the cell is blank or has a placeholder such as ****",
        "Enter the mailbox's password, or an app password if two-step verification is on.",
    ),
    "password_too_long": (
        f"the password has more than {LONGEST_TEXT} characters",
        "Check that the cell contains only the password.",
    ),
    "password_unusable": (
        "the password contains a control character, such as a tab or a line break",
        "Check that the cell contains only the password, in one line.",
    ),
    "password_invisible": ("the password contains an invisible character", _WITHOUT_INVISIBLE),
    "password_damaged": ("a spreadsheet has changed the password", _TYPE_AGAIN),
    "not_utf_8": (
        "the value has letters that are not ASCII, and the file is not UTF-8",
        "Save the file as 'CSV UTF-8', and check the value.",
    ),
    "misread": (
        "letters were damaged when the file was converted (such as \u00c3\u00a4 for \u00e4)",
        "Export the file again as 'CSV UTF-8', or type the value again.",
    ),
    "formula_without_value": (
        "the cell contains a formula without a value, or an error",
        "Enter the value itself.",
    ),
    "servers_missing": (
        "unknown mail servers",
        f"Add a provider column (such as google), or {_SERVERS_GIVEN}.",
    ),
    "domain_missing": (
        "the domain of the address does not exist",
        "Check the address; if it is right, the domain may have expired.",
    ),
    "servers_unanswered": (
        "the mail servers are not known: DNS did not answer",
        f"Import the row again later, or give the servers in {_SERVERS_GIVEN}.",
    ),
    "servers_not_asked": (
        "the mail servers are not known: too many domains to look up",
        f"Split the file, or give the servers in {_SERVERS_GIVEN}.",
    ),
    "column_unclear": (
        "the column is not recognized, so its server is not known",
        "Rename the column, for example to smtpHost or imapPort, or remove it.",
    ),
    "host_invalid": (
        "not the name of a mail server",
        "Enter its full name, such as smtp.gmail.com, without http:// and without a port.",
    ),
    "port_missing": (
        "no port, and the usual port of this server is not known",
        "Enter a number from 1 to 65535, usually 465 or 587 for SMTP and 993 for IMAP.",
    ),
    "port_invalid": (
        "not a port",
        "Enter a number from 1 to 65535, usually 465 or 587 for SMTP and 993 for IMAP.",
    ),
    "imap_missing": (
        "SendGrid only sends: it has no mailbox to read",
        "Enter the IMAP server that receives the replies, with its port.",
    ),
}
"""What can be wrong with a value, and how to fix it, by its code."""

_NAME = Rule(_is_text, PROBLEMS["name_unusable"][1])
_EMAIL_ADDRESS = Rule(is_address, PROBLEMS["address_invalid"][1])
_USER_NAME = Rule(_is_filled_text, PROBLEMS["user_name_unusable"][1])
_PASSWORD = Rule(_is_filled_text, PROBLEMS["password_missing"][1])
_SERVER_HOST = Rule(_HOST.fullmatch, PROBLEMS["host_invalid"][1])
_PORT = Rule(_is_port, PROBLEMS["port_invalid"][1])
_ENCRYPTION = Rule(
    ENCRYPTIONS.__contains__, "Write ssl (ports 465 and 993) or tls (ports 587, 143, 25 and 2525)."
)

RULES: dict[str, Rule] = {
    "emailServiceProvider": Rule(
        PROVIDERS.__contains__,
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
"""The 15 fields in the service's order, each with its rule."""

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


@lru_cache(1024)
def problem(code: str, field: str, column: str = "", detail: str = "") -> Problem:
    """Return a problem of a field; `detail` says more about the case, never the value."""
    message, fix = PROBLEMS[code]
    return Problem(field, code, f"{message} ({detail})" if detail else message, fix, column)


def account_of(values: Sequence[str]) -> Account:
    """Make the account of a normalised row without problems."""
    provider, first_name, last_name, *servers = values
    return Account(provider, first_name, last_name, _server(servers[:6]), _server(servers[6:]))


def _server(values: Sequence[str]) -> Server:
    address, user_name, password, host, port, encryption = values
    return Server(address, user_name, Secret(password), host, int(port), encryption)
