"""Files that want to cost time: each is read or refused with work in proportion to its size."""

import io
from cProfile import Profile

import pytest

from email_accounts.errors import FileRefusedError
from email_accounts.intake.accounts_file import open_accounts_file
from tests.support.hostile import SECRET, SHAPES, Shape, pieces

_SIZE = 1 << 15
_CASES = [
    pytest.param(shape, id=f"{kind}-{name}")
    for kind, shapes in SHAPES.items()
    for name, shape in shapes.items()
]


def read(content: bytes) -> tuple[int, str]:
    """Return how many functions are called in reading a file, and what is said to refuse it."""
    refusal = ""
    with Profile() as profile:
        try:
            for _ in open_accounts_file(io.BytesIO(content)).rows:
                pass
        except FileRefusedError as error:
            refusal = f"{error.problem} {error.fix}"
    return sum(one.callcount for one in profile.getstats()), refusal


def test_there_are_ten_shapes_of_each_format() -> None:
    """No format is left out."""
    assert min(map(len, SHAPES.values())) >= 10


@pytest.mark.parametrize("shape", _CASES)
def test_twice_the_size_takes_at_most_twice_the_work(shape: Shape) -> None:
    """It is read to its end, or refused with what to do; no answer has a secret."""
    few, _ = read(b"".join(pieces(shape, _SIZE)))
    many, refusal = read(b"".join(pieces(shape, 2 * _SIZE)))
    assert many <= 2.2 * few + 2_000
    assert SECRET not in refusal
    assert not refusal or refusal.endswith(".")


def test_ever_other_keys_are_refused() -> None:
    """The columns of each set of keys have to be recognized again."""
    items = (b'{"email":"a","k%d":1}\n' % number for number in range(2_001))
    _, refusal = read(b"".join(items))
    assert refusal == (
        "Its objects have more than 2,000 different sets of keys. Give all accounts the same keys."
    )


def test_keys_that_come_again_cost_no_more_than_the_same_keys() -> None:
    """A key that only some objects have is common."""
    item, longer = b'{"email":"a@b.example"}\n', b'{"email":"a@b.example","password":"x"}\n'
    alike, _ = read(longer * 400)
    in_turn, _ = read((item + longer) * 200)
    assert in_turn < 2 * alike
