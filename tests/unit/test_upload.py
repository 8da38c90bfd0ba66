"""Uploads, and the events that tell of them."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from email_accounts.models.upload import Upload, import_id, upload_of

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
FROM_THE_STATE_MACHINE = [
    "check_sign_in",
    "check_status",
    "submit_accounts_resume",
    "deliver_report",
]


def event(name: str) -> dict[str, Any]:
    """Read a sample event."""
    read: dict[str, Any] = json.loads((EVENTS / f"{name}.json").read_text("utf-8"))
    return read


def uploads(name: str) -> list[Upload | None]:
    """Read the uploads of a delivery of the queue."""
    return [upload_of(json.loads(record["body"])) for record in event(name)["Records"]]


def upload_in(name: str) -> Upload:
    """Read the one upload of a delivery of the queue."""
    (upload,) = uploads(name)
    assert upload is not None
    return upload


def test_every_sample_event_is_tested() -> None:
    """No event is in the folder that nothing holds to its shape."""
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


def test_a_key_is_taken_as_it_stands() -> None:
    """Plus signs, percent signs, blanks and accents are the key's own."""
    upload = upload_in("key_with_blanks_and_accents")
    assert upload.key == "uploads/default/märz 2026/a+b %41 é.csv"
    assert upload.name == "a+b %41 é.csv"


def put(key: str, **changed: object) -> Upload | None:
    """Read the upload that S3 is about under another key, other parts of its event changed."""
    body = json.loads(event("put_object")["Records"][0]["body"]) | changed
    body["detail"]["object"]["key"] = key
    return upload_of(body)


def ready(*, time: object = "2026-11-22T09:30:00Z", **detail: object) -> Upload | None:
    """Read the upload that another system says is ready, some of its event changed."""
    body = json.loads(event(FROM_ANOTHER_SYSTEM)["Records"][0]["body"])
    body["detail"] |= detail
    return upload_of(body | {"time": time})


@pytest.mark.parametrize(
    ("sample", "attribute", "value"),
    [
        ("multipart", "size", 52_428_800),  # large files arrive in parts
        ("zero_bytes", "size", 0),  # anyone who dropped it hears that it is empty
        ("without_version", "version", ""),  # the domain asks the bucket then
        ("outside_uploads", "key", "archive/accounts.csv"),  # it is answered with where to drop it
    ],
)
def test_every_file_is_an_upload(sample: str, attribute: str, value: object) -> None:
    """However it came, whatever its size, and wherever it was dropped."""
    assert getattr(upload_in(sample), attribute) == value


def test_a_folder_is_no_upload_but_where_somebody_made_it_a_file() -> None:
    """The console's is empty; who announces one, or puts a file in its place, hears of it."""
    assert uploads("console_folder") == [None]
    assert ready(key="uploads/2026/") is not None
    body = json.loads(event("put_object")["Records"][0]["body"])
    body["detail"]["object"] |= {"key": "uploads/accounts.csv/", "size": 5}
    upload = upload_of(body)
    assert upload is not None
    assert upload.name == "accounts.csv"


@pytest.mark.parametrize(
    "name",
    [".DS_Store", "Thumbs.db", "thumbs.db", "desktop.ini", "Desktop.ini", "~$accounts.xlsx", "~$"],
)
def test_what_desktops_leave_behind_is_no_upload(name: str) -> None:
    """Nobody means to import it, in whatever folder, and no matter who announces it."""
    for folder in ("", "sales/", "2026/11/"):
        assert put(f"uploads/{folder}{name}") is None
        assert ready(key=f"uploads/{folder}{name}") is None


@pytest.mark.parametrize("name", ["my.DS_Store", "desktop.ini.csv", "~accounts.csv", "a~$b.csv"])
def test_what_only_looks_like_it_is_an_upload(name: str) -> None:
    """A name must be exactly such a one."""
    assert put(f"uploads/{name}") is not None


@pytest.mark.parametrize(
    ("key", "name", "workspace"),
    [
        ("uploads/a.csv", "a.csv", "default"),
        ("uploads/sales/a.csv", "a.csv", "sales"),
        ("uploads/sales/2026/a.csv", "a.csv", "sales"),
        ("uploads//a.csv", "a.csv", ""),
        ("uploads/sales//a.csv", "a.csv", "sales"),
        ("uploads/a.csv/", "a.csv", "a.csv"),
        ("uploads//", "uploads", ""),
        ("//", "//", "default"),
        ("elsewhere/a.csv", "a.csv", "default"),
        ("uploads/../a.csv", "a.csv", ".."),
    ],
)
def test_every_key_has_a_name_and_a_workspace(key: str, name: str, workspace: str) -> None:
    """The name is never empty; a workspace that cannot be is refused later on."""
    upload = Upload("inbox", key, "v1", 1)
    assert (upload.name, upload.workspace) == (name, workspace)


@pytest.mark.parametrize(
    ("time", "seconds"),
    [
        ("2026-11-22T13:40:00Z", 1_795_354_800.0),
        ("2026-11-22T14:40:00+01:00", 1_795_354_800.0),
        ("2026-11-22T13:40:00", 1_795_354_800.0),
        ("0001-01-01T00:00:00+23:59", -62_135_683_140.0),
        ("9999-12-31T23:59:59-23:59", 253_402_387_139.0),
        *((unreadable, 0.0) for unreadable in ("", "yesterday", "2026-13-01", None, 5, [0])),
    ],
)
@pytest.mark.usefixtures("in_tokyo")
def test_an_event_may_have_any_time(time: object, seconds: float) -> None:
    """Without a zone it is UTC's, wherever this runs; one that is no time says nothing."""
    for upload in (put("uploads/a.csv", time=time), ready(time=time)):
        assert upload is not None
        assert upload.uploaded_at == seconds


def test_an_event_need_not_have_a_time() -> None:
    """It says nothing then."""
    body = json.loads(event(FROM_ANOTHER_SYSTEM)["Records"][0]["body"])
    del body["time"]
    upload = upload_of(body)
    assert upload is not None
    assert upload.uploaded_at == 0.0


@pytest.mark.parametrize("version", [None, ""])
def test_another_system_names_the_same_upload(version: str | None) -> None:
    """It is the import that S3's own event starts; its size is not told, its time is.

    It need not know the version: the newest is meant then, as in a bucket without versions.
    """
    told = upload_in("put_object")
    upload = ready()
    assert upload is not None
    assert (upload.import_id, upload.key) == (told.import_id, told.key)
    assert (upload.size, upload.uploaded_at) == (0, told.uploaded_at)
    newest = ready(version=version)
    assert newest is not None
    assert newest.version == ""


@pytest.mark.parametrize("char", ["x", "é", "🙂", "\ud800"])
def test_another_system_cannot_announce_what_no_key_can_be(char: str) -> None:
    """A key, or version, that S3 cannot have is cut, so that it is answered as a missing file."""
    upload = ready(key=f"uploads/{char * 100_000}", version=char * 100_000)
    assert upload is not None
    assert len(upload.key.encode()) <= 1024
    assert len(upload.version.encode()) <= 1024
    assert len(upload.import_id) == 32


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
    upload = upload_in("put_object")
    assert event(name)["importId"] == upload.import_id
    known = {"importId", "execution", "failure", "skipSignIn"}
    assert set(event(name)) <= known


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
