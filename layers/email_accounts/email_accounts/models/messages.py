"""What an import tells: one notification, and events for other systems."""

from dataclasses import dataclass
from enum import StrEnum

from email_accounts.models.upload import Upload


@dataclass(frozen=True, slots=True)
class Message:
    """The one notification: a line, a mail for a person, JSON for machines, attributes."""

    subject: str
    mail: str
    document: str
    attributes: dict[str, str | int]


class EventType(StrEnum):
    """What events tell, as rules match it."""

    ESTIMATED = "Email Accounts Import Estimated"
    COMPLETED = "Email Accounts Import Completed"


@dataclass(frozen=True, slots=True)
class Event:
    """An event; its detail is JSON."""

    type: EventType
    detail: str


def file_document(upload: Upload) -> dict[str, object]:
    """Return an uploaded object as messages and events name it."""
    return {
        "name": upload.name,
        "bucket": upload.bucket,
        "key": upload.key,
        "version": upload.version,
        "bytes": upload.size,
    }
