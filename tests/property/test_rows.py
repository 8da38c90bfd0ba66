"""Rows are checked alike, however a file is put together."""

import codecs
import csv
import gzip
import io
import json
from collections.abc import Callable
from itertools import chain
from string import ascii_letters, ascii_lowercase, digits
from typing import Any

import openpyxl
from hypothesis import assume, given
from hypothesis import strategies as st

from email_accounts.intake.accounts_file import open_accounts_file
from email_accounts.intake.cells import (
    filled,
    invisible_in,
    is_damaged,
    is_hashed,
    is_misread,
    is_placeholder,
    unwrapped,
)
from email_accounts.intake.columns import Columns, find_columns
from email_accounts.intake.layouts import (
    ADDRESS,
    ALIASES,
    FULL_NAME,
    LAYOUTS,
    OPTIONAL_HEADERS,
    PASSWORD,
)
from email_accounts.intake.rows import Accepted, Rejected, RowReader, RowResult, Warnings
from email_accounts.intake.seen_addresses import SeenAddresses
from email_accounts.intake.values import ValueReader
from email_accounts.models.account import ENCRYPTIONS, FIELDS, PROVIDERS, RULES
from email_accounts.models.providers import provider_of_domain, providers
from email_accounts.parsing.records import Unreadable
from email_accounts.text.headers import normalize_header
from tests.support.reading import archive, parts

# A glance and a close look.

ADDRESSES = [
    *(f"{name}@{domain}" for name in "ab" for domain in ("b.example", "gmail.com", "outlook.com")),
    *("A@b.example", "a@Gmail.com", " b@b.example", "b@b.example\xa0", "a.b-c_d+e@x-y.b.example"),
    *("a@b", "nobody", "a b@b.example", "a@b.example,b@b.example", "ä@b.example", "a@-b.example"),
    *("@b.example".rjust(length, "a") for length in (63, 64, 65, 254, 255)),
    *(f"a@{'b' * length}.example" for length in (55, 56, 63, 64)),
]
TEXTS = [
    *("Robin", "Robin van Stone", " Robin ", "Zoë 李", "Robin\xa0Stone", "Ro\nbin", "\x00", "\x1f"),
    *("abcdefghijklmnop", "abcd efgh ijkl mnop", "abcd\xa0efgh\xa0ijkl\xa0mnop", "normal password"),
    *("x" * length for length in (64, 127, 128, 200, 254, 255, 256)),
    *("apikey", " abcdefghijklmnop\t", "'", '"', "{}", "$address"),
]
HOSTS = [
    *(side.host for preset in providers().values() for side in (preset.smtp, preset.imap)),
    *("SMTP.gmail.com", " imap.gmail.com ", "mail.b.example", "localhost", "a b.example"),
]
PORTS = ["465", "587", "993", "143", "25", "465.0", " 0587 ", "0", "65536", "smtp", "٤٦٥"]
ENCRYPTION_TEXTS = ["ssl", "TLS", "starttls", "true", "false", "1", "none", " SSL/TLS "]
PROVIDER_TEXTS = [
    *(alias for one in providers().values() for alias in one.aliases),
    *PROVIDERS,
    " Gmail ",
    "g suite",
    "nobody",
]
BLANKS = ["", " ", "\t", "\xa0"]

KINDS: dict[str, list[str]] = {
    **dict.fromkeys((ADDRESS, "smtpEmailAddress", "imapEmailAddress"), ADDRESSES),
    **dict.fromkeys(("smtpHost", "imapHost"), HOSTS),
    **dict.fromkeys(("smtpPort", "imapPort"), PORTS),
    **dict.fromkeys(("smtpEncryption", "imapEncryption"), ENCRYPTION_TEXTS),
    "emailServiceProvider": PROVIDER_TEXTS,
}
"""The tricky cells of each column; of all others texts."""

GOOD: dict[str, list[str]] = {
    ADDRESS: ["a@gmail.com", "b@gmail.com", "a@b.example", "b@b.example"],
    "smtpEmailAddress": ["a@gmail.com", "b@gmail.com", "a@b.example"],
    "smtpHost": ["smtp.gmail.com"],
    "smtpPort": ["465"],
    "smtpEncryption": ["ssl", ""],
    "imapHost": ["imap.gmail.com"],
    "imapPort": ["993"],
    "imapEncryption": ["ssl", ""],
    "emailServiceProvider": ["google", ""],
    PASSWORD: ["abcdefghijklmnop"],
    "smtpPassword": ["abcdefghijklmnop"],
}
"""What makes an account of a row; all other columns may be blank."""

ANYTHING = [*ADDRESSES, *TEXTS, *HOSTS, *PORTS, *ENCRYPTION_TEXTS, *PROVIDER_TEXTS, *BLANKS]
NAMES = [name for target, names in ALIASES.items() for name in (target, *names)]
WRITERS = [(*headers, *OPTIONAL_HEADERS.get(name, ())) for name, headers in LAYOUTS.items()]
WITH_PASSWORD = [header for header in WRITERS if find_columns(header).has_password]
NEEDED = [ADDRESS, PASSWORD, "smtp", "imap"]
HEADERS = (
    st.sampled_from(WRITERS)
    | st.sampled_from(WRITERS).flatmap(st.permutations).map(tuple)
    | st.lists(st.sampled_from([*NAMES, "note", "status", ""]), min_size=1, max_size=16).map(tuple)
    | st.lists(st.sampled_from([*NAMES, "note", ""]), max_size=16)
    .flatmap(lambda names: st.permutations([*names, *NEEDED]))
    .map(tuple)
)
TARGET_OF = {
    normalize_header(name): target for target, names in ALIASES.items() for name in (target, *names)
}


def good(header: str) -> st.SearchStrategy[str]:
    """Make a cell of an account."""
    return st.sampled_from(GOOD.get(TARGET_OF.get(normalize_header(header), ""), [""]))


def tricky(header: str) -> st.SearchStrategy[str]:
    """Make a cell that may not be what it seems, mostly of the kind that belongs there."""
    fitting = KINDS.get(TARGET_OF.get(normalize_header(header), ""), TEXTS)
    return st.sampled_from([*fitting, *BLANKS]) | st.sampled_from(ANYTHING)


@st.composite
def records(draw: st.DrawFn) -> tuple[Columns, list[tuple[int, list[str]] | Unreadable]]:
    """Make a layout and some rows with numbers that go up, few cells of each changed."""
    headers = draw(HEADERS)
    accounts_of = st.tuples(*map(good, headers)).map(list)
    number = 1
    made: list[tuple[int, list[str]] | Unreadable] = []
    for cells in draw(st.lists(accounts_of, min_size=1, max_size=10)):
        number += draw(st.sampled_from([1, 1, 1, 2, 1000]))
        for column in draw(st.lists(st.integers(0, len(headers) - 1), max_size=2)):
            cells[column] = draw(tricky(headers[column]))
        kept = draw(st.sampled_from([len(cells)] * 9 + [len(cells) // 2]))
        made.append(draw(st.sampled_from([(number, cells[:kept])] * 15 + [Unreadable(number, "")])))
    return find_columns(headers), made


def plain(one: RowResult) -> tuple[object, ...]:
    """Return what a row is without the reader it came from."""
    return (Accepted, one.row, one.address, one.account()) if isinstance(one, Accepted) else one


@given(records())
def test_a_glance_sees_what_a_close_look_sees(
    made: tuple[Columns, list[tuple[int, list[str]] | Unreadable]],
) -> None:
    """The fast check accepts nothing that the rules reject, and reads and warns the same."""
    columns, rows = made
    fast, slow = Warnings(), Warnings()
    got = RowReader(ValueReader(columns), SeenAddresses(2), fast).rows(iter(rows))
    closely = RowReader(ValueReader(columns), SeenAddresses(), slow).validate
    assert [*map(plain, got)] == [*map(plain, map(closely, rows))]
    assert fast.counts() == slow.counts()


@given(records())
def test_what_is_accepted_obeys_every_rule(
    made: tuple[Columns, list[tuple[int, list[str]] | Unreadable]],
) -> None:
    """All rules hold for an account; what is rejected has a problem, each cause once."""
    columns, rows = made
    for one in RowReader(ValueReader(columns), SeenAddresses(), Warnings()).rows(iter(rows)):
        if isinstance(one, Accepted):
            values = zip(FIELDS, one.reader.read(one.cells).values, strict=True)
            assert [field for field, value in values if not RULES[field].holds(value)] == []
        elif isinstance(one, Rejected):
            assert one.problems
            assert len({(problem.field, problem.code) for problem in one.problems}) == len(
                one.problems
            )


# Writing and reading.


def is_no_value(text: str) -> bool:
    """Say whether a text represents none, or cannot be what somebody typed."""
    return bool(
        is_placeholder(text)
        or is_damaged(text)
        or is_hashed(text)
        or is_misread(text)
        or invisible_in(text)
        or unwrapped(text) != text
        or text[0] == text[-1] == '"'
    )


EDGELESS = st.text(
    st.characters(exclude_categories=("C", "Z"), include_characters=" "), min_size=1, max_size=20
).filter(lambda text: text == text.strip() and not is_no_value(text))
LAST_NAMES = EDGELESS.map(lambda text: text.replace(",", "_")).filter(filled)
"""Without the comma of "Last, First"; signs alone are no name."""
WORDS = LAST_NAMES.map(lambda text: text.replace(" ", "_")).filter(filled)
LOWER = f"{ascii_lowercase}{digits}"
LABELS = st.builds(
    lambda label, more: f"{label}-{more}" if more else label,
    st.text(LOWER, min_size=1, max_size=8),
    st.text(LOWER, max_size=4),
)
DOMAINS = st.lists(LABELS, min_size=1, max_size=3).map(lambda labels: f"{'.'.join(labels)}.example")
LOCAL = st.builds(
    lambda name, more: f"{name}.{more}" if more else name,
    st.text(f"{ascii_letters}{digits}!#$%&'*+/=?^_`{{|}}~-", min_size=1, max_size=12),
    st.text(f"{ascii_letters}{digits}", max_size=6),
).filter(lambda name: name[0] != "'")  # with which spreadsheets mark texts
PORT_NUMBERS = st.integers(1, 65535).map(str)
ENCRYPTED = st.sampled_from(ENCRYPTIONS)


def provider_named_by(domain: str) -> str:
    """Return the code of a personal address."""
    provider = provider_of_domain(domain)
    return (provider.personal or provider.code) if provider else ""


domains = [name for one in providers().values() for name in one.domains]
PERSONAL = {
    code: sorted(f"@{name}" for name in domains if provider_named_by(name) == code)
    for code in ("gmail", "microsoft")
}
ONE_FOR_BOTH = {
    ADDRESS: ("smtpEmailAddress", "imapEmailAddress"),
    PASSWORD: ("smtpPassword", "imapPassword"),
}


@st.composite
def accounts(draw: st.DrawFn, header: tuple[str, ...]) -> dict[str, str]:
    """Make the values of a valid account, as far as this header can distinguish them."""
    layout = find_columns(header)
    names_servers = {"smtpHost", "emailServiceProvider"} & layout.targets.keys()
    # Else the servers are those of the address.
    provider = draw(st.sampled_from(PROVIDERS if names_servers else sorted(PERSONAL)))
    own = DOMAINS.map("@{}".format)
    domain = st.sampled_from(PERSONAL[provider]) if provider in PERSONAL else own
    values = {
        "emailServiceProvider": provider,
        "fromFirstName": draw(WORDS),
        "fromLastName": draw(LAST_NAMES),
        "smtpEmailAddress": draw(LOCAL) + draw(domain),
        "imapEmailAddress": draw(LOCAL) + draw(own),
        **{f"{side}UserName": draw(EDGELESS) for side in ("smtp", "imap")},
        **{f"{side}Password": draw(EDGELESS) for side in ("smtp", "imap")},
        **{f"{side}Host": draw(DOMAINS) for side in ("smtp", "imap")},
        **{f"{side}Port": draw(PORT_NUMBERS) for side in ("smtp", "imap")},
        **{f"{side}Encryption": draw(ENCRYPTED) for side in ("smtp", "imap")},
    }
    for target, (smtp, imap) in ONE_FOR_BOTH.items():
        if target in layout.targets and not {smtp, imap} & {*layout.targets}:
            values[imap] = values[smtp]
    return {field: values[field] for field in FIELDS}


def written(header: str, values: dict[str, str]) -> str:
    """Return what an account has in a column."""
    target = TARGET_OF.get(normalize_header(header), "")
    if target == FULL_NAME:
        return f"{values['fromFirstName']} {values['fromLastName']}"
    return values.get(ONE_FOR_BOTH.get(target, (target,))[0], "")


def carried(layout: Columns) -> set[str]:
    """Return the fields that a layout has a column for."""
    fields = {*layout.targets}
    for target in fields & {*ONE_FOR_BOTH}:
        fields |= {*ONE_FOR_BOTH[target]}
    if FULL_NAME in fields:
        fields |= {"fromFirstName", "fromLastName"}
    return fields & {*FIELDS}


def as_csv(table: list[list[str]], delimiter: str = ",") -> str:
    """Write a table as text."""
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter).writerows(table)
    return text.getvalue()


def as_items(table: list[list[str]]) -> list[dict[str, str]]:
    """Return the rows of a table as JSON has them."""
    return [dict(zip(table[0], row, strict=True)) for row in table[1:]]


def as_json(table: list[list[str]]) -> str:
    """Write a table as a JSON array."""
    return json.dumps(as_items(table), ensure_ascii=False)


def as_lines(table: list[list[str]]) -> str:
    """Write a table as JSON Lines."""
    return "\n".join(json.dumps(item, ensure_ascii=False) for item in as_items(table))


def as_workbook(table: list[list[str]]) -> bytes:
    """Write a table as the first sheet of a workbook."""
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    for row in table:
        sheet.append(row)
    for cell in chain.from_iterable(sheet.iter_rows()):
        cell.data_type = "s"  # also what begins with "="
    target = io.BytesIO()
    book.save(target)
    return target.getvalue()


TEXT_FORMATS: list[Callable[[list[list[str]]], str]] = [
    as_csv,
    lambda table: as_csv(table, ";"),
    lambda table: as_csv(table, "\t"),
    as_json,
    as_lines,
]


@st.composite
def files(draw: st.DrawFn, table: list[list[str]]) -> bytes:
    """Write a table in any format and encoding that can hold it."""
    if draw(st.integers(0, 9)) == 0:
        content = as_workbook(table)
    else:
        text = draw(st.sampled_from(TEXT_FORMATS))(table)
        encoding = draw(st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "cp1252"]))
        content = text.encode(encoding, errors="ignore")
        assume(content.decode(encoding) == text)
        assume(encoding != "cp1252" or text.isascii() or not is_utf_8(content))
    return gzip.compress(content, 1) if draw(st.booleans()) else content


def is_utf_8(content: bytes) -> bool:
    """Say whether bytes can be read as UTF-8."""
    try:
        codecs.decode(content, "utf-8")
    except UnicodeDecodeError:
        return False
    return True


@given(
    st.data(),
    st.sampled_from(WITH_PASSWORD) | st.sampled_from(WITH_PASSWORD).flatmap(st.permutations),
)
def test_an_account_reads_back_from_any_layout_and_format(data: st.DataObject, header: Any) -> None:  # noqa: ANN401  tuple or list
    """What a layout has a column for is read as it was; only what it lacks can be a problem."""
    header = tuple(header)
    made = data.draw(st.lists(accounts(header), min_size=1, max_size=3))
    assume(len({values["smtpEmailAddress"].lower() for values in made}) == len(made))
    table = [[*header], *([written(name, values) for name in header] for values in made)]
    fields = carried(find_columns(header))
    rows = [*open_accounts_file(io.BytesIO(data.draw(files(table)))).rows]
    assert len(rows) == len(made)
    for one, values in zip(rows, made, strict=True):
        if isinstance(one, Accepted):
            read = dict(zip(FIELDS, list(one.reader.read(one.cells).values), strict=True))
            assert {field: read[field] for field in fields} == {
                field: values[field] for field in fields
            }
        else:
            assert isinstance(one, Rejected)
            assert not {problem.field for problem in one.problems} & fields
    # The service's own layout carries all there is.
    assert fields != {*FIELDS} or all(isinstance(one, Accepted) for one in rows)


# One after the other.

BAD_ROWS = st.lists(
    st.sampled_from(ANYTHING) | st.text(st.characters(codec="utf-8"), max_size=9),
    min_size=5,
    max_size=5,
)
COLUMNS = ["email", "password", "provider", "smtp_port", "from_name"]


@given(st.lists(st.none() | BAD_ROWS, min_size=1, max_size=12), st.sampled_from(TEXT_FORMATS))
def test_a_bad_row_never_stops_the_next(
    bad: list[list[str] | None], write: Callable[[list[list[str]]], str]
) -> None:
    """Whatever is in the rows around it, each good row is accepted with its number."""
    account = ("abcdefghijklmnop", "gsuite", "465", "Robin Stone")
    names = [f"good{at}@north.example" for at in range(len(bad))]
    rows = [one or [name, *account] for one, name in zip(bad, names, strict=True)]
    content = write([COLUMNS, *rows]).encode()
    first = 1 if write in (as_json, as_lines) else 2
    checked = {one.row: one for one in open_accounts_file(io.BytesIO(content)).rows}
    number = first
    for row, name in zip(rows, names, strict=True):
        blank = not "".join(row).strip()
        assert blank or number in checked
        if row[0] == name:
            one = checked[number]
            assert isinstance(one, Accepted)
            assert one.address == name
        number += 1


DAMAGED_LINES = [
    *(b'"x"y",z,', b"1,2,3,4", b"a\xff@b.example,x,", b"alone@gmail.com", b"\x00,\x01,\x02"),
    *(b'"two\nlines",x,', b"a@gmail.com,\xc3,", b"\xc3\x28", b',",",', b"a\tb;c"),
]
DAMAGED_OBJECTS = [
    *(b"3", b"null", b"[]", b'"}, {"', b'["email"]', b"-Infinity", b'{"email": {"email": 1}}'),
    *(b'{"email": "\\ud800"}', b'{"email": "\xff"}', b'{"\\udfff": 1}', b'{"note": [[[]]]}'),
]
DAMAGED_JSON_LINES = [
    *DAMAGED_OBJECTS,
    *(b"{", b'{"email"}', b'{"email": "a@gmail.com",', b"[" * 5000, b"\xff", b"{\"email\": 'a'}"),
]
DAMAGED_CELLS = [
    *(b'<c r="C{}"><v>1</v></c>', b'<c r="A{}" t="e"><v>#REF!</v></c>', b"<c><v>1E+300</v></c>"),
    *(b'<c r="XFD{}" t="s"><v>0</v></c>', b'<c r="B{}" t="b"><v>1</v></c>', b"<c><v>x</v></c>"),
    b'<c r="A{}" t="inlineStr"><is><t>_x0000_</t></is></c>',
]
LINE = b"good%d@gmail.com,abcdefghijklmnop,"
ITEM = b'{"email": "good%d@gmail.com", "password": "abcdefghijklmnop", "note": "\xc3\xbc"}'
CELLS = b'<c r="A{}" t="s"><v>%d</v></c><c r="B{}"><v>1</v></c>'


def sheet(rows: list[bytes]) -> bytes:
    """Write a workbook of these rows; the shared texts are the addresses."""
    names = '<row r="1">{}{}</row>'.format(*map('<c t="str"><v>{}</v></c>'.format, COLUMNS[:2]))
    texts = "".join(f"<si><t>good{at}@gmail.com</t></si>" for at in range(len(rows)))
    made = (
        f'<row r="{at}">{cells.decode().format(at, at)}</row>' for at, cells in enumerate(rows, 2)
    )
    return archive(parts(names + "".join(made), {"xl/texts.xml": f"<sst>{texts}</sst>"}))


SHAPES: list[tuple[list[bytes], list[bytes], bytes, int, Callable[[list[bytes]], bytes]]] = [
    (
        DAMAGED_LINES,
        [b"", b",,", b" ,\t,\xc2\xa0"],
        LINE,
        2,
        lambda rows: b"\n".join([b"email,password,\xc3\xbc", *rows]),
    ),
    (DAMAGED_OBJECTS, [b"{}", b'{"email": " "}'], ITEM, 1, lambda rows: b"[%b]" % b",".join(rows)),
    (DAMAGED_JSON_LINES, [b"{}", b'{"email": null}'], ITEM, 1, b"\n".join),
    (DAMAGED_CELLS, [b"", b'<c r="A{}" s="1"/>'], CELLS, 2, sheet),
]
"""Rows that are damaged, rows that are blank, an account, the first number, how to write them."""


@given(st.data(), st.sampled_from(SHAPES), st.booleans())
def test_a_rejected_row_never_stops_the_next(
    data: st.DataObject,
    shape: Any,  # noqa: ANN401  a tuple of SHAPES
    packed: bool,  # noqa: FBT001  hypothesis gives it
) -> None:
    """Whatever the format, damage to a row rejects that row and none of those around it."""
    damaged, blank, account, first, write = shape
    some = st.none() | st.sampled_from(damaged) | st.sampled_from(blank)
    rows = [None, *data.draw(st.lists(some, max_size=12)), None]
    content = write([account % at if row is None else row for at, row in enumerate(rows)])
    stream = io.BytesIO(gzip.compress(content) if packed else content)
    checked = [*open_accounts_file(stream).rows]
    assert [(one.row, one.address) for one in checked if isinstance(one, Accepted)] == [
        (first + at, f"good{at}@gmail.com") for at, row in enumerate(rows) if row is None
    ]
    assert [one.row for one in checked if isinstance(one, Rejected)] == [
        first + at for at, row in enumerate(rows) if row in damaged
    ]


DAMAGED = {
    "a spreadsheet": (
        "1.23457E+15",
        "1,2E+10",
        "#NAME?",
        "#WERT!",
        "########",
        "#REF!",
        "TRUE",
        "FAUX",
    ),
    "a placeholder": ("****", "N/A", "nan", "(leer)", "[password]", "YOUR_APP_PASSWORD_HERE"),
    "an invisible character": ("a\u200bb", "ab\u00a0cd", "\ufeffabc"),
    "a wrong encoding": ("p\u00c3\u00a4sswort", "p\ufffdsswort"),
    "a control character": ("ab\tcd", "ab\ncd"),
    "its length": ("p" * 256,),
    "a lost value": ("",),
}
"""Passwords that are not what was typed, by what has damaged them."""


@given(st.data(), st.sampled_from(WITH_PASSWORD), st.sampled_from(sorted(DAMAGED)))
def test_a_damaged_password_is_never_sent_and_its_neighbours_are(
    data: st.DataObject, header: tuple[str, ...], damage: str
) -> None:
    """Any account in any layout and format: one damaged cell costs its own row alone."""
    made = data.draw(st.lists(accounts(header), min_size=2, max_size=4))
    assume(len({values["smtpEmailAddress"].lower() for values in made}) == len(made))
    at = data.draw(st.integers(0, len(made) - 1))
    table = [[*header], *([written(name, values) for name in header] for values in made)]
    given_to = find_columns(header).targets
    [column] = given_to.get("smtpPassword") or given_to[PASSWORD]
    whole = [type(one) for one in open_accounts_file(io.BytesIO(data.draw(files(table)))).rows]
    table[at + 1][column] = data.draw(st.sampled_from(DAMAGED[damage]))
    rows = [*open_accounts_file(io.BytesIO(data.draw(files(table)))).rows]
    expected = [Rejected if number == at else kind for number, kind in enumerate(whole)]
    assert [type(one) for one in rows] == expected
    one = rows[at]
    assert isinstance(one, Rejected)
    assert any(problem.field == "smtpPassword" for problem in one.problems)


@given(st.data(), st.sampled_from(WITH_PASSWORD), st.sampled_from([",", ";", "\t", "|"]))
def test_a_row_that_a_delimiter_shifts_is_never_sent_in_silence(
    data: st.DataObject, header: tuple[str, ...], delimiter: str
) -> None:
    """A password that holds the delimiter, without quotes, rejects its row and no other."""
    made = data.draw(st.lists(accounts(header), min_size=2, max_size=4))
    assume(len({values["smtpEmailAddress"].lower() for values in made}) == len(made))
    table = [[*header], *([written(name, values) for name in header] for values in made)]
    assume(not any(set('"\r\n' + delimiter) & {*cell} for row in table for cell in row))
    at = data.draw(st.integers(0, len(made) - 1))
    given_to = find_columns(header).targets
    [column] = given_to.get("smtpPassword") or given_to[PASSWORD]
    lines = [delimiter.join(row) for row in table]
    whole = [type(one) for one in open_accounts_file(io.BytesIO("\n".join(lines).encode())).rows]
    table[at + 1][column] = f"ab{delimiter}cd"
    lines[at + 1] = delimiter.join(table[at + 1])
    rows = [*open_accounts_file(io.BytesIO("\n".join(lines).encode())).rows]
    expected = [Rejected if number == at else kind for number, kind in enumerate(whole)]
    assert [type(one) for one in rows] == expected
