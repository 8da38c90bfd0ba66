"""The inbox: what the domain relies on, held against the fake and against S3."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.stub import Stubber

from email_accounts.aws.s3 import InboxBucket
from email_accounts.errors import FileRefusedError, UploadMissingError
from email_accounts.models.upload import Upload, UploadOptions
from email_accounts.ports import Uploads
from tests.support.aws import new_bucket
from tests.support.fakes import INBOX, FakeUploads

KEY = "uploads/a+b %41 é.csv"


@dataclass(frozen=True, slots=True)
class Inbox:
    """An inbox and the hand that fills it."""

    bucket: str
    uploads: Uploads
    put: Callable[..., Upload]
    delete: Callable[[Upload], None]
    delete_version: Callable[[Upload], None]


def fake_inbox() -> Inbox:
    """Make an empty fake."""
    uploads = FakeUploads()

    def put(key: str, content: bytes, metadata: dict[str, str] | None = None) -> Upload:
        return uploads.put(key, content, metadata=metadata)

    return Inbox(INBOX, uploads, put, uploads.delete, uploads.delete_version)


def s3_inbox() -> Inbox:
    """Make an empty bucket."""
    s3, bucket = boto3.client("s3"), new_bucket()

    def put(key: str, content: bytes, metadata: dict[str, str] | None = None) -> Upload:
        version = s3.put_object(Bucket=bucket, Key=key, Body=content, Metadata=metadata or {})[
            "VersionId"
        ]
        return Upload(bucket, key, version, len(content))

    def delete(upload: Upload) -> None:
        s3.delete_object(Bucket=bucket, Key=upload.key)

    def delete_version(upload: Upload) -> None:
        s3.delete_object(Bucket=bucket, Key=upload.key, VersionId=upload.version)

    return Inbox(bucket, InboxBucket(s3), put, delete, delete_version)


@pytest.fixture(params=["fake", "s3"])
def inbox(request: pytest.FixtureRequest) -> Inbox:
    """Give an empty inbox of either kind."""
    return fake_inbox() if request.param == "fake" else s3_inbox()


def test_an_upload_is_read(inbox: Inbox) -> None:
    """What was uploaded is what is read, by a key with every kind of character."""
    upload = inbox.put(KEY, b"one\r\ntwo\n")
    with inbox.uploads.open(upload) as stream:
        assert stream.read() == b"one\r\ntwo\n"


def test_what_its_uploader_says_comes_with_the_version(inbox: Inbox) -> None:
    """A newer version may say something else, or nothing; one that is gone says nothing."""
    said = UploadOptions((("provider", "google"),), (("Größe", "password"),))
    upload = inbox.put(KEY, b"old", said.metadata)
    newer = inbox.put(KEY, b"new", {"set": "=?"})
    assert inbox.uploads.options(upload) == said
    with pytest.raises(FileRefusedError, match="`set` cannot be read"):
        inbox.uploads.options(newer)
    assert inbox.uploads.options(inbox.put(KEY, b"newest")) == UploadOptions()
    inbox.delete_version(upload)
    with pytest.raises(UploadMissingError):
        inbox.uploads.options(upload)


def test_exactly_the_named_version_is_read(inbox: Inbox) -> None:
    """A newer version under the same key, or its deletion, changes nothing."""
    upload = inbox.put(KEY, b"old")
    inbox.put(KEY, b"newer")
    with inbox.uploads.open(upload) as stream:
        assert stream.read() == b"old"
    inbox.delete(upload)
    with inbox.uploads.open(upload) as stream:
        assert stream.read() == b"old"


def test_readers_do_not_disturb_each_other(inbox: Inbox) -> None:
    """Two that read one upload each begin at its beginning."""
    upload = inbox.put(KEY, b"abcdef")
    with inbox.uploads.open(upload) as first, inbox.uploads.open(upload) as second:
        assert first.read(3) == b"abc"
        assert second.read(2) == b"ab"
        assert first.read() == b"def"


def test_without_a_version_the_newest_is_read(inbox: Inbox) -> None:
    """An upload whose version nobody knows is what is there now."""
    inbox.put(KEY, b"old")
    inbox.put(KEY, b"new")
    with inbox.uploads.open(Upload(inbox.bucket, KEY, "", 3)) as stream:
        assert stream.read() == b"new"


def test_the_current_version_is_the_newest(inbox: Inbox) -> None:
    """The newest version comes with its size; an older one when the newest is deleted for good."""
    first = inbox.put(KEY, b"old")
    second = inbox.put(KEY, b"newer")
    unknown = Upload(inbox.bucket, KEY, "", 0, 7.0)
    assert inbox.uploads.found(unknown) == second
    assert inbox.uploads.found(unknown).uploaded_at == 7.0
    inbox.delete_version(second)
    assert inbox.uploads.found(unknown) == first


def test_a_named_version_comes_with_its_size(inbox: Inbox) -> None:
    """It is that of the version, also when a newer one or a deletion hides it."""
    first = inbox.put(KEY, b"old")
    inbox.delete(inbox.put(KEY, b"newer"))
    found = inbox.uploads.found(Upload(inbox.bucket, KEY, first.version, 0))
    assert found == first


def expect_missing(inbox: Inbox, version: str) -> None:
    """See that a version of the key is neither found nor opened."""
    upload = Upload(inbox.bucket, KEY, version, 3)
    with pytest.raises(UploadMissingError):
        inbox.uploads.found(upload)
    with pytest.raises(UploadMissingError):
        inbox.uploads.open(upload)


def test_what_is_not_there_is_missing(inbox: Inbox) -> None:
    """A key that nobody used, one that was deleted, and a version that is gone or never was.

    That an older version is there does not matter.
    """
    expect_missing(inbox, "")
    expect_missing(inbox, "v7")
    inbox.put(KEY, b"old")
    gone = inbox.put(KEY, b"new")
    inbox.delete_version(gone)
    expect_missing(inbox, gone.version)
    expect_missing(inbox, "never-was")
    inbox.delete(inbox.put(KEY, b"x"))
    with pytest.raises(UploadMissingError):
        inbox.uploads.found(Upload(inbox.bucket, KEY, "", 0))


# What only S3 has


@pytest.mark.parametrize("size", [1, 9, 10, 11, 20, 95])
def test_a_large_upload_is_read_part_by_part(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """Each part is a request of its own; together they are the upload.

    No connection is held between two parts, however long the reader pauses.
    """
    monkeypatch.setattr("email_accounts.aws.s3._PART", 10)
    s3, bucket = boto3.client("s3"), new_bucket()
    asked: list[str] = []

    def note(params: dict[str, Any], **_: object) -> None:
        asked.append(params["Range"])

    s3.meta.events.register("provide-client-params.s3.GetObject", note)
    content = bytes(range(size))
    version = s3.put_object(Bucket=bucket, Key=KEY, Body=content)["VersionId"]
    with InboxBucket(s3).open(Upload(bucket, KEY, version, size)) as stream:
        assert b"".join(iter(lambda: stream.read(3), b"")) == content
    assert asked == [f"bytes={at}-{at + 9}" for at in range(0, size, 10)]


def test_a_version_deleted_while_it_is_read_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next part of a version that is gone is missing, not the end of the file."""
    monkeypatch.setattr("email_accounts.aws.s3._PART", 10)
    inbox = s3_inbox()
    upload = inbox.put(KEY, b"x" * 25)
    with inbox.uploads.open(upload) as stream:
        assert stream.read(10) == b"x" * 10
        inbox.delete_version(upload)
        with pytest.raises(UploadMissingError):
            stream.read(10)


@pytest.mark.parametrize(("code", "status"), [("400", 400), ("404", 404)])
def test_what_no_object_can_have_is_missing(code: str, status: int) -> None:
    """To a malformed version S3 answers 400, without a word in answer to a HEAD."""
    s3 = boto3.client("s3")
    with Stubber(s3) as stubber:
        stubber.add_client_error("head_object", code, http_status_code=status)
        with pytest.raises(UploadMissingError):
            InboxBucket(s3).found(Upload("inbox", KEY, "not a version", 0))


def test_a_head_that_is_forbidden_is_not_taken_for_a_missing_upload() -> None:
    """A permission that lacks is a fault of the stack, and shows as one."""
    s3 = boto3.client("s3")
    with Stubber(s3) as stubber:
        stubber.add_client_error("head_object", "403", http_status_code=403)
        with pytest.raises(ClientError, match="403"):
            InboxBucket(s3).found(Upload("inbox", KEY, "v1", 0))


def test_other_troubles_are_not_taken_for_a_missing_upload() -> None:
    """A bucket that does not exist is a fault of the stack, and shows as one."""
    uploads = InboxBucket(boto3.client("s3"))
    with pytest.raises(ClientError, match="NoSuchBucket"):
        uploads.open(Upload("no-such-bucket", KEY, "", 3))


def test_the_wish_to_send_everything_is_of_the_object() -> None:
    """Metadata says it, in the words that `drop --resend` and others write."""
    s3, bucket = boto3.client("s3"), new_bucket()
    for wish, resend in (("true", True), ("false", False), ("", False)):
        metadata = {"resend": wish} if wish else {}
        put = s3.put_object(Bucket=bucket, Key=KEY, Body=b"x", Metadata=metadata)
        upload = Upload(bucket, KEY, put["VersionId"], 1)
        assert InboxBucket(s3).options(upload).resend is resend
