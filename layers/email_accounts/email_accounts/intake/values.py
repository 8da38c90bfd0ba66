"""From the cells of one row to the 15 values, with what is wrong with them and what to warn of."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from operator import itemgetter

from email_accounts.intake.cells import (
    PLAIN_PASSWORD,
    filled,
    invisible_in,
    is_damaged,
    is_hashed,
    is_like_date,
    is_misread,
    is_placeholder,
    unwrapped,
    visible,
)
from email_accounts.intake.columns import NOTHING, Columns
from email_accounts.intake.layouts import ADDRESS, FULL_NAME, PASSWORD
from email_accounts.intake.settings import (
    ANY_DOMAIN,
    Settings,
    SettingsReader,
    invisible_removed,
    once,
)
from email_accounts.models.account import (
    FIELDS,
    LONGEST_TEXT,
    RULES,
    SETTINGS,
    Problem,
    RowWarning,
    WarningCode,
    is_address,
    problem,
)
from email_accounts.models.providers import provider_of_domain
from email_accounts.models.servers import ServersOf
from email_accounts.parsing.records import Damage

MEMO_SIZE = 4096
_LONGEST_REMEMBERED = 1000
APP_PASSWORD = re.compile("[a-z]{16}", re.IGNORECASE)
_NOT_A_FIRST_NAME = re.compile(
    r"(?:jr|sr|ii|iii|iv|phd|ph\.d|md|mba|cpa|esq|dds|inc|llc|ltd|gmbh|co|corp)\b", re.IGNORECASE
)
_ADDRESS_INSIDE = re.compile(
    r"(?:[^<>@]{0,100}<|mailto:|')?(?:mailto:)?\s*([^<>\s@]{1,64}@[^<>\s@;,]+)\s*>?[;,]?",
    re.IGNORECASE,
)
_QUOTES = "\"'`\u2018\u2019\u201c\u201d\u201e\u00ab\u00bb"
_AFTER_NAME = re.compile(r"\s*<[^<>]*@[^<>]*>$")
ADDRESSES = ("smtpEmailAddress", ADDRESS, "imapEmailAddress")
NAMES = ("fromFirstName", "fromLastName", FULL_NAME)
USERS = ("smtpUserName", "imapUserName")
PASSWORDS = ("smtpPassword", PASSWORD, "imapPassword")
_PERSONAL = (*ADDRESSES, *NAMES, *USERS, *PASSWORDS)
_IN_ORDER = itemgetter(
    *(
        (
            *("fromFirstName", "fromLastName", "smtpEmailAddress", "smtpUserName", "smtpPassword"),
            *("imapEmailAddress", "imapUserName", "imapPassword", *SETTINGS),
        ).index(name)
        for name in FIELDS
    )
)
_DAMAGE = {
    Damage.DATE: "it contains a date",
    Damage.ERROR: "it contains an error",
    Damage.BOOLEAN: "it contains true or false",
    Damage.NUMBER: "it contains a number whose digits have changed",
    Damage.FORMULA: "it contains a formula without a value",
}
_HAS_CHANGED = frozenset(_DAMAGE)
_NO_VALUE = frozenset((Damage.FORMULA, Damage.ERROR))

GOOGLE_SIGN_IN = RowWarning(
    WarningCode.GOOGLE_SIGN_IN,
    "Google accepts only app passwords (16 letters): create one in the account's security "
    "settings, with 2-Step Verification on",
    about_sign_in=True,
)
PASSWORD_TRIMMED = RowWarning(
    WarningCode.PASSWORD_TRIMMED,
    "spaces before or after the password were removed",
    about_sign_in=True,
)
PASSWORD_LIKE_DATE = RowWarning(
    WarningCode.PASSWORD_LIKE_DATE,
    "the password looks like a date, a time or an amount, perhaps changed by a spreadsheet: if so, "
    "format the column as text and type it again",
    about_sign_in=True,
)
PASSWORD_APOSTROPHE = RowWarning(
    WarningCode.PASSWORD_APOSTROPHE,
    "the password begins with an apostrophe, which spreadsheets use to mark text: it is sent as "
    "part of the password",
    about_sign_in=True,
)
PASSWORD_QUOTED = RowWarning(
    WarningCode.PASSWORD_QUOTED,
    "the password is in quotes, which are sent as part of it",
    about_sign_in=True,
)
NAME_MISREAD = RowWarning(
    WarningCode.NAME_MISREAD,
    "the sender's name has letters that were damaged when the file was converted: export it again "
    "as 'CSV UTF-8'",
)
NAME_DAMAGED = RowWarning(
    WarningCode.NAME_DAMAGED,
    "a spreadsheet has changed the sender's name: format the column as text",
)
NAME_NOT_UTF_8 = RowWarning(
    WarningCode.NAME_NOT_UTF_8,
    "the sender's name may be wrong, because the file is not UTF-8: save it as 'CSV UTF-8'",
)


@dataclass(frozen=True, slots=True)
class RowValues:
    """A row, read: its values in the order of FIELDS, problems and warnings.

    `address` is "" where it is none: where columns are shifted it may be a password.
    """

    values: tuple[str, ...]
    address: str
    problems: tuple[Problem, ...]
    warnings: tuple[RowWarning, ...]


class ValueReader:
    """Reads the rows under one header."""

    def __init__(
        self,
        columns: Columns,
        servers_of: ServersOf | None = None,
        defaults: Mapping[str, str] = NOTHING,
    ) -> None:
        """Prepare for columns.

        `servers_of` finds the servers of rows that have none; `defaults` are settings for blank
        cells.
        """
        self.columns = columns
        targets, width = columns.targets, columns.width
        self._blanks = [""] * (width + 1)
        first = {target: positions[0] for target, positions in targets.items()}
        self._shared = itemgetter(*(first.get(name, width) for name in SETTINGS))
        self._personal = itemgetter(*(first.get(name, width) for name in _PERSONAL))
        self._several = {name: at for name, at in targets.items() if len(at) > 1}
        self._name_of = cache(columns.name_of)
        self._settings_reader = SettingsReader(self._name_of, servers_of, defaults)
        self._known: dict[tuple[tuple[str, ...], str, str], Settings] = {}

    def read(self, cells: list[str], damage: Mapping[int, Damage] | None = None) -> RowValues:
        """Return all that a row says; `damage` is by position."""
        whole = self._whole(cells)
        damaged = self._by_target(damage) if damage else {}
        row = _Row(self._name_of, damaged)
        if self._several:
            row.warnings += self._differing(whole)
        texts = self._texts(self._personal, _PERSONAL, whole)
        smtp_address, imap_address = row.addresses(*texts[:3])
        settings = self._settings(whole, smtp_address)
        first_name, last_name = row.names(*texts[3:6])
        smtp_user, imap_user = row.users(texts, settings, smtp_address, imap_address)
        smtp_password, imap_password = row.passwords(
            texts[8], texts[9], texts[10], settings.at_google
        )
        problems = (*row.problems, *row.settings_problems(settings))
        if len(problems) > 1:
            problems = tuple(sorted(once(problems), key=lambda one: FIELDS.index(one.field)))
        if settings.google and not (problems or APP_PASSWORD.fullmatch(smtp_password)):
            row.warnings.append(GOOGLE_SIGN_IN)
        personal = (
            *(first_name, last_name, smtp_address, smtp_user, smtp_password),
            *(imap_address, imap_user, imap_password),
        )
        return RowValues(
            _IN_ORDER((*personal, *settings.values)),
            smtp_address if row.is_address(smtp_address) else "",
            problems,
            (*settings.warnings, *dict.fromkeys(row.warnings)),
        )

    def settings(self, cells: list[str], address: str) -> Settings:
        """Return the settings of a row, which the address's domain may complete."""
        return self._settings(self._whole(cells), address)

    def _whole(self, cells: list[str]) -> list[str]:
        """Return the cells of all columns, and a blank one for each target without a column."""
        return [*cells[: len(self._blanks) - 1], *self._blanks[len(cells) :]] or [""]

    def _texts(
        self, getter: Callable[[list[str]], tuple[str, ...]], names: Sequence[str], whole: list[str]
    ) -> tuple[str, ...]:
        """Return the cell of each target; of several columns the first filled one."""
        texts = getter(whole)
        if not self._several:
            return texts
        return tuple(
            next((whole[at] for at in self._several.get(name, ()) if filled(whole[at])), text)
            for name, text in zip(names, texts, strict=True)
        )

    def _settings(self, whole: list[str], address: str) -> Settings:
        raw = self._texts(self._shared, SETTINGS, whole)
        blocked = ""
        if unclear := self.columns.unclear:
            names = self.columns.names
            blocked = next((names[at] for at in unclear if filled(whole[at])), "")
        settings = self._read(raw, blocked, "")
        if not settings.domains:
            return settings
        domain = address[address.rfind("@") + 1 :].lower()
        if provider_of_domain(domain) or (settings.domains == ANY_DOMAIN and is_address(address)):
            return self._read(raw, blocked, domain)
        return settings

    def _read(self, raw: tuple[str, ...], blocked: str, domain: str) -> Settings:
        key = raw, blocked, domain
        settings = self._known.get(key)
        if settings is None:
            settings = self._settings_reader.read(raw, domain, blocked)
            if len(self._known) >= MEMO_SIZE:
                self._known.clear()
            if is_worth_remembering(raw):
                self._known[key] = settings
        return settings

    def _by_target(self, damage: Mapping[int, Damage]) -> dict[str, Damage]:
        return {
            target: damage[at]
            for target, positions in self.columns.targets.items()
            for at in positions
            if at in damage
        }

    def _differing(self, whole: list[str]) -> Iterator[RowWarning]:
        """Warn of columns for one thing whose cells differ."""
        for target, positions in self._several.items():
            said = {at: filled(whole[at]) for at in positions}
            used, *others = [at for at in positions if said[at]] or [0]
            others = [at for at in others if said[at] != said[used]]
            if others and target not in NAMES:
                names = self.columns.names
                yield RowWarning(
                    WarningCode.COLUMNS_DIFFER,
                    f"{names[used]} and {', '.join(names[at] for at in others)} differ: "
                    f"{names[used]} is used",
                )


class _Row:
    """One row: what is found to be wrong with it while its values are made."""

    def __init__(self, name_of: Callable[[str], str], damaged: Mapping[str, Damage]) -> None:
        self._name_of = name_of
        self._damaged = damaged
        self._are_addresses: dict[str, bool] = {}
        self.problems: list[Problem] = []
        self.warnings: list[RowWarning] = []

    def addresses(self, smtp: str, both: str, imap: str) -> tuple[str, str]:
        """Return both addresses: that of one side, else that of both, else the other one."""
        smtp_name = ADDRESSES[0] if smtp else ADDRESS
        smtp, both, imap = map(self._address, (smtp, both, imap), ADDRESSES)
        imap_name = ADDRESSES[2] if imap else ADDRESS
        smtp = smtp or both or imap
        imap = imap or both or smtp
        damage = [what for name, what in self._damaged.items() if name in ADDRESSES]
        if _HAS_CHANGED.intersection(damage):
            self._add("formula_without_value", ADDRESSES[0], smtp_name)
        elif damage:
            self._add("not_utf_8", ADDRESSES[0], smtp_name)
        else:
            self._check_address(smtp, ADDRESSES[0], smtp_name)
            if imap != smtp:
                self._check_address(imap, ADDRESSES[2], imap_name)
        return smtp, imap

    def _address(self, text: str, name: str) -> str:
        """Return the address in `<a@b.example>`, `mailto:a@b.example` or `'a@b.example`."""
        if not text or self._is_bare(text):
            return text
        if not (text.isascii() and text.isprintable()):
            text = self._visible(text, name)
        text = filled(text)
        if self._is_bare(text):
            return text
        found = _ADDRESS_INSIDE.fullmatch(text)
        return found[1] if found and self.is_address(found[1]) else text

    def _is_bare(self, text: str) -> bool:
        return self.is_address(text) and not text.startswith("'")

    def is_address(self, text: str) -> bool:
        """Say whether a text is an address; each text of the row is matched once."""
        known = self._are_addresses.get(text)
        if known is None:
            known = self._are_addresses[text] = is_address(text)
        return known

    def _check_address(self, address: str, field: str, name: str) -> None:
        if not address:
            self._add("address_missing", field, name)
        elif not self.is_address(address):
            self._add("address_invalid" if address.isascii() else "address_not_ascii", field, name)

    def names(self, first: str, last: str, full: str) -> tuple[str, str]:
        """Return first and last name, by a full name where neither is given."""
        first_field, last_field = first_name, last_name = NAMES[:2]
        first, last, full = map(self._name, (first, last, full), NAMES)
        if full and not (first and last):
            first, last = _completed(first, last, full)
            first_name = last_name = FULL_NAME
        if not RULES[first_field].holds(first):
            self._add("name_unusable", first_field, first_name)
        if not RULES[last_field].holds(last):
            self._add("name_unusable", last_field, last_name)
        return first, last

    def _name(self, text: str, name: str) -> str:
        damage = self._damaged.get(name)
        if not text and not damage:
            return ""
        if damage is Damage.ENCODING:
            self.warnings.append(NAME_NOT_UTF_8)
        text = filled(text if text.isprintable() else self._visible(text, name))
        if is_misread(text):
            self.warnings.append(NAME_MISREAD)
        if damage in _HAS_CHANGED or (text and is_damaged(text)):
            self.warnings.append(NAME_DAMAGED)
            return "" if damage in _NO_VALUE or is_damaged(text) else text
        return text

    def users(
        self, texts: Sequence[str], settings: Settings, smtp_address: str, imap_address: str
    ) -> tuple[str, str]:
        """Return both user names: blank for IMAP means as for SMTP, blank for SMTP the address."""
        smtp = self._user(texts[6], USERS[0], texts[:3])
        imap = self._user(texts[7], USERS[1], texts[:3])
        if settings.sends_only:
            return smtp or settings.smtp_user, imap or imap_address
        return smtp or smtp_address, imap or smtp or imap_address

    def _user(self, text: str, name: str, addresses: Sequence[str]) -> str:
        damage = self._damaged.get(name)
        if not damage and text in addresses:
            return ""
        text = filled(text)
        if damage in _HAS_CHANGED or (text and is_damaged(text)):
            self._add("user_name_damaged", name, name, _DAMAGE.get(damage) if damage else None)
        elif damage:
            self._add("not_utf_8", name, name)
        elif is_placeholder(text):
            return ""
        elif characters := invisible_in(text):
            self._add("user_name_invisible", name, name, characters)
        elif is_misread(text):
            self._add("misread", name, name)
        elif text and not RULES[name].holds(text):
            self._add("user_name_unusable", name, name)
        return text

    def passwords(
        self, smtp: str, both: str, imap: str, at_google: tuple[bool, bool]
    ) -> tuple[str, str]:
        """Return both passwords: that of one side, else that of both; for IMAP, else SMTP's."""
        if self._damaged:
            for name in PASSWORDS:
                if name in self._damaged:
                    return self._damaged_password(name, self._damaged[name])
        smtp_name, smtp = (PASSWORDS[0], smtp) if smtp.strip() else (PASSWORD, both)
        imap_name, imap = (PASSWORDS[2], imap) if imap.strip() else (PASSWORD, both)
        if not imap.strip():
            imap_name, imap = smtp_name, smtp
        smtp_google, imap_google = at_google
        made = self._password(smtp, PASSWORDS[0], smtp_name, at_google=smtp_google)
        if imap == smtp and smtp_google == imap_google:
            return made, made
        return made, self._password(imap, PASSWORDS[2], imap_name, at_google=imap_google)

    def _damaged_password(self, name: str, damage: Damage) -> tuple[str, str]:
        field = PASSWORDS[2] if name == PASSWORDS[2] else PASSWORDS[0]
        if damage is Damage.ENCODING:
            self._add("not_utf_8", field, name)
        else:
            self._add("password_damaged", field, name, _DAMAGE[damage])
        return "", ""

    def _password(self, text: str, field: str, name: str, *, at_google: bool) -> str:
        if PLAIN_PASSWORD.fullmatch(text):
            return text
        password = text.strip()
        joined = "".join(password.split()) if at_google else password
        if joined != password and APP_PASSWORD.fullmatch(joined):
            return joined
        if password != text and password:
            self.warnings.append(PASSWORD_TRIMMED)
        password = unwrapped(password)
        code, detail = _wrong_with(password)
        if code:
            self._add(code, field, name, detail)
        elif is_like_date(password):
            self.warnings.append(PASSWORD_LIKE_DATE)
        elif password[0] in _QUOTES and password[-1] in _QUOTES and len(password) > 1:
            self.warnings.append(PASSWORD_QUOTED)
        elif password.startswith("'"):
            self.warnings.append(PASSWORD_APOSTROPHE)
        return password

    def settings_problems(self, settings: Settings) -> Sequence[Problem]:
        """Return what is wrong with the settings, without what follows from damage."""
        if not self._damaged:
            return settings.problems
        damaged = [name for name in SETTINGS if self._damaged.get(name) in _NO_VALUE]
        encoded = [
            name for name in ("smtpHost", "imapHost") if self._damaged.get(name) is Damage.ENCODING
        ]
        if not damaged and not encoded:
            return settings.problems
        name_of = self._name_of
        return [
            *(problem("formula_without_value", name, name_of(name)) for name in damaged),
            *(problem("not_utf_8", name, name_of(name)) for name in encoded),
        ]

    def _visible(self, text: str, name: str) -> str:
        shown, removed = visible(text)
        if removed:
            self.warnings.append(invisible_removed(removed, self._name_of(name)))
        return shown

    def _add(self, code: str, field: str, name: str, detail: str | None = None) -> None:
        column = self._name_of(name) or self._name_of(field)
        self.problems.append(problem(code, field, column, detail or ""))


def is_worth_remembering(raw: Sequence[str]) -> bool:
    """Return whether settings are short enough to keep; a cell may have a megabyte."""
    return sum(map(len, raw)) <= _LONGEST_REMEMBERED


def _wrong_with(password: str) -> tuple[str, str]:  # noqa: PLR0911  a return for each cause
    """Return the code of what is wrong with a password and more about it, or "" twice."""
    if not password or is_placeholder(password):
        return "password_missing", ""
    if is_hashed(password):
        return "password_missing", "it is a hash"
    if len(password) > LONGEST_TEXT:
        return "password_too_long", ""
    if is_damaged(password):
        return "password_damaged", ""
    if characters := invisible_in(password):
        return "password_invisible", characters
    if is_misread(password):
        return "misread", ""
    if RULES["smtpPassword"].holds(password):
        return "", ""
    return "password_unusable", "it is a list" if password.startswith("\x00") else ""


def _completed(first: str, last: str, full_name: str) -> tuple[str, str]:
    """Complete a name by the full one; where this does not hold the name, it is left alone."""
    full_name = _AFTER_NAME.sub("", full_name)
    if len(full_name) > len('""') and full_name[0] == full_name[-1] == '"':
        full_name = full_name[1:-1].strip()
    if not first and not last:
        return _parted(full_name)
    if first and full_name.startswith(f"{first} "):
        return first, full_name.removeprefix(first).strip()
    if last and full_name.endswith(f" {last}"):
        return full_name.removesuffix(last).strip(), last
    return first, last


def _parted(full_name: str) -> tuple[str, str]:
    """Part a full name: `First Last`, or `Last, First`."""
    last, comma, first = (part.strip() for part in full_name.partition(","))
    if comma and last and first and "," not in first and not _NOT_A_FIRST_NAME.match(first):
        return first, last
    first, _, last = full_name.partition(" ")
    return first, last.strip()
