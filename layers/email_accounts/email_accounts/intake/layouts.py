"""Which column of a file holds what: one table of names, and the layouts known by name."""

from collections.abc import Sequence
from dataclasses import dataclass

from email_accounts.errors import FileRefusedError
from email_accounts.models.account import ADDRESS_FIELD
from email_accounts.text.headers import holds_address, normalize_header, shown_header

ADDRESS = "address"
FULL_NAME = "fullName"
PASSWORD = "password"  # noqa: S105  the name of a column

ALIASES: dict[str, tuple[str, ...]] = {
    ADDRESS: (
        "email",
        "email_address",
        "e_mail",
        "from_email",
        "sender_email",
        "mailbox",
        "address",
        "account",
        "email_account",
    ),
    "smtpEmailAddress": ("smtp_email", "smtp_email_address"),
    "imapEmailAddress": ("imap_email", "imap_email_address"),
    "fromFirstName": ("first_name", "firstname", "first", "from_first_name", "sender_first_name"),
    "fromLastName": (
        "last_name",
        "lastname",
        "last",
        "surname",
        "from_last_name",
        "sender_last_name",
    ),
    FULL_NAME: (
        "from_name",
        "sender_name",
        "display_name",
        "name",
        "full_name",
        "smtp_from_name",
    ),
    "emailServiceProvider": (
        "provider",
        "preset",
        "esp",
        "email_provider",
        "email_service_provider",
        "provider_type",
        "provider_code",
        "type",
        "inbox_type",
    ),
    PASSWORD: ("password", "pass", "app_password", "app_pass"),
    "smtpUserName": (
        "smtp_username",
        "smtp_user",
        "smtp_user_name",
        "smtp_login",
        "user_name",
        "username",
        "login",
    ),
    "smtpPassword": ("smtp_password", "smtp_pass", "smtp_app_password"),
    "smtpHost": (
        "smtp_host",
        "smtp_server",
        "smtp_hostname",
        "outgoing_server",
        "outgoing_host",
        "smtp",
    ),
    "smtpPort": ("smtp_port", "outgoing_port"),
    "smtpEncryption": (
        "smtp_encryption",
        "smtp_security",
        "smtp_ssl",
        "smtp_secure",
        "smtp_tls",
        "smtp_use_tls",
        "smtp_port_type",
        "security",
        "encryption",
    ),
    "imapUserName": ("imap_username", "imap_user", "imap_user_name", "imap_login"),
    "imapPassword": ("imap_password", "imap_pass", "imap_app_password"),
    "imapHost": (
        "imap_host",
        "imap_server",
        "imap_hostname",
        "incoming_server",
        "incoming_host",
        "imap",
    ),
    "imapPort": ("imap_port", "incoming_port"),
    "imapEncryption": (
        "imap_encryption",
        "imap_security",
        "imap_ssl",
        "imap_secure",
        "imap_tls",
        "imap_use_tls",
        "imap_port_type",
    ),
}
"""What a column may be called, per target. Only letters and digits count, in any case."""

IGNORED: tuple[str, ...] = (
    "daily_limit",
    "max_email_per_day",
    "warmup_*",
    "total_warmup_per_day",
    "daily_rampup",
    "reply_rate_percentage",
    "custom_tracking_url",
    "tracking_domain",
    "bcc",
    "signature",
    "footer",
    "different_reply_to_address",
    "status",
    "created_date",
    "domain",
    "sending_wait_time_*",
    "allowed_values",
    "problem",
)
"""Columns that are known and of no use here; `*` stands for any end."""

LAYOUTS: dict[str, tuple[str, ...]] = {
    "Saleshandy API": (
        "emailServiceProvider",
        "fromFirstName",
        "fromLastName",
        "smtpEmailAddress",
        "smtpUserName",
        "smtpPassword",
        "smtpHost",
        "smtpPort",
        "smtpEncryption",
        "imapEmailAddress",
        "imapUserName",
        "imapPassword",
        "imapHost",
        "imapPort",
        "imapEncryption",
    ),
    "Instantly": (
        "Email",
        "First Name",
        "Last Name",
        "IMAP Username",
        "IMAP Password",
        "IMAP Host",
        "IMAP Port",
        "SMTP Username",
        "SMTP Password",
        "SMTP Host",
        "SMTP Port",
    ),
    "Smartlead": (
        "from_name",
        "from_email",
        "user_name",
        "password",
        "smtp_host",
        "smtp_port",
        "imap_host",
        "imap_port",
    ),
    "EmailBison": (
        "Name",
        "Email",
        "Password",
        "IMAP Server",
        "IMAP Port",
        "SMTP Server",
        "SMTP Port",
        "SMTP Secure",
        "IMAP Secure",
    ),
    "Woodpecker": (
        "SMTP email",
        "SMTP login",
        "SMTP password",
        "SMTP server",
        "SMTP port",
        "SMTP from name",
        "IMAP email",
        "IMAP password",
        "IMAP server",
        "IMAP port",
    ),
    "SalesBlink": (
        "from_email",
        "password",
        "smtp_host",
        "smtp_port",
        "from_name",
        "user_name",
        "imap_host",
        "imap_port",
        "imap_user_name",
        "imap_password",
    ),
    "BrandJet": (
        "email",
        "password",
        "smtpHost",
        "smtpPort",
        "smtpTls",
        "imapHost",
        "imapPort",
        "imapTls",
        "fromName",
    ),
    "SendKit": (
        "email",
        "password",
        "smtphost",
        "imaphost",
        "smtpport",
        "imapport",
        "smtpsecure",
        "imapsecure",
        "displayname",
    ),
    "Snov.io": ("From email", "From name", "SMTP host"),
    "warm-up tool": (
        "from_name",
        "from_email",
        "smtp_host",
        "smtp_port",
        "smtp_username",
        "smtp_password",
        "imap_host",
        "imap_port",
        "imap_username",
        "imap_password",
    ),
    "mailbox seller": ("Email", "App Password", "SMTP", "IMAP"),
    "address and password": ("email", "password"),
}
"""Who writes which headers. The name is told to people; reading does not depend on it."""

OPTIONAL_HEADERS: dict[str, tuple[str, ...]] = {
    "Instantly": ("Daily Limit", "Warmup Enabled", "Warmup Limit", "Warmup Increment"),
    "Smartlead": (
        "max_email_per_day",
        "custom_tracking_url",
        "warmup_enabled",
        "total_warmup_per_day",
        "daily_rampup",
        "reply_rate_percentage",
        "bcc",
        "signature",
        "different_reply_to_address",
        "imap_user_name",
        "imap_password",
    ),
    "EmailBison": ("Daily Limit",),
}
"""What else these write where it is wanted."""

_TARGET_OF = {
    normalize_header(name): target for target, names in ALIASES.items() for name in (target, *names)
}
_IGNORED_WHOLE = frozenset(normalize_header(name) for name in IGNORED if not name.endswith("*"))
_IGNORED_STARTS = tuple(normalize_header(name) for name in IGNORED if name.endswith("*"))
_ADDRESS_TARGETS = (ADDRESS, ADDRESS_FIELD, "imapEmailAddress")


@dataclass(frozen=True, slots=True)
class Layout:
    """The columns of a file: where each target stands, and what is not used."""

    name: str
    width: int
    columns: dict[str, int]
    unknown: tuple[str, ...]


def resolve(headers: Sequence[str]) -> Layout:
    """Find the columns of a file.

    Raises:
        FileRefusedError: no header is the address of an account, or one is an address itself.
    """
    if any(map(holds_address, headers)):
        raise FileRefusedError(
            "The name of a column holds an email address, so its first row is no header row.",
            "Put a row above it that names the columns, such as email,password,smtpHost,smtpPort.",
        )
    layout = find_columns(headers)
    if not any(target in layout.columns for target in _ADDRESS_TARGETS):
        raise FileRefusedError(
            "None of its columns is the address of an account.",
            "The first line names the columns; the address is one of "
            f"{', '.join((*ALIASES[ADDRESS], *_ADDRESS_TARGETS[1:]))}; known besides are "
            f"{', '.join(target for target in ALIASES if target not in _ADDRESS_TARGETS)}.",
        )
    return layout


def find_columns(headers: Sequence[str]) -> Layout:
    """Find the targets among the headers; of two columns for one target the first counts."""
    columns: dict[str, int] = {}
    unknown: list[str] = []
    for position, header in enumerate(headers):
        name = normalize_header(header)
        target = _TARGET_OF.get(name)
        if target:
            columns.setdefault(target, position)
        elif header.strip() and not _is_ignored(name):
            unknown.append(shown_header(header, position + 1))
    return Layout(_name_of(headers), len(headers), columns, tuple(dict.fromkeys(unknown)))


def recognized(cells: Sequence[str]) -> int:
    """Count the names of columns that are known; 0 without an address, or in a row of data."""
    layout = find_columns(cells)
    has_address = any(target in layout.columns for target in _ADDRESS_TARGETS)
    return len(layout.columns) if has_address and not any("@" in cell for cell in cells) else 0


def _is_ignored(name: str) -> bool:
    return name in _IGNORED_WHOLE or name.startswith(_IGNORED_STARTS)


def _name_of(headers: Sequence[str]) -> str:
    """Name the layout that has all its headers here, and most of the others; '' if none has.

    Smartlead and SalesBlink write the same columns, in another order.
    """
    present = [normalize_header(header) for header in headers]
    fitting: dict[str, tuple[int, bool]] = {}
    for name, wanted in LAYOUTS.items():
        own = [*map(normalize_header, wanted)]
        if {*own} <= {*present}:
            others = {*map(normalize_header, OPTIONAL_HEADERS.get(name, ()))} & {*present}
            fitting[name] = (len({*own} | others), own[0] == present[0])
    return max(fitting, key=fitting.__getitem__, default="")
