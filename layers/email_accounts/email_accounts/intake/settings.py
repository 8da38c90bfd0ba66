"""The settings of an account, as people write them and as the remote takes them.

Settings are what many accounts of a file share: provider, hosts, ports and encryption.
Sources: docs/account-files.md.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from email_accounts.text.headers import normalize_header

SSL_PORTS = frozenset({"465", "993"})
TLS_PORTS = frozenset({"587", "143", "2525"})
_WHOLE_PORT = re.compile(r"0*([0-9]{1,9})(?:\.0+)?")


@dataclass(frozen=True, slots=True)
class ServerPreset:
    """One side (SMTP or IMAP) of a provider's servers: a port per encryption, the usual first."""

    host: str
    ports: dict[str, str]


@dataclass(frozen=True, slots=True)
class Preset:
    """A provider's servers."""

    smtp: ServerPreset
    imap: ServerPreset


_NO_SIDE = ServerPreset("", {})
_SSL_OR_TLS = {"ssl": "465", "tls": "587"}


def _imap(host: str) -> ServerPreset:
    return ServerPreset(host, {"ssl": "993"})


PRESETS: dict[str, Preset] = {
    "gsuite": Preset(ServerPreset("smtp.gmail.com", _SSL_OR_TLS), _imap("imap.gmail.com")),
    "gmail": Preset(ServerPreset("smtp.gmail.com", _SSL_OR_TLS), _imap("imap.gmail.com")),
    "o365": Preset(
        ServerPreset("smtp.office365.com", {"tls": "587"}), _imap("outlook.office365.com")
    ),
    "microsoft": Preset(
        ServerPreset("smtp-mail.outlook.com", {"tls": "587"}), _imap("outlook.office365.com")
    ),
    "yahoo": Preset(ServerPreset("smtp.mail.yahoo.com", _SSL_OR_TLS), _imap("imap.mail.yahoo.com")),
    "zoho": Preset(ServerPreset("smtp.zoho.com", _SSL_OR_TLS), _imap("imap.zoho.com")),
    "godaddy": Preset(
        ServerPreset("smtpout.secureserver.net", _SSL_OR_TLS), _imap("imap.secureserver.net")
    ),
    "yandex": Preset(ServerPreset("smtp.yandex.com", {"ssl": "465"}), _imap("imap.yandex.com")),
    "sendgrid": Preset(ServerPreset("smtp.sendgrid.net", {"tls": "587", "ssl": "465"}), _NO_SIDE),
}
SENDGRID_USER = "apikey"
"""The user name that SendGrid wants, to the letter."""

_NO_PRESET = Preset(_NO_SIDE, _NO_SIDE)

PROVIDER_NAMES: dict[str, str] = {
    **dict.fromkeys(("google", "gmail", "gsuite", "workspace", "googleworkspace", "2"), "gsuite"),
    **dict.fromkeys(
        ("microsoft", "outlook", "office", "office365", "microsoft365", "m365", "o365"), "o365"
    ),
    **dict.fromkeys(("exchange", "3"), "o365"),
    **{name: name for name in ("yahoo", "zoho", "godaddy", "yandex", "sendgrid", "other")},
    **dict.fromkeys(("custom", "smtp", "imap", "1"), "other"),
}
"""What people call a provider, in letters and digits alone; the digits are Instantly's."""

PROVIDER_OF_DOMAIN: dict[str, str] = {
    **dict.fromkeys(("@gmail.com", "@googlemail.com"), "gmail"),
    **dict.fromkeys(("@outlook.com", "@hotmail.com", "@live.com", "@msn.com"), "microsoft"),
    **dict.fromkeys(("@yahoo.com", "@ymail.com"), "yahoo"),
    **dict.fromkeys(("@zoho.com", "@zohomail.com"), "zoho"),
    "@yandex.com": "yandex",
}

_PROVIDER_OF_HOST = {
    host: provider
    for provider, preset in reversed(PRESETS.items())
    for host in (preset.smtp.host, preset.imap.host)
    if host
}
_SIDE_OF_HOST = {
    side.host: side for preset in PRESETS.values() for side in (preset.smtp, preset.imap)
}
_PERSONAL = {"gsuite": "gmail", "o365": "microsoft"}

ENCRYPTION_NAMES: dict[str, str] = {
    **dict.fromkeys(("ssl", "ssltls", "implicit", "smtps", "imaps"), "ssl"),
    **dict.fromkeys(("tls", "starttls", "explicit"), "tls"),
}
_YES_OR_NO: dict[str, str] = {
    **dict.fromkeys(("true", "yes", "1", "y", "on"), "ssl"),
    **dict.fromkeys(("false", "no", "0", "n", "off"), "tls"),
}
"""What a column 'secure' means where the port does not tell."""


def settings_of(raw: Sequence[str], domain: str) -> tuple[str, ...]:
    """Normalise provider, SMTP host, port, encryption and IMAP host, port, encryption.

    `raw` holds them as they stand in the file, `domain` is the address's with its `@`, in
    lower case. What is blank is filled in from the provider; what is given is kept.
    """
    provider, smtp_host, smtp_port, smtp_encryption, imap_host, imap_port, imap_encryption = (
        text.strip() for text in raw
    )
    provider = _provider(provider, smtp_host.lower(), imap_host.lower(), domain)
    preset = PRESETS.get(provider, _NO_PRESET)
    return (
        provider,
        *_server(smtp_host, smtp_port, smtp_encryption, preset.smtp),
        *_server(imap_host, imap_port, imap_encryption, preset.imap),
    )


def domains_that_matter(raw: Sequence[str]) -> tuple[str, ...]:
    """Return the domains for which the same raw settings become others, each with its `@`."""
    provider, smtp_host, imap_host = raw[0].strip(), raw[1].strip().lower(), raw[4].strip().lower()
    if not (provider or smtp_host or imap_host):
        return tuple(PROVIDER_OF_DOMAIN)
    personal = _PERSONAL.get(_provider(provider, smtp_host, imap_host, ""))
    return tuple(domain for domain, of in PROVIDER_OF_DOMAIN.items() if of == personal)


def _provider(given: str, smtp_host: str, imap_host: str, domain: str) -> str:
    by_domain = PROVIDER_OF_DOMAIN.get(domain, "")
    if given:
        provider = PROVIDER_NAMES.get(normalize_header(given), given)
    elif smtp_host or imap_host:
        provider = _PROVIDER_OF_HOST.get(smtp_host) or _PROVIDER_OF_HOST.get(imap_host) or "other"
    else:
        provider = by_domain or "other"
    personal = _PERSONAL.get(provider)
    return personal if personal and personal == by_domain else provider


def _server(host: str, port: str, encryption: str, preset: ServerPreset) -> tuple[str, str, str]:
    host = host or preset.host
    ports = _SIDE_OF_HOST.get(host.lower(), _NO_SIDE).ports
    name = normalize_header(encryption)
    known = ENCRYPTION_NAMES.get(name, "")
    whole = _WHOLE_PORT.fullmatch(port)
    port = whole[1] if whole else port or ports.get(known) or next(iter(ports.values()), "")
    if known or (encryption and name not in _YES_OR_NO):
        return host, port, known or encryption.lower()
    return host, port, _encryption_of(port) or _YES_OR_NO.get(name, "")


def _encryption_of(port: str) -> str:
    if port in SSL_PORTS:
        return "ssl"
    return "tls" if port in TLS_PORTS else ""
