"""The uploaded object, and the events about it."""

import hashlib
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, urlencode

from email_accounts.errors import FileRefusedError
from email_accounts.text.display import within

PREFIX = "uploads/"
FILE_READY = "Email Accounts File Ready"
DEFAULT_WORKSPACE = "default"
WORKSPACE_NAME = re.compile("[a-z0-9][a-z0-9_-]{0,62}")
ALLOWED_NAME = "lower-case letters, digits, - and _, at most 63, the first one a letter or a digit"
"""What a workspace may be called, for a program and for people."""
_LONGEST_KEY = 1024
"""Bytes of a key, or a version, that S3 can have."""
_LEFT_BY_DESKTOPS = re.compile(
    r"\.DS_Store|Thumbs\.db|desktop\.ini|~\$.*", re.IGNORECASE | re.DOTALL
)

Pairs = tuple[tuple[str, str], ...]
_SET, _MAP, _RESEND = "set", "map", "resend"
_LONGEST_OPTION = 2048
"""Bytes of user metadata that S3 keeps with an object."""


@dataclass(frozen=True, slots=True)
class UploadOptions:
    """What an uploader says about a file as a whole, as the user metadata of the object.

    `values` are fields and their values for blank cells. `columns` are names of columns and the
    fields they hold, "" for a column to be ignored. `resend` also sends accounts that are
    connected already. Nothing here is checked against a file.
    """

    values: Pairs = ()
    columns: Pairs = ()
    resend: bool = False

    @property
    def metadata(self) -> dict[str, str]:
        """The user metadata that `upload_options` reads."""
        given = {_SET: urlencode(self.values), _MAP: urlencode(self.columns)}
        given[_RESEND] = "true" if self.resend else ""
        return {name: text for name, text in given.items() if text}


NO_OPTIONS = UploadOptions()


@dataclass(frozen=True, slots=True)
class Upload:
    """One version of one object in the inbox.

    `size` is in bytes, `uploaded_at` in seconds since the epoch; 0 where the event does not say.
    """

    bucket: str
    key: str
    version: str
    size: int
    uploaded_at: float = field(default=0.0, compare=False)

    @property
    def name(self) -> str:
        """The file's name as its owner knows it."""
        return self.key.rstrip("/").rpartition("/")[2] or self.key

    @property
    def workspace(self) -> str:
        """The workspace whose API key it is sent with: its folder under `uploads/`."""
        folder, slash, _ = self.key.removeprefix(PREFIX).partition("/")
        return folder if slash and self.key.startswith(PREFIX) else DEFAULT_WORKSPACE

    @property
    def import_id(self) -> str:
        """The id of the one import that this upload is."""
        return import_id(self.bucket, self.key, self.version)


def upload_options(metadata: Mapping[str, str]) -> UploadOptions:
    """Read the user metadata of an object; other programs may have put in more.

    `set` and `map` are pairs as in the query of a URL: `provider=google&smtpPort=465`.

    Raises:
        FileRefusedError: one of them is no such text, or too long.
    """
    return UploadOptions(
        values=_pairs(metadata, _SET, "provider=google&smtpPort=465"),
        columns=_pairs(metadata, _MAP, "Mot%20de%20passe=password"),
        resend=metadata.get(_RESEND) == "true",
    )


def _pairs(metadata: Mapping[str, str], name: str, example: str) -> Pairs:
    text = metadata.get(name, "")[: _LONGEST_OPTION + 1]
    if not text:
        return ()
    with suppress(ValueError):
        pairs = parse_qsl(text, keep_blank_values=True, strict_parsing=True, errors="strict")
        if len(text) <= _LONGEST_OPTION and all(key for key, _ in pairs):
            return tuple(pairs)
    raise FileRefusedError(
        f"Its metadata `{name}` cannot be read, or has more than {_LONGEST_OPTION:,} characters.",
        f"Write it as in the query of a URL: {example}",
    )


def import_id(bucket: str, key: str, version: str) -> str:
    """Name the import of an object version: 32 hex digits, also its execution's name."""
    return hashlib.sha256(f"{bucket}\n{key}\n{version}".encode()).hexdigest()[:32]


def upload_of(event: Mapping[str, Any]) -> Upload | None:
    """Read the upload from an event as EventBridge delivers it.

    It is S3's `Object Created`, or `Email Accounts File Ready` of another system, which has no
    size: 0 then. The key is read as it is: EventBridge does not URL-encode it. The version
    is empty if the event has none. None for what is never an import: the folders of the
    console, and the hidden files of desktops.
    Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/ev-events.html
    """
    detail, named_at = event["detail"], _time_of(event)
    if event.get("detail-type") == FILE_READY:
        key, version = (
            within(str(detail.get(name) or ""), _LONGEST_KEY) for name in ("key", "version")
        )
        upload = Upload(detail["bucket"], key, version, 0, named_at)
    else:
        item = detail["object"]
        size, version = int(item.get("size", 0)), item.get("version-id", "")
        upload = Upload(detail["bucket"]["name"], item["key"], version, size, named_at)
        if upload.key.endswith("/") and not size:
            return None
    return None if _LEFT_BY_DESKTOPS.fullmatch(upload.name) else upload


def _time_of(event: Mapping[str, Any]) -> float:
    """Return when an event happened, in seconds since the epoch; 0 where it is not readable."""
    try:
        named = datetime.fromisoformat(event["time"])
    except (KeyError, TypeError, ValueError):
        return 0.0
    return (named if named.tzinfo else named.replace(tzinfo=UTC)).timestamp()
