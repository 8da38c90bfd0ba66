"""The settings of an account, from what people write to what Saleshandy accepts.

Settings are what many accounts of a file share: provider, hosts, ports and encryption.
Sources: docs/account-files.md.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from email_accounts.intake.cells import filled, in_ascii, visible
from email_accounts.intake.layouts import ADDRESS
from email_accounts.models.account import (
    ADDRESS_FIELD,
    ENCRYPTIONS,
    FIELDS,
    RULES,
    SETTINGS,
    Problem,
    RowWarning,
    WarningCode,
    problem,
)
from email_accounts.models.providers import (
    GOOGLE,
    MICROSOFT,
    OTHER,
    PROVIDER_TABLE,
    SSL_PORTS,
    TLS_PORTS,
    Provider,
    ServerPreset,
    family_of,
    is_mismatched,
    preset_of_host,
    provider_named,
    provider_of_domain,
    provider_of_host,
    providers,
)
from email_accounts.models.servers import FoundServers, NotFound, ServersOf

_WHOLE_PORT = re.compile(
    r"[a-z ('#:/]{0,20}0*([0-9]{1,9})(?:[.,]0{1,2})?[a-z )':;,/-]{0,20}", re.IGNORECASE
)
_HOST_INSIDE = re.compile(
    r"<?(?:(?:smtps?|imaps?|ssl|tls|mail)://)?([a-z0-9.-]+[a-z0-9])\.?(?::([0-9]{1,5}))?/?>?",
    re.IGNORECASE,
)
_ENCRYPTION_WORD = re.compile("[a-z]+")
_NONE = ServerPreset()
ANY_DOMAIN = ("",)
"""The ends of all addresses."""

ENCRYPTION_NAMES: dict[str, tuple[str, ...]] = {
    "ssl": ("ssl", "ssl/tls", "implicit", "implicit tls", "smtps", "imaps"),
    "tls": ("tls", "starttls", "start tls", "explicit", "explicit tls", "tls/starttls"),
}
"""What people call an encryption. Other words leave it to the port."""

_YES = frozenset(
    {
        *("true", "yes", "1", "1.0", "y", "on", "enabled", "active", "ja", "oui", "si", "sí"),
        *("sim", "wahr", "vrai", "verdadero", "verdadeiro", "vero", "aktiv", "aktiviert"),
        *("activé", "да"),
    }
)
_NO = frozenset(
    {
        *("false", "no", "0", "0.0", "n", "off", "disabled", "inactive", "nein", "non", "nao"),
        *("não", "nee", "falsch", "faux", "falso", "inaktiv", "deaktiviert", "désactivé", "нет"),
    }
)
_BY_PORT = frozenset(
    {
        *("auto", "automatic", "automatisch", "automatique", "auto detect", "autodetect", "detect"),
        *("auto-detect", "default", "standard", "any", "by port"),
    }
)
_DEFAULT_ENCRYPTION = "ssl"
"""That of the example in the API, where neither port nor word name one."""

MICROSOFT_SIGN_IN = RowWarning(
    WarningCode.MICROSOFT_SIGN_IN,
    "Microsoft 365 and Outlook usually refuse passwords, for IMAP since 2022 and for SMTP from "
    "the end of 2026: connect the mailbox with the Microsoft button in Saleshandy",
    about_sign_in=True,
)
ENCRYPTION_AND_PORT = RowWarning(
    WarningCode.ENCRYPTION_AND_PORT,
    "encryption and port do not match, so the server may not answer: "
    "465 and 993 require ssl; 587, 143, 25 and 2525 require tls",
    about_sign_in=True,
)
PROVIDER_UNKNOWN = RowWarning(
    WarningCode.PROVIDER_UNKNOWN, "unknown provider: the servers of the row are used"
)
ENCRYPTION_UNKNOWN = RowWarning(
    WarningCode.ENCRYPTION_UNKNOWN,
    "the encryption is missing or not understood: it is chosen by the port, and ssl where the port "
    "is unusual",
)
_NOT_FOUND = {
    NotFound.NONE: "servers_missing",
    NotFound.NO_DOMAIN: "domain_missing",
    NotFound.NO_ANSWER: "servers_unanswered",
    NotFound.NOT_ASKED: "servers_not_asked",
}
SERVERS_FOUND_FOR = "servers found for "
"""How the warning begins that names the servers found for a domain."""


@dataclass(frozen=True, slots=True)
class Settings:
    """Normalized settings, what is wrong with them, and what to warn of.

    `google` is true where Google's sign-in is expected; `at_google` says it of each server.
    `domains` are the ends of addresses for which the same cells mean others: each a domain with
    its `@`, or "" where servers are found for any domain.
    """

    values: tuple[str, ...]
    problems: tuple[Problem, ...]
    warnings: tuple[RowWarning, ...]
    google: bool
    at_google: tuple[bool, bool]
    domains: tuple[str, ...]
    sends_only: bool
    smtp_user: str


@dataclass(frozen=True, slots=True)
class SettingsReader:
    """Reads the settings of one file's rows.

    `name_of` returns what the file calls a field; `servers_of` what is found for the domains of
    rows without servers, if they are looked up; `defaults` are values for blank cells.
    """

    name_of: Callable[[str], str]
    servers_of: ServersOf | None = None
    defaults: Mapping[str, str] = field(default_factory=dict)

    def read(self, cells: Sequence[str], domain: str, unclear: str = "") -> Settings:
        """Normalize the cells of SETTINGS.

        `domain` is the address's, in lower case. What is blank is filled in from the provider;
        what is given is kept. `unclear` is the name of a column that may mean a server and holds
        something: nothing is filled in then.
        """
        warnings: list[RowWarning] = []
        texts = [self._text(*one, warnings) for one in zip(SETTINGS, cells, strict=True)]
        provider, known = _provider(texts[0], texts[1], texts[4], domain)
        is_lacking = not (texts[1] or texts[4] or unclear or provider.smtp.host)
        found = self.servers_of(domain) if self.servers_of and is_lacking and domain else None
        if isinstance(found, FoundServers):
            known = True
            code = found.provider if found.provider in providers() else OTHER
            provider = replace(providers()[code], personal="", smtp=found.smtp, imap=found.imap)
            text = f"{SERVERS_FOUND_FOR}{domain}: {found.name} (by {found.by})"
            warnings.append(RowWarning(WarningCode.SERVERS_FOUND, text))
        preset = provider if not unclear else providers()[OTHER]
        smtp = _server(texts[1:4], preset.smtp, "smtp", fill=not unclear)
        imap = _server(texts[4:7], preset.imap, "imap", fill=not unclear)
        values = (provider.code, *smtp, *imap)
        problems = [*self._problems(values, provider, unclear, known=known)]
        if isinstance(found, NotFound) and (known or found is not NotFound.NONE):
            problems = [self._not_found(domain, found)]
        elif self.servers_of and is_lacking and known and not domain:
            problems = []  # the address is none, which is the one problem
        if not known and not problems:
            warnings.append(PROVIDER_UNKNOWN)
        if family_of(provider.code) is MICROSOFT:
            warnings.append(MICROSOFT_SIGN_IN)
        sides = ((texts[3], *smtp[1:]), (texts[6], *imap[1:]))
        if not all(_is_told(text, port) for text, port, _ in sides):
            warnings.append(ENCRYPTION_UNKNOWN)
        if any(is_mismatched(port, encryption) for _, port, encryption in sides):
            warnings.append(ENCRYPTION_AND_PORT)
        google = family_of(provider.code) is GOOGLE
        at_smtp, at_imap = (google or family_of(OTHER, host) is GOOGLE for host, *_ in (smtp, imap))
        is_looked_up = self.servers_of and is_lacking
        return Settings(
            values,
            tuple(problems),
            tuple(warnings),
            google,
            (at_smtp, at_imap),
            ANY_DOMAIN if is_looked_up else _domains(texts[0], texts[1], texts[4]),
            provider.sends_only,
            provider.user_name,
        )

    def _text(self, field: str, cell: str, warnings: list[RowWarning]) -> str:
        text, removed = visible(cell)
        if removed:
            warnings.append(invisible_removed(removed, self.name_of(field) or field))
        if field.endswith("Encryption") and text.strip().lower() == "none":
            return "none"  # BrandJet's word for plain text, and no blank
        text = filled(text) or self.defaults.get(field, "")
        return in_ascii(text) if field.endswith("Host") else text

    def _problems(
        self, values: tuple[str, ...], provider: Provider, unclear: str, *, known: bool
    ) -> list[Problem]:
        """Return one problem per cause, without those that follow from another one."""
        by_field = dict(zip(SETTINGS, values, strict=True))
        lacking = [side for side in ("smtp", "imap") if not by_field[f"{side}Host"]]
        if provider.sends_only and "imap" in lacking:
            return [
                *self._of_side("smtp", by_field),
                problem("imap_missing", "imapHost", self.name_of("imapHost")),
            ]
        found = []
        if lacking:
            found.append(self._without_servers(lacking, unclear, known=known))
        for side in ("smtp", "imap"):
            if side not in lacking:
                found += self._of_side(side, by_field)
        if unclear and any(one.code == "port_missing" for one in found):
            found = [one for one in found if one.code != "port_missing"]
            found.append(problem("column_unclear", "smtpPort", unclear))
        return sorted(once(found), key=lambda one: FIELDS.index(one.field))

    def _without_servers(self, lacking: list[str], unclear: str, *, known: bool) -> Problem:
        field = f"{lacking[0]}Host"
        if unclear:
            return problem("column_unclear", field, unclear)
        if not known:
            return problem(
                "provider_unknown", SETTINGS[0], self.name_of(SETTINGS[0]) or SETTINGS[0]
            )
        detail = "" if len(lacking) > 1 else f"{lacking[0].upper()} is missing"
        return problem("servers_missing", field, self.name_of(field), detail)

    def _not_found(self, domain: str, found: NotFound) -> Problem:
        """Return the one problem of a row whose servers DNS does not name."""
        if found is NotFound.NO_DOMAIN:
            column = self.name_of(ADDRESS_FIELD) or self.name_of(ADDRESS)
            return problem("domain_missing", ADDRESS_FIELD, column, domain)
        detail = {NotFound.NONE: f"DNS names none for {domain}", NotFound.NO_ANSWER: domain}
        code, name = _NOT_FOUND[found], self.name_of("smtpHost")
        return problem(code, "smtpHost", name, detail.get(found, ""))

    def _of_side(self, side: str, values: Mapping[str, str]) -> list[Problem]:
        host, port = (f"{side}{what}" for what in ("Host", "Port"))
        found = []
        if not RULES[host].holds(values[host]):
            found.append(problem("host_invalid", host, self.name_of(host)))
        if values[port] and not RULES[port].holds(values[port]):
            found.append(problem("port_invalid", port, self.name_of(port)))
        elif not values[port] and not found:
            found.append(problem("port_missing", port, self.name_of(port)))
        return found


def is_setting(field: str, value: str) -> bool:
    """Say whether a value can be used for a field of SETTINGS, whatever else a row holds."""
    others = {f"{side}Host": f"{side}.company.example" for side in ("smtp", "imap")}
    cells = others | {"smtpPort": "465", "imapPort": "993", field: value}
    read = SettingsReader(str).read([cells.get(name, "") for name in SETTINGS], "")
    return not (read.problems or {PROVIDER_UNKNOWN, ENCRYPTION_UNKNOWN} & {*read.warnings})


def invisible_removed(characters: str, column: str) -> RowWarning:
    """Return the warning about invisible characters that were removed from a cell."""
    return RowWarning(WarningCode.INVISIBLE_REMOVED, f"{characters} was removed from {column}")


def once(problems: Iterable[Problem]) -> list[Problem]:
    """Report what is wrong with SMTP and IMAP alike as one problem that names both columns."""
    found: dict[str, Problem] = {}
    for one in problems:
        twin = found.get(one.code)
        if twin is None:
            found[one.code] = one
        else:
            columns = dict.fromkeys((twin.column or twin.field, one.column or one.field))
            found[one.code] = Problem(
                twin.field, one.code, one.message, one.fix, ", ".join(columns)
            )
    return [*found.values()]


def _provider(text: str, smtp_host: str, imap_host: str, domain: str) -> tuple[Provider, bool]:
    """Return the provider, and whether the text that names it is understood or blank."""
    by_domain = provider_of_domain(domain)
    named = provider_named(text) if text else None
    other = providers()[OTHER]
    if named:
        provider = named
    elif smtp_host or imap_host or text:
        provider = provider_of_host(smtp_host) or provider_of_host(imap_host) or other
    else:
        provider = by_domain or other
    if provider.personal and by_domain and provider.personal == by_domain.code:
        provider = by_domain
    return provider, bool(named) or not text


def _domains(text: str, smtp_host: str, imap_host: str) -> tuple[str, ...]:
    """Return the domains for which the same cells become other settings, each with its `@`."""
    anywhere = bool(text or smtp_host or imap_host)
    provider, _ = _provider(text, smtp_host, imap_host, "")
    return tuple(
        f"@{domain}"
        for one in PROVIDER_TABLE
        for domain in one.domains
        if not anywhere or one.code == provider.personal
    )


def _server(
    cells: Sequence[str], preset: ServerPreset, side: str, *, fill: bool
) -> tuple[str, str, str]:
    host, port, encryption = cells
    if inside := _HOST_INSIDE.fullmatch(host):  # smtps://smtp.company.example:465/
        if not inside[2] or port in ("", inside[2]):
            host, port = inside[1], port or inside[2] or ""
    elif not host and port.strip("0") == "":  # what programs export for none
        port = ""
    known = (preset if host in ("", preset.host) else preset_of_host(host, side)) if fill else _NONE
    host = host or preset.host
    named = _named_encryption(encryption)
    whole = _WHOLE_PORT.fullmatch(port)
    port = whole[1] if whole else port or known.port(named)
    default = _DEFAULT_ENCRYPTION if port else ""
    return host, port, named or _by_port(port) or _by_word(encryption) or default


def _named_encryption(text: str) -> str:
    """Return the encryption that a text names for sure."""
    words = _ENCRYPTION_WORD.findall(text.lower())
    joined = "".join(words)
    if joined == "ssltls":
        return "ssl"
    if "starttls" in joined or "explicit" in words:
        return "tls"
    if {"implicit", "smtps", "imaps"} & {*words}:
        return "ssl"
    return joined if text.lower() in ENCRYPTIONS else ""


def _by_port(port: str) -> str:
    return "ssl" if port in SSL_PORTS else "tls" if port in TLS_PORTS else ""


def _by_word(text: str) -> str:
    """Return what yes, no, or a text such as `SSL or TLS` or `TLSv1.2` means at an odd port."""
    word = text.lower()
    if word in _YES:
        return "ssl"
    return "tls" if word in _NO else next((name for name in ENCRYPTIONS if name in word), "")


def _is_told(text: str, port: str) -> bool:
    """Return whether a text names an encryption, or leaves it to a port that decides it.

    Without a port nothing is missing yet.
    """
    if _named_encryption(text) or _by_word(text):
        return True
    return (not text or text.lower() in _BY_PORT) and (not port or bool(_by_port(port)))
