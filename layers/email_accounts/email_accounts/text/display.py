"""Texts from outside, made safe to show in one line."""

from datetime import UTC, datetime

_LONGEST_LINE = 160


def one_line(text: str, longest: int = _LONGEST_LINE) -> str:
    """Return a text without invisible characters, cut to so many characters."""
    text = visible(text)
    return text if len(text) <= longest else text[: longest - 1] + "…"


def moment(seconds: float) -> str:
    """Write a time, in seconds since the epoch, for people."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"


def iso(seconds: float) -> str:
    """Write a time, in seconds since the epoch, for programs."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="seconds")


def within(text: str, size: int) -> str:
    """Return a text of at most so many bytes in UTF-8; one that is cut ends with an ellipsis."""
    data = text.encode("utf-8", "replace")
    if len(data) <= size:
        return data.decode()
    return data[: size - len("…".encode())].decode("utf-8", "ignore") + "…"


def visible(text: str, keep: str = "") -> str:
    """Return a text without invisible characters but those to be kept.

    Line breaks become blanks; what could reverse the direction of a text, steer a terminal or not
    be seen becomes a question mark.
    """
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() or char in keep else _instead(char) for char in text)


def _instead(char: str) -> str:
    return " " if char.isspace() else "?"
