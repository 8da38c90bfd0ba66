"""Which column of a file holds what."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from types import MappingProxyType

from email_accounts.errors import FileRefusedError
from email_accounts.intake.layouts import (
    ADDRESS,
    ALIASES,
    FILLERS,
    FULL_NAME,
    IGNORED,
    LAYOUTS,
    OPTIONAL_HEADERS,
    OTHER_THINGS,
    PASSWORD,
    PHRASES,
    WORDS,
)
from email_accounts.models.account import (
    ADDRESS_FIELD,
    SETTINGS,
    RowWarning,
    WarningCode,
    is_address,
)
from email_accounts.parsing.bounds import COLUMNS
from email_accounts.parsing.records import WITH_PASSWORD
from email_accounts.text.headers import (
    holds_address,
    looks_like_a_name,
    normalize_header,
    shown_header,
)

Cells = Sequence[str]

_TARGET_OF = {
    normalize_header(name): target for target, names in ALIASES.items() for name in (target, *names)
}
_IGNORED_WHOLE = frozenset(normalize_header(name) for name in IGNORED if not name.endswith("*"))
_IGNORED_STARTS = tuple(normalize_header(name) for name in IGNORED if name.endswith("*"))
ADDRESS_TARGETS = (ADDRESS, ADDRESS_FIELD, "imapEmailAddress")
_SHORTEST_GLUED = 3
_PHRASES = tuple((f" {phrase} ", f" {word} ") for phrase, word in PHRASES.items())
_BRACKETS = re.compile(r"[(\[{<][^)\]}>]*[)\]}>]?")
_SEVERAL_THINGS = re.compile(r"[:/&+,]|\b(?:and|und|et|y|e)\b")
_CAPITAL_INSIDE = re.compile(r"(?<=[a-z])(?=[A-Z])")
_WORD = re.compile(r"[^\W_]+")
_SIDES = ("smtp", "imap")
_SIGN_IN = {"smtpUserName", PASSWORD}
_SENDING = {PASSWORD, "smtpPassword"}
PASSWORDS = {*_SENDING, "imapPassword"}
NAMES = ("fromFirstName", "fromLastName")
_ENGLISH = {"first", "firstname", "given", "givenname", "last", "lastname", "surname"}
"""Beside these, `Name` is a whole name."""
_SERVER_NOUNS = ("host", "port", "encryption")
_ASSIGNED = ("port", "host", "encryption")
"""The order in which columns without a side get one."""
_NOUNS = {*_SERVER_NOUNS, "user", "password"}
_OF_SIDE = {
    "host": "Host",
    "port": "Port",
    "encryption": "Encryption",
    "user": "UserName",
    "password": "Password",
    "address": "EmailAddress",
}
_UNCLEAR = "unclear"
_COLUMNS_QUOTED = 12
NOTHING: Mapping[str, str] = MappingProxyType({})
_SHORTEST_NEAR, _LONGEST_NEAR = 5, 30


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a file.

    `layout` is the name of the layout, "" for none. `targets` has the positions of each target,
    the preferred one first: of several the first filled cell counts. `names` has each column as
    people may see it, `unknown` those that are not used. `unclear` are positions of columns that
    mention a server and are not understood. `near` are other unused columns, with the target whose
    name is close to theirs. `notes` are about the columns as a whole.
    """

    layout: str
    width: int
    targets: Mapping[str, tuple[int, ...]]
    names: tuple[str, ...]
    unknown: tuple[str, ...]
    unclear: tuple[int, ...] = ()
    near: tuple[tuple[str, str], ...] = ()
    notes: tuple[RowWarning, ...] = ()

    @property
    def has_address(self) -> bool:
        """Whether a column holds the address of an account."""
        return any(target in self.targets for target in ADDRESS_TARGETS)

    @property
    def has_password(self) -> bool:
        """Whether a column holds the password for sending, which every account needs."""
        return bool(_SENDING & self.targets.keys())

    def name_of(self, target: str) -> str:
        """Return what the file calls a target; "" where it has no column for it."""
        return ", ".join(self.names[at] for at in self.targets.get(target, ()))


def find_columns(
    headers: Cells, samples: Sequence[Cells] = (), mapped: Mapping[str, str] = NOTHING
) -> Columns:
    """Find the targets among the headers.

    `samples` are the first records: of several columns that may hold the address those count
    whose cells are addresses. `mapped` says what columns hold, by their names as `folded` makes
    them; "" for one to be ignored.
    """
    found = _Found(len(headers), mapped)
    for position, header in enumerate(headers):
        found.add(position, header)
    found.assign_sides()
    found.choose_address(samples)
    return found.columns(headers)


def resolve(
    headers: Cells,
    samples: Sequence[Cells] = (),
    mapped: Mapping[str, str] = NOTHING,
    place: str = "",
) -> Columns:
    """Find the columns of a file; `place` says where its header is, "" in JSON.

    Raises:
        FileRefusedError: no header is the address of an account, or one is an address itself.
    """
    if any(map(holds_address, headers)):
        raise FileRefusedError(
            f"No header row found: {place or 'the first item'} contains an email address where the "
            "columns are named.",
            "Add a header row above it, such as email,password,smtpHost,smtpPort."
            if place
            else 'Write one object per account: [{"email": …, "password": …}, …].',
        )
    columns = find_columns(headers, samples, mapped)
    if not columns.has_address:
        refuse_unused(mapped.keys() - {*map(folded, headers)}, columns.names)
        near = next((one for one in columns.near if one[1] in ADDRESS_TARGETS), None)
        raise FileRefusedError(
            f"No email address column found{f' in {place}' if place else ''}; its columns are: "
            f"{_listed(columns.names)}.",
            f"Rename the column {near[0]} to email."
            if near
            else "Separate the cells by commas, semicolons, tabs or |; put no line in quotes."
            if len(headers) == 1 and place and not columns.targets
            else f"Rename the address column to {ALIASES[ADDRESS][0]} (or "
            f"{', '.join((*ALIASES[ADDRESS][1:], *ADDRESS_TARGETS[1:]))}). Other recognized "
            f"columns: {', '.join(target for target in ALIASES if target not in ADDRESS_TARGETS)}.",
        )
    return columns


def refuse_unused(unused: Iterable[str], names: Sequence[str]) -> None:
    """Refuse a file without columns that its uploader maps; `names` are those it has."""
    missing = ", ".join(f"`{one}`" if looks_like_a_name(one) else "given" for one in sorted(unused))
    if missing:
        raise FileRefusedError(
            f"The file has no column {missing}; its columns are: {_listed(names)}.",
            "Map the column by the name it has in the file.",
        )


def refuse_without_password(columns: Columns) -> None:
    """Refuse a file in which no column holds the password: it is missing in every row."""
    near = next((name for name, target in columns.near if target in _SENDING), None)
    kind = "SMTP password" if PASSWORDS & columns.targets.keys() else "password"
    raise FileRefusedError(
        f"No {kind} column found; its columns are: {_listed(columns.names)}.",
        f"Rename the column {near} to password."
        if near
        else f"Name the password column {PASSWORD} (or {', '.join(ALIASES[PASSWORD][1:])}), "
        f"or drop the file with --map COLUMN={PASSWORD}.",
    )


def _listed(names: Sequence[str]) -> str:
    more = len(names) - _COLUMNS_QUOTED
    return f"{', '.join(names[:_COLUMNS_QUOTED])}{f' and {more} more' if more > 0 else ''}"


def recognized(cells: Cells, mapped: Mapping[str, str] = NOTHING) -> int:
    """Count the names of columns that are known; 0 without an address, or in a row of data.

    A password counts more than all others. A user name next to it may be the address.
    """
    cells = cells[:COLUMNS]
    if any(map(holds_address, cells)):
        return 0
    columns = find_columns(cells, mapped=mapped)
    may_have_address = columns.has_address or columns.targets.keys() >= _SIGN_IN
    has_password = bool(PASSWORDS & columns.targets.keys())
    return len(columns.targets) + has_password * WITH_PASSWORD if may_have_address else 0


def target_named(text: str) -> str | None:
    """Return the target that a person names, "" for a column to be ignored; None for neither."""
    return _TARGET_OF.get(normalize_header(text)) if text.strip() else ""


@lru_cache(1024)
def _near(header: str) -> str:
    """Return the target whose name is a slip of a finger away from a header; "" for none."""
    name = normalize_header(header)
    if not _SHORTEST_NEAR <= len(name) <= _LONGEST_NEAR or {*_words(header)} & OTHER_THINGS:
        return ""
    known = _known_shortened()
    return next((known[one] for one in _shortened(name) if one in known), "")


@cache
def _known_shortened() -> dict[str, str]:
    return {
        one: target
        for name, target in _TARGET_OF.items()
        if len(name) >= _SHORTEST_NEAR
        for one in _shortened(name)
    }


def _shortened(name: str) -> list[str]:
    """Return a name, and what is left of it without each of its letters."""
    return [name, *(name[:at] + name[at + 1 :] for at in range(len(name)))]


@dataclass(slots=True)
class _Found:
    """What the headers are, while they are gone through."""

    width: int
    mapped: Mapping[str, str]
    targets: dict[str, list[int]] = field(default_factory=dict)
    unknown: list[int] = field(default_factory=list)
    unclear: list[int] = field(default_factory=list)
    sideless: dict[str, list[int]] = field(default_factory=dict)
    side_before: dict[int, str] = field(default_factory=dict)
    notes: list[RowWarning] = field(default_factory=list)
    names: dict[int, str] = field(default_factory=dict)
    _side: str = ""

    def add(self, position: int, header: str) -> None:
        """Sort one header in."""
        self.names[position] = _shown(header, position)
        given = self.mapped.get(folded(header)) if self.mapped else None
        meaning = _meaning(header) if given is None else given
        self.side_before[position] = self._side
        if meaning in _SERVER_NOUNS:
            self.sideless.setdefault(meaning, []).append(position)
        elif meaning == _UNCLEAR:
            self.unclear.append(position)
        elif meaning:
            self.targets.setdefault(meaning, []).append(position)
            if meaning[:4] in _SIDES:
                self._side = meaning[:4]
        elif meaning is None:
            self.unknown.append(position)

    def assign_sides(self) -> None:
        """Assign columns that name no side to that of their neighbour, else to SMTP, then IMAP."""
        for noun in sorted(self.sideless, key=_ASSIGNED.index):
            self._assign(noun, self.sideless[noun])
        for target, one_side in ((PASSWORD, "Password"), ("smtpUserName", "UserName")):
            positions = self.targets.get(target, [])
            sides = [self.side_before[at] for at in positions]
            if len(positions) == len(_SIDES) == len({*sides} & {*_SIDES}):
                del self.targets[target]
                for side, at in zip(sides, positions, strict=True):
                    self.targets.setdefault(f"{side}{one_side}", []).append(at)
        self._part_names()
        # An app password is what a program signs in with, whatever its neighbour.
        for positions in self.targets.values():
            if len(positions) > 1:
                positions.sort(key=lambda at: "app" not in _words(self.names[at]))

    def _assign(self, noun: str, positions: list[int]) -> None:
        free = [side for side in _SIDES if f"{side}{_OF_SIDE[noun]}" not in self.targets]
        alone = len(positions) == 1 and len(free) == len(_SIDES)
        if alone and noun == "host" and {"smtpPort", "imapPort"} <= self.targets.keys():
            for side in free:
                self.targets[f"{side}Host"] = [*positions]
            return
        for at in positions:
            side = self.side_before[at]
            if side not in free:
                side = free[0] if free and not (alone and noun != "encryption") else ""
            if side:
                free.remove(side)
                self.targets.setdefault(f"{side}{_OF_SIDE[noun]}", []).append(at)
            elif alone:
                self.unclear.append(at)
            else:
                self.unknown.append(at)

    def _part_names(self) -> None:
        """Beside a first name alone, `Name` is the last one: `Vorname, Name`; so is the reverse."""
        named = self.targets.get(FULL_NAME, [])
        for given, other in (NAMES, NAMES[::-1]):
            if (
                len(named) == 1
                and given in self.targets
                and other not in self.targets
                and _meaning_of(_words(self.names[named[0]])) == FULL_NAME
                and len(_words(self.names[named[0]])) == 1
                and not {*_words(self.names[self.targets[given][0]])} & _ENGLISH
            ):
                self.targets[other] = self.targets.pop(FULL_NAME)

    def choose_address(self, samples: Sequence[Cells]) -> None:
        """Of several columns that may hold the address, keep those that do."""
        named = self.targets.get(ADDRESS, [])
        users = self.targets.get("smtpUserName", [])
        if not samples or any(one in self.targets for one in ADDRESS_TARGETS[1:]):
            return
        if not named and PASSWORDS & self.targets.keys():
            users = users or [
                at
                for at in self.unknown
                if _held(at, samples) == 1 and not {*_words(self.names[at])} & OTHER_THINGS
            ]
            if len(users) > 1 and users[0] in self.unknown:
                return
        held = {at: _held(at, samples) for at in (*named, *users)}
        kept = [at for at in named if held[at] or held[at] is None]
        if not any(held[at] for at in kept):
            kept = [at for at in users if held[at]][:1]
        if not kept:
            return
        if not named:
            self.targets[ADDRESS] = kept
            self.unknown = [at for at in self.unknown if at not in kept]
            text = f"the address is taken from the column {self.names[kept[0]]}"
            self.notes.append(RowWarning(WarningCode.ADDRESS_COLUMN, text))
            return
        kept.sort(key=lambda at: -(held[at] or 0))
        self.targets[ADDRESS] = kept
        if left := [at for at in named if at not in kept]:
            self.unknown += left
            lost = ", ".join(self.names[at] for at in left)
            self.notes.append(
                RowWarning(
                    WarningCode.ADDRESS_COLUMN,
                    f"the address is taken from the column {self.names[kept[0]]}, because "
                    f"{lost} has no addresses",
                )
            )

    def columns(self, headers: Cells) -> Columns:
        """Return what was found."""
        near = {
            at: target
            for at in self.unknown
            if (target := _near(headers[at])) and target not in self.targets
        }
        self.unclear += (at for at, target in near.items() if target in SETTINGS[1:])
        self.notes += (
            RowWarning(WarningCode.COLUMN_UNCLEAR, f"the column {self.names[at]} is not recognized")
            for at in self.unclear
            if at not in near
        )
        self.notes += (
            RowWarning(
                WarningCode.COLUMN_NEAR,
                f"the column {self.names[at]} is not used: if it is {target}, rename it, or drop "
                f'the file with --map "{self.names[at]}={target}"',
            )
            for at, target in near.items()
        )
        unused = (
            self.names[at] for at in sorted(self.unknown) if headers[at].strip() and at not in near
        )
        return Columns(
            _layout_of(headers, has_settings=not self.targets.keys().isdisjoint(SETTINGS)),
            self.width,
            {target: tuple(positions) for target, positions in self.targets.items()},
            tuple(self.names[at] for at in range(self.width)),
            tuple(dict.fromkeys(unused)),
            tuple(self.unclear),
            tuple((self.names[at], target) for at, target in near.items()),
            tuple(self.notes),
        )


def _held(at: int, samples: Sequence[Cells]) -> float | None:
    """Return the share of a column's filled cells that are addresses; None without any."""
    filled = [cells[at].strip() for cells in samples if at < len(cells) and cells[at].strip()]
    return sum(map(is_address, filled)) / len(filled) if filled else None


def _shown(header: str, position: int) -> str:
    """Return a header as people may see it: as it is, or without what its brackets hold."""
    outside = _BRACKETS.sub(" ", header).strip()
    shown = shown_header(header, position + 1)
    if shown != header.strip() and outside and _meaning(header) not in (None, _UNCLEAR):
        return shown_header(outside, position + 1)
    return shown


@lru_cache(1024)
def _meaning(header: str) -> str | None:
    """Return a target, a server noun without a side, _UNCLEAR, "" to ignore, None if unknown."""
    outside = _BRACKETS.sub(" ", header)
    for text in (header, outside):
        if any(char.isalpha() and not char.isascii() for char in text):
            continue  # of "SMTP порт" only "smtp" would be left
        name = normalize_header(text)
        if name in _TARGET_OF:
            return _TARGET_OF[name]
        if name and (name in _IGNORED_WHOLE or name.startswith(_IGNORED_STARTS)):
            return ""
    words = _words(outside)
    if not {*map(_WORD_CLASS.get, words)} - {None, *_SIDES}:  # nothing but a side: "SMTP (port)"
        words = _words(header)
    elif not {*words} & {*_SIDES}:  # "Port (IMAP)"
        words += [word for word in _words(header) if _WORD_CLASS.get(word) in _SIDES]
    meaning = _meaning_of(words)
    names_two = {"host", "port"} <= {*map(_WORD_CLASS.get, words)}
    if meaning and names_two and _SEVERAL_THINGS.search(outside):  # "SMTP host:port"
        return f"{meaning[:4]}Host" if meaning[:4] in _SIDES else _UNCLEAR
    return meaning


def _meaning_of(words: list[str]) -> str | None:
    kinds = [_WORD_CLASS[word] for word in words if word in _WORD_CLASS]
    if {*words} & OTHER_THINGS:
        return None
    if "account" in words and {*kinds} == {"name"}:  # of a customer, not of a sender
        return None
    rest = [word for word in words if word not in _WORD_CLASS and word not in _FILLERS]
    sides = dict.fromkeys(kind for kind in kinds if kind in _SIDES)
    nouns = {*kinds} & _NOUNS
    if (not [word for word in rest if not word.isdigit()]) and len(sides) <= 1:
        target = _target("".join(sides), nouns, [kind for kind in kinds if kind not in _SIDES])
        if target:
            return target
    hint = any(side in word for word in rest for side in _SIDES)  # "smtpqüx"
    return _UNCLEAR if sides or hint or nouns & {*_SERVER_NOUNS} else None


def _target(side: str, nouns: set[str], kinds: list[str]) -> str:
    """Return the target that a side and kinds of words mean; "" if they are not clear."""
    if not nouns or (nouns == {"user"} and kinds[-1] in ("address", "place")):
        return _person(side, kinds)
    if {*kinds} - nouns - {"address", "place", "name"}:
        return ""
    for noun, beside in (("password", {"user"}), ("port", {"encryption", "host"})):
        if noun in nouns and not nouns - {noun} - beside:
            return _of(side, noun)
    return _of(side, *nouns) if len(nouns) == 1 else ""


def _of(side: str, noun: str) -> str:
    if side:
        return f"{side}{_OF_SIDE[noun]}"
    return {"user": "smtpUserName", "password": PASSWORD}.get(noun, noun)


def _person(side: str, kinds: list[str]) -> str:
    """Return what a column means that names nothing of a server but perhaps a side."""
    meant = {"address" if kind == "place" and not side else kind for kind in kinds} - {"user"}
    if "address" in meant:
        meant -= {"place"}
    if not meant:
        return f"{side}Host" if side else ""
    if "provider" in meant and not side:
        return "emailServiceProvider"
    if meant == {"address"} or (side and meant == {"address", "name"}):
        return f"{side}EmailAddress" if side else ADDRESS
    if side == "imap" or "provider" in meant:
        return ""
    for kind, target in (("first", "fromFirstName"), ("last", "fromLastName")):
        if kind in meant and not meant - {kind, "name"}:
            return target
    return FULL_NAME if meant == {"name"} else ""


def _words(text: str) -> list[str]:
    """Return the words of a header: in lower case, without accents, parted where they are glued."""
    text = " ".join(_WORD.findall(folded(_CAPITAL_INSIDE.sub(" ", text))))
    text = f" {text} "
    for phrase, word in _PHRASES:
        text = text.replace(phrase, word)
    return [part for word in text.split() for part in _parted(word)]


def folded(text: str) -> str:
    """Return a text without accents and blanks around it, in lower case."""
    parts = unicodedata.normalize("NFKD", text.strip())
    return "".join(char for char in parts if not unicodedata.combining(char)).lower()


_WORD_CLASS = {folded(word): kind for kind, words in WORDS.items() for word in words.split()}
_FILLERS = frozenset(map(folded, FILLERS))
_GLUED = frozenset(
    word for word in (*_WORD_CLASS, *_FILLERS) if len(word) >= _SHORTEST_GLUED or not word.isascii()
)


@cache
def _parted(word: str) -> tuple[str, ...]:
    """Part a word such as `smtpserver` into known ones; one that cannot be parted stays."""
    if word in _WORD_CLASS or word in _FILLERS or word in OTHER_THINGS:
        return (word,)
    if len(word) > 40:  # noqa: PLR2004  no name of a column
        return (word,)
    ways: list[tuple[str, ...] | None] = [()] + [None] * len(word)
    for end in range(1, len(word) + 1):
        for start in range(end):
            before = ways[start]
            if before is not None and word[start:end] in _GLUED:
                way = (*before, word[start:end])
                current = ways[end]
                if current is None or len(way) < len(current):
                    ways[end] = way
    return ways[-1] or (word,)


def _layout_of(headers: Cells, *, has_settings: bool) -> str:
    """Name the layout that has all its headers here, and most of the others; '' if none has.

    Smartlead and SalesBlink write the same columns, in another order. A layout without settings
    is not that of a file that has some: they would seem to be ignored.
    """
    present = dict.fromkeys(map(normalize_header, headers))
    fitting: dict[str, tuple[int, bool]] = {}
    for name, wanted in LAYOUTS.items():
        own = _normalized(wanted)
        is_whole = not has_settings or not {*SETTINGS}.isdisjoint(map(_meaning, wanted))
        if own.keys() <= present.keys() and is_whole:
            others = _normalized(OPTIONAL_HEADERS.get(name, ())).keys() & present.keys()
            fitting[name] = (len(own.keys() | others), next(iter(own)) == next(iter(present)))
    return max(fitting, key=fitting.__getitem__, default="")


@cache
def _normalized(headers: tuple[str, ...]) -> dict[str, None]:
    """Return the headers of a layout in their order; many files are compared with them."""
    return dict.fromkeys(map(normalize_header, headers))
