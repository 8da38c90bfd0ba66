"""Secrets do not show themselves."""

import copy
import json
import pickle
from dataclasses import asdict

import pytest

from email_accounts.text.secret import HIDDEN, Redactor, Secret
from local.echoes import ECHOES
from tests.support.files import MARK, PASSWORD, PASSWORDS, account

SECRET = Secret(PASSWORD)


def test_a_secret_is_handed_out_by_reveal_alone() -> None:
    """The one place that sends it asks for it by name."""
    assert SECRET.reveal() == PASSWORD


def test_a_secret_prints_as_stars() -> None:
    """Text made of a secret in any usual way is three stars."""
    for text in (repr(SECRET), str(SECRET), f"{SECRET}", f"{SECRET!r}", "%s" % SECRET):  # noqa: UP031  the old way must hide it, too
        assert text == HIDDEN
    assert f"{SECRET:>5}" == "  ***"
    assert "{:<4}|".format(SECRET) == "*** |"  # noqa: UP032  the old way must hide it, too


@pytest.mark.parametrize(
    "write", [pickle.dumps, copy.copy, copy.deepcopy, json.dumps, lambda it: json.dumps([it])]
)
def test_a_secret_is_not_written(write: object) -> None:
    """Pickle, copy and JSON refuse a secret, and their error does not quote it."""
    assert callable(write)
    with pytest.raises(TypeError) as caught:
        write(SECRET)
    assert MARK not in str(caught.value)


def test_an_account_is_not_turned_into_plain_data() -> None:
    """A well-meant asdict of an account fails instead of giving its passwords away."""
    with pytest.raises(TypeError):
        asdict(account("robin@north.example"))


def test_secrets_are_equal_when_their_texts_are() -> None:
    """They compare and hash as the texts do, and never equal a plain text."""
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a"), Secret("b")}) == 2


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("hunter22", "***"),
        ("  hunter22\t", "***"),
        ("535 refused hunter22.", "***"),
        ("hunter22hunter22", "***"),
        ("abc", "***"),
        ("abcd is not abc", "abcd is not abc"),
        ("a.c*", "***"),
        ("axcx stays", "axcx stays"),
        ("hidden whole, a.c* and all", "***"),
        ("hunter22 and more", "***"),
        ("535 refused: hunt er22.", "***"),
        ("refused: YWJ-Pw", "***"),
        ("nothing here", "nothing here"),
        ("", ""),
    ],
)
def test_a_redactor_hides_texts_with_secrets(text: str, cleaned: str) -> None:
    """Whole texts that hold one, literally; short ones only where they are alone."""
    secrets = ("hunter22", "hunter22 and more", "abc", "a.c*", "ab~?", "")
    assert Redactor(map(Secret, secrets)).clean(text) == cleaned


@pytest.mark.parametrize(
    "quoted",
    [
        r"app-3f9c2a7e51d0b864 \"\u00fc'&<%+/=>\\,;#9",
        r"app-3f9c2a7e51d0b864 \"\u00fc'&<%+\/=>\\,;#9",
        r"app-3f9c2a7e51d0b864 \"ü'&<%+/=>\\,;#9",
        "app-3f9c2a7e51d0b864%20%22%C3%BC%27%26%3C%25%2B%2F%3D%3E%5C%2C%3B%239",
        "app-3f9c2a7e51d0b864%20%22%C3%BC%27%26%3C%25%2B/%3D%3E%5C%2C%3B%239",
        "app-3f9c2a7e51d0b864+%22%C3%BC%27%26%3C%25%2B%2F%3D%3E%5C%2C%3B%239",
        r"app-3f9c2a7e51d0b864 &quot;ü&#x27;&amp;&lt;%+/=&gt;\,;#9",
        r"app-3f9c2a7e51d0b864 &#34;ü&#39;&amp;&lt;%+/=&gt;\,;#9",
        r"""app-3f9c2a7e51d0b864 "ü'&amp;&lt;%+/=&gt;\,;#9""",
        r"""app-3f9c2a7e51d0b864 ""ü'&<%+/=>\,;#9""",
        r"""app-3f9c2a7e51d0b864 "ü\'&<%+/=>\\,;#9""",
    ],
)
def test_a_redactor_knows_a_secret_however_it_is_quoted(quoted: str) -> None:
    """For JSON, a URL, a form, HTML, CSV or Python, whole or inside of other text."""
    redactor = Redactor([SECRET])
    assert redactor.clean(quoted) == HIDDEN
    assert redactor.clean(f"refused: {quoted}!") == HIDDEN


def test_a_redactor_without_secrets_changes_nothing() -> None:
    """No secret, no star."""
    assert Redactor([Secret("")]).clean("any text") == "any text"


@pytest.mark.parametrize("way", ECHOES)
def test_a_redactor_knows_a_secret_however_it_is_written_twice(way: str) -> None:
    """Each way of writing it, alone and within each other: all that services do."""
    for password in PASSWORDS:
        redactor, once = Redactor([Secret(password)]), ECHOES[way](password)
        others = {"as it is"} if way == "JSON twice" else ECHOES.keys() - {"JSON twice"}
        others -= {"quoted-printable, lines joined"}  # where a digit follows, =20 is a blank
        if way in ("Latin-1", "Windows-1252"):
            others -= {"NFKC", "NFKD"}  # which take a ² there for a 2, for good
        for again in others:
            said = f"sign-in with {ECHOES[again](once)} failed"
            assert redactor.finds_in(said)
            assert redactor.finds_in(json.dumps({"error": said}))
