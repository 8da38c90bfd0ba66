"""What other systems learn of an import: events, and the one notification."""

from dataclasses import dataclass

from email_accounts.models.upload import Upload

IMPORT_ESTIMATED = "Email Accounts Import Estimated"
IMPORT_COMPLETED = "Email Accounts Import Completed"
SIGN_INS_CHECKED = "Email Accounts Sign-Ins Checked"


@dataclass(frozen=True, slots=True)
class Event:
    """What happened, and the JSON about it."""

    kind: str
    document: str


@dataclass(frozen=True, slots=True)
class Message:
    """The one notification: a line, a mail for a person, JSON for machines, attributes."""

    subject: str
    mail: str
    document: str
    attributes: dict[str, str | int]

    @property
    def event(self) -> Event:
        """The same for the event bus."""
        return Event(IMPORT_COMPLETED, self.document)


def file_document(upload: Upload) -> dict[str, str | int]:
    """Return an upload as messages name it."""
    return {
        "name": upload.name,
        "bucket": upload.bucket,
        "key": upload.key,
        "version": upload.version,
        "bytes": upload.size,
    }
