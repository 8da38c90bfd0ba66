"""The one notification of an import."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Message:
    """The one notification: a line, a mail for a person, JSON for machines, attributes."""

    subject: str
    mail: str
    document: str
    attributes: dict[str, str | int]
