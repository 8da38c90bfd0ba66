"""What is sent, held to its schema; what the documents show, held to what is sent."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker

from email_accounts.delivery.message import message_of
from tests.support import answers
from tools.docs.examples import DOCS, PAGES, renewed

KINDS = answers.ENDINGS


def schema_of(name: str) -> dict[str, Any]:
    """Read a schema, which follows that of schemas."""
    read: dict[str, Any] = json.loads((DOCS / f"{name}.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(read)
    return read


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    """Read the schema of the message."""
    return schema_of("message")


def sent(kind: answers.Kind) -> dict[str, Any]:
    """Return the document of an answer."""
    document: dict[str, Any] = json.loads(answers.delivered(kind, link_hours=1).message.document)
    return document


def fields_of(value: object, above: str = "") -> Iterator[str]:
    """Yield the name of every field of a document."""
    if isinstance(value, dict):
        for name, inner in value.items():
            yield f"{above}{name}"
            yield from fields_of(inner, f"{above}{name}.")
    elif isinstance(value, list):
        for inner in value:
            yield from fields_of(inner, f"{above.removesuffix('.')}[].")


def described(
    schema: dict[str, Any], shared: dict[str, Any], above: str = ""
) -> Iterator[tuple[str, str]]:
    """Yield the name and the meaning of each field."""
    for name, field in schema.get("properties", {}).items():
        yield f"{above}{name}", field["description"]
        shape = shared[field["$ref"].rpartition("/")[2]] if "$ref" in field else field
        yield from described(shape, shared, f"{above}{name}.")
        yield from described(shape.get("items", {}), shared, f"{above}{name}[].")


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_sent_follows_its_schema(kind: answers.Kind, schema: dict[str, Any]) -> None:
    """Each field with its type and limits, and no others."""
    document = sent(kind)
    errors = [
        f"{one.json_path}: {one.message}"
        for one in Draft202012Validator(schema).iter_errors(document)
    ]
    assert errors == []
    counts = document["counts"]
    assert counts["rows"] == sum(counts.values()) - counts["rows"]


def test_what_is_sent_of_a_large_import_follows_its_schema(schema: dict[str, Any]) -> None:
    """However many rows there are."""
    document = json.loads(message_of(answers.large(20_000)).document)
    assert list(Draft202012Validator(schema).iter_errors(document)) == []


def test_the_schema_describes_what_is_sent_and_nothing_else(schema: dict[str, Any]) -> None:
    """Every field of the schema is one that occurs, with what it means."""
    occurring = {field for kind in KINDS for field in fields_of(sent(kind))}
    meanings = dict(described(schema, schema["$defs"]))
    assert occurring == meanings.keys()
    assert all(meaning.endswith(".") for meaning in meanings.values())


def test_an_estimate_follows_its_schema() -> None:
    """Each plan has one, a refused file none; every field is described."""
    schema = schema_of("estimate")
    told = [answers.delivered(kind) for kind in KINDS]
    estimates = [json.loads(text) for one in told for text in one.estimates]
    validator = Draft202012Validator(schema, format_checker=FormatChecker())
    assert [error for one in estimates for error in validator.iter_errors(one)] == []
    assert all(one.estimates for one in told if json.loads(one.message.document)["counts"]["rows"])
    meanings = dict(described(schema, schema["$defs"]))
    assert set(fields_of(estimates[0])) == meanings.keys()
    assert all(meaning.endswith(".") for meaning in meanings.values())


@pytest.mark.parametrize("kind", answers.WITH_PAGE)
def test_the_summary_is_the_message_with_the_batches(kind: answers.Kind) -> None:
    """Who reads the file instead needs no second schema."""
    made = answers.delivered(kind)
    summary = json.loads(made.summary)
    del summary["batches"]
    assert summary == json.loads(made.message.document)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_documents_show_what_is_sent(page: Path) -> None:
    """Mails, message, fields and causes to the letter: `make docs` renews them."""
    text = page.read_text(encoding="utf-8")
    assert renewed(text) == text


def test_pictures_are_there() -> None:
    """Of every kind, on a desktop and on a phone, light and dark; `make docs ALL=1` renews them."""
    taken = {picture.stem for picture in (DOCS / "images").glob("*.png")}
    assert taken == {
        f"{kind}-{size}-{scheme}"
        for kind in ("clean", "sample", "refused", "large")
        for size in ("desktop", "phone")
        for scheme in ("light", "dark")
    }
    shown = (DOCS / "results.md").read_text(encoding="utf-8")
    assert shown.count("](images/") == sum(f"](images/{name}.png)" in shown for name in taken)
