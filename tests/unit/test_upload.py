"""Uploads, and the events that tell of them."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from email_accounts.models.upload import PREFIX, Upload, import_id, upload_of

EVENTS = Path(__file__).parents[2] / "events"
FROM_THE_QUEUE = [
    "put_object",
    "multipart",
    "key_with_blanks_and_accents",
    "console_folder",
    "zero_bytes",
    "without_version",
    "outside_uploads",
    "two_records",
]
FROM_ANOTHER_SYSTEM = "file_ready"
FROM_THE_STATE_MACHINE = ["check_status", "submit_accounts_resume", "deliver_report"]


def event(name: str) -> dict[str, Any]:
    """Read a sample event."""
    read: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text("utf-8"))
    return read


def uploads(name: str) -> list[Upload | None]:
    """Read the uploads of a delivery of the queue."""
    return [upload_of(json.loads(record["body"])) for record in event(name)["Records"]]


def test_every_sample_event_is_tested() -> None:
    """No event lies in the folder that nothing holds to its shape."""
    found = {path.stem for path in EVENTS.glob("*.json")}
    assert found == {*FROM_THE_QUEUE, FROM_ANOTHER_SYSTEM, *FROM_THE_STATE_MACHINE}


@pytest.mark.parametrize("name", [*FROM_THE_QUEUE, FROM_ANOTHER_SYSTEM])
def test_a_sample_record_is_whole(name: str) -> None:
    """The samples have what the queue and EventBridge send, checksum included."""
    for record in event(name)["Records"]:
        assert record["eventSource"] == "aws:sqs"
        assert record["md5OfBody"] == hashlib.md5(record["body"].encode()).hexdigest()  # noqa: S324  SQS's own checksum
        assert {"messageId", "receiptHandle", "attributes", "eventSourceARN"} <= record.keys()
        body = json.loads(record["body"])
        if name == FROM_ANOTHER_SYSTEM:
            assert body["detail-type"] == "Email Accounts File Ready"
            assert body["detail"].keys() == {"bucket", "key", "version"}
        else:
            assert (body["source"], body["detail-type"]) == ("aws.s3", "Object Created")
            assert body["resources"] == [f"arn:aws:s3:::{body['detail']['bucket']['name']}"]


def test_an_upload_is_read_from_its_event() -> None:
    """Bucket, key, version and size are those of the event."""
    size = (EVENTS / "accounts.csv").stat().st_size
    assert uploads("put_object") == [
        Upload(
            "email-accounts-inbox-example",
            "uploads/accounts.csv",
            "IYV3p45BT0ac8hjHg1houSdS1a.Mro8e",
            size,
        )
    ]


def test_a_multipart_upload_counts_like_any_other() -> None:
    """Large files arrive in parts; their event differs in its reason alone."""
    body = json.loads(event("multipart")["Records"][0]["body"])
    assert body["detail"]["reason"] == "CompleteMultipartUpload"
    (upload,) = uploads("multipart")
    assert upload is not None
    assert upload.size == 52_428_800


def test_a_key_is_taken_as_it_stands() -> None:
    """Plus signs, percent signs, blanks and accents are the key's own."""
    (upload,) = uploads("key_with_blanks_and_accents")
    assert upload is not None
    assert upload.key == "uploads/default/märz 2026/a+b %41 é.csv"
    assert upload.name == "a+b %41 é.csv"


@pytest.mark.parametrize("name", ["console_folder", "zero_bytes"])
def test_what_is_no_file_is_no_upload(name: str) -> None:
    """Folders made in the console and empty objects start nothing."""
    assert uploads(name) == [None]


def test_a_folder_is_no_upload_whatever_its_size() -> None:
    """A key that ends in a slash is no file."""
    body = json.loads(event("console_folder")["Records"][0]["body"])
    body["detail"]["object"]["size"] = 5
    assert upload_of(body) is None


def test_a_missing_version_is_empty() -> None:
    """The event of a bucket without versions has none; the domain asks the bucket then."""
    (upload,) = uploads("without_version")
    assert upload is not None
    assert upload.version == ""


def ready(**detail: object) -> Upload | None:
    """Read the upload that another system says is ready, some of its detail changed."""
    body = json.loads(event(FROM_ANOTHER_SYSTEM)["Records"][0]["body"])
    body["detail"] |= detail
    return upload_of(body)


def test_another_system_names_the_same_upload() -> None:
    """It is the import that S3's own event starts; its size is not told, its time is."""
    (told,) = uploads("put_object")
    upload = ready()
    assert told is not None
    assert upload is not None
    assert (upload.import_id, upload.key) == (told.import_id, told.key)
    assert (upload.size, upload.uploaded_at) == (0, told.uploaded_at)


@pytest.mark.parametrize("version", ["", None])
def test_another_system_need_not_know_the_version(version: str | None) -> None:
    """The newest is meant then, as in a bucket without versions."""
    upload = ready(version=version)
    assert upload is not None
    assert upload.version == ""


def test_another_system_cannot_have_a_folder_imported() -> None:
    """A key that ends in a slash is no file."""
    assert ready(key="uploads/2026/") is None


def test_an_upload_outside_the_prefix_is_still_read() -> None:
    """It gets its answer, which says that it was dropped in the wrong place."""
    (upload,) = uploads("outside_uploads")
    assert upload is not None
    assert not upload.key.startswith(PREFIX)


def test_one_delivery_may_tell_of_several_uploads() -> None:
    """Every record counts, not only the first."""
    first, second = uploads("two_records")
    assert first is not None
    assert second is not None
    assert (first.name, second.name) == ("first.csv", "second.json")
    assert first.import_id != second.import_id


@pytest.mark.parametrize("name", FROM_THE_STATE_MACHINE)
def test_the_events_of_the_state_machine_name_the_sample_upload(name: str) -> None:
    """The samples belong together: they tell of the import that put_object.json starts."""
    (upload,) = uploads("put_object")
    assert upload is not None
    assert event(name)["importId"] == upload.import_id
    assert set(event(name)) <= {"importId", "failure", "startedAt"}


def test_an_import_id_names_exactly_one_object_version() -> None:
    """Bucket, key and version each change it, and it is always the same."""
    upload = Upload("inbox", "uploads/a.csv", "v1", 7)
    assert upload.import_id == import_id("inbox", "uploads/a.csv", "v1")
    assert upload.import_id == Upload("inbox", "uploads/a.csv", "v1", 8).import_id
    others = [
        import_id("inbox2", "uploads/a.csv", "v1"),
        import_id("inbox", "uploads/b.csv", "v1"),
        import_id("inbox", "uploads/a.csv", "v2"),
    ]
    assert len({upload.import_id, *others}) == 4


def test_an_import_id_is_fit_for_an_execution_name() -> None:
    """Thirty-two hex digits, whatever the key."""
    name = import_id("inbox", "uploads/default/märz 2026/a+b %41 é.csv", "")
    assert len(name) == 32
    assert set(name) <= set("0123456789abcdef")
