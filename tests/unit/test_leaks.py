"""What looks for secrets finds them, however they are written, and names them without them."""

import base64
import csv
import gzip
import html
import io
import json
import quopri
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest

from local.echoes import ECHOES
from tests.support.files import MARK, api_key
from tests.support.files import PASSWORD as SECRET
from tests.support.leaks import ALLOWED, API_KEY, PASSWORD, Allowed, Finder, Leak, leaks

THREATS = Path(__file__).parents[2] / "docs/threat-model.md"


def in_csv(text: str) -> str:
    """Write a line of CSV."""
    line = io.StringIO()
    csv.writer(line).writerow(["a", text])
    return line.getvalue()


def in_zip(content: bytes) -> bytes:
    """Pack a file into an archive."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("folder/file", content * 9)
    return archive.getvalue()


def each(form: str) -> Callable[[str], bytes]:
    """Write each byte of a text as a number."""
    return lambda text: "".join(form.format(byte) for byte in text.encode()).encode()


QUOTED: dict[str, Callable[[str], str]] = {
    "plain": str,
    "json": json.dumps,
    "json in json": lambda text: json.dumps(json.dumps([text])),
    "json with letters": lambda text: json.dumps(text, ensure_ascii=False),
    "url": quote,
    "url, all": lambda text: quote(text, safe=""),
    "form": quote_plus,
    "html": html.escape,
    "csv": in_csv,
    "python": repr,
}
OTHERWISE: dict[str, tuple[str, Callable[[str], bytes]]] = {
    "utf-16-le": ("as it is", lambda text: text.encode("utf-16-le")),
    "utf-16-be": ("as it is", lambda text: text.encode("utf-16-be")),
    "lines of ten": ("as it is", lambda text: b"\r\n".join(re.findall(b".{1,10}", text.encode()))),
    "quoted printable": ("as it is", lambda text: quopri.encodestring(text.encode())),
    "base64": ("in base64", lambda text: base64.b64encode(text.encode())),
    "base64, second": ("in base64", lambda text: base64.b64encode(b"x" + text.encode())),
    "base64, third": ("in base64", lambda text: base64.b64encode(b"\xff\xfe" + text.encode())),
    "base64, urls": ("in base64", lambda text: base64.urlsafe_b64encode(b"?" + text.encode())),
    "base64, lines": ("in base64", lambda text: base64.encodebytes(b"y" * 62 + text.encode())),
    "hexadecimal": ("in hexadecimal numbers", lambda text: text.encode().hex().encode()),
    "HEXADECIMAL": ("in hexadecimal numbers", lambda text: text.encode().hex().upper().encode()),
    "percent": ("in hexadecimal numbers", each("%{:02X}")),
    "bytes": ("in hexadecimal numbers", each("\\x{:02x}")),
    "equals": ("in hexadecimal numbers", each("={:02X}")),
    "entities": ("in hexadecimal numbers", each("&#x{:x};")),
    "javascript": ("in numbers of four digits", each("\\u{:04x}")),
    "decimal entities": ("in decimal numbers", each("&#{};")),
    "list": ("in decimal numbers", lambda text: json.dumps([*text.encode()]).encode()),
    "gzip": ("gzipped, as it is", lambda text: gzip.compress(text.encode())),
    "gzip inside": ("gzipped, as it is", lambda text: b"head" + gzip.compress(text.encode())),
    "gzip in base64": (
        "base64, gzipped, as it is",
        lambda text: base64.b64encode(gzip.compress(text.encode())),
    ),
    "zip": ("zipped, as it is", lambda text: in_zip(text.encode())),
    "zip in zip": ("zipped, zipped, as it is", lambda text: in_zip(in_zip(text.encode()))),
    "base64 in zip": ("zipped, in base64", lambda text: in_zip(base64.b64encode(text.encode()))),
}


def found(text: bytes) -> set[tuple[str, str]]:
    """Look for secrets in a text."""
    return set(Finder().forms(text))


@pytest.mark.parametrize("write", QUOTED.values(), ids=QUOTED)
@pytest.mark.parametrize(("kind", "secret"), [(PASSWORD, SECRET), (API_KEY, api_key("any"))])
def test_a_quoted_secret_is_found_as_it_is(
    kind: str, secret: str, write: Callable[[str], str]
) -> None:
    """Each way of quoting changes it, but for the part that is looked for."""
    written = write(secret)
    assert secret in written or write is not str
    assert (kind, "as it is") in found(f"before {written} behind".encode())


@pytest.mark.parametrize("way", ECHOES)
@pytest.mark.parametrize("again", ["as it is", "JSON", "JSON twice", "percent", "HTML"])
def test_a_secret_is_found_however_a_service_writes_it(way: str, again: str) -> None:
    """Also where the document that holds it escapes what is written."""
    forms = found(b'{"a": "%b"}' % ECHOES[again](ECHOES[way](SECRET)).encode())
    assert {kind for kind, _ in forms} == {PASSWORD}


def test_each_way_of_quoting_is_another() -> None:
    """The signs of a secret tell every way of quoting from the plain text and the others."""
    inner = {name: write(SECRET).strip("\"'[]\\a,\r\n") for name, write in QUOTED.items()}
    assert len(set(inner.values())) == len(QUOTED)


@pytest.mark.parametrize(("form", "write"), OTHERWISE.values(), ids=OTHERWISE)
@pytest.mark.parametrize(("kind", "secret"), [(PASSWORD, SECRET), (API_KEY, api_key("any"))])
def test_a_secret_in_another_form_is_found(
    kind: str, secret: str, form: str, write: Callable[[str], bytes]
) -> None:
    """In other alphabets, in numbers, parted and packed, in the middle of other text."""
    assert found(b"before." + write(secret) + b".behind") == {(kind, form)}


def test_what_is_no_secret_is_not_found() -> None:
    """Ids, keys of objects and the same without its mark are none."""
    texts = (f"app-{MARK[4:-1]}", MARK[4:], "0123456789abcdef" * 9, "key-of-north app-password")
    assert found(" ".join(texts).encode()) == set()
    assert found(base64.b64encode(" ".join(texts).encode())) == set()


def test_a_place_is_allowed_for_one_kind() -> None:
    """Where passwords may be no key may be; the same bytes elsewhere are a leak again."""
    allowed = (Allowed("object inbox/*", PASSWORD, ""),)
    upload, key = f"a,{SECRET}".encode(), api_key("any").encode()
    places = [
        ("object inbox/a.csv", upload),
        ("object reports/a.csv", upload),
        ("object inbox/b.csv", upload + key),
        ("log", b"nothing"),
    ]
    assert leaks(places, Finder(), allowed) == [
        Leak("object inbox/b.csv", API_KEY, "as it is"),
        Leak("object reports/a.csv", PASSWORD, "as it is"),
    ]


def test_a_leak_does_not_name_the_secret() -> None:
    """Not even where the name of the place holds it."""
    (leak,) = leaks([(f"object reports/{SECRET}", b"")], Finder(), ALLOWED)
    assert MARK not in str(leak)
    assert leak.place == "a place with a secret in its name"


def test_the_threat_model_names_every_place_that_is_allowed() -> None:
    """Its table is the list that is searched by."""
    section = THREATS.read_text("utf-8").partition("\n## Leak search\n")[2].partition("\n## ")[0]
    lines = [line for line in section.splitlines() if line.startswith("|")][2:]
    assert [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in lines] == [
        (f"`{one.place}`", one.kind, one.reason) for one in ALLOWED
    ]
