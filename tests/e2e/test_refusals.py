"""Uploads that are no file of accounts, and names that are hard to carry."""

import io
import zipfile

import pytest

from tests.support.cloud import SMALL, LocalCloud, Subscriber, wait_until

pytestmark = pytest.mark.e2e

NO_ROWS = SMALL.splitlines(keepends=True)[0]
REFUSED = {"status": "refused", "workspace": "default", "failed": "0"}


def archive() -> bytes:
    """Return a zip archive that holds two good files."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as packed:
        packed.writestr("accounts.csv", SMALL)
        packed.writestr("more.csv", SMALL)
    return content.getvalue()


def assert_refused(
    cloud: LocalCloud, subscriber: Subscriber, identity: str, name: str, words: tuple[str, str]
) -> None:
    """Hold an import to its one message, with these words in the mail, and to no call at all."""
    answer = subscriber.answer(identity)
    wait_until(lambda: not cloud.waiting_events())
    assert answer.subject == f"[default] {name}: not imported, unusable file"
    assert answer.attributes == REFUSED
    assert answer.document["counts"]["rows"] == 0
    assert answer.mail.startswith(
        f"Nothing was imported: the file cannot be used.\n\nFile: {name}\n"
    )
    assert [word for word in words if word not in answer.mail] == []
    assert cloud.control("GET", "calls").json() == []


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (
            "picture.csv",
            NO_ROWS + b"\xff\xfe\x80\x81",
            ("It is text in an encoding that cannot be recognized.", "Save it as 'CSV UTF-8'"),
        ),
        (
            "packed.csv",
            archive(),
            ("It is a zip archive of 2 files.", "Unpack it and upload the files inside."),
        ),
        (
            "no rows.csv",
            NO_ROWS,
            ("It has no rows.", "Put one account per row below the header row."),
        ),
        ("empty.csv", b"", ("It is empty.", "The first line must be the header row.")),
        (
            "unknown columns.csv",
            b"Name,Box\nRobin,a@accounts.example\n",
            (
                "No email address column found",
                "Rename the address column to email (or email_address, e_mail, from_email,",
            ),
        ),
    ],
)
def test_content_is_refused(
    cloud: LocalCloud, subscriber: Subscriber, name: str, content: bytes, words: tuple[str, str]
) -> None:
    """A file that holds no accounts is answered with what is wrong and how to fix it."""
    cloud.behave()
    identity = cloud.upload(f"uploads/{name}", content)
    assert_refused(cloud, subscriber, identity, name, words)


def test_size_is_refused(cloud: LocalCloud, subscriber: Subscriber) -> None:
    """A file over the limit is answered without being read."""
    cloud.behave()
    identity = cloud.announce("uploads/large.csv", "version-of-no-object", 900_000_000)
    words = ("It has 900.0 MB, the limit is 500 MB.", "Split it, or raise MaxFileMegabytes.")
    assert_refused(cloud, subscriber, identity, "large.csv", words)


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("elsewhere/accounts.csv", "It is not in the folder uploads/."),
        ("accounts.csv", "It is not in the folder uploads/."),
        # The emulator keeps no object of such a key.
        ("uploads/accounts.csv/", "Its key ends with a slash"),
    ],
)
def test_place_is_refused(cloud: LocalCloud, subscriber: Subscriber, key: str, said: str) -> None:
    """A file in the wrong place is answered with where it should lie."""
    cloud.behave()
    identity = cloud.announce(key, "version-of-no-object", len(SMALL))
    answer = subscriber.answer(identity)
    assert answer.subject.endswith("] accounts.csv: not imported, wrong folder")
    assert said in answer.mail
    assert "Upload it again as uploads/accounts.csv." in answer.mail


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"StorageClass": "GLACIER"}, "in an archive"),
        ({"StorageClass": "DEEP_ARCHIVE"}, "in an archive"),
        ({"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}, "its uploader's own key"),
    ],
)
def test_an_object_that_cannot_be_read_is_refused(
    cloud: LocalCloud, subscriber: Subscriber, how: dict[str, str], said: str
) -> None:
    """AWS refuses such an upload itself, unless it was stored before the policy was."""
    cloud.behave()
    s3, key = cloud.client("s3"), "uploads/unreadable.csv"
    inbox = cloud.environment["INBOX_BUCKET"]
    version = s3.put_object(Bucket=inbox, Key=key, Body=SMALL, **how)["VersionId"]
    # The emulator's own event names no version, and S3 finds it for those who have the key alone.
    identity = cloud.announce(key, version, len(SMALL))
    words = (said, "Upload it again without choosing")
    assert_refused(cloud, subscriber, identity, "unreadable.csv", words)
    s3.delete_object(Bucket=inbox, Key=key, VersionId=version)


@pytest.mark.parametrize("time", ["yesterday", "9999-12-31T23:59:59Z", "0001-01-01T00:00:00Z", ""])
def test_an_event_of_any_time_is_answered(
    cloud: LocalCloud, subscriber: Subscriber, time: str
) -> None:
    """The clock of another system may be wrong, and what it writes may be no time."""
    cloud.behave()
    identity = cloud.announce("uploads/timed.csv", f"version-of-{time}", len(SMALL), time=time)
    words = ("It was deleted or replaced before it could be read.", "Upload the file again")
    assert_refused(cloud, subscriber, identity, "timed.csv", words)


def test_a_workspace_without_a_name_is_refused(cloud: LocalCloud, subscriber: Subscriber) -> None:
    """Its message has no attribute for it: SNS takes no empty one."""
    cloud.behave()
    identity = cloud.announce("uploads//accounts.csv", "version-of-no-object", len(SMALL))
    answer = subscriber.answer(identity)
    assert "its folder has no name" in answer.mail
    assert answer.attributes == {"status": "refused", "failed": "0"}


def test_deleted_upload(cloud: LocalCloud, subscriber: Subscriber) -> None:
    """A file whose version is gone before it was read is answered so."""
    cloud.behave()
    identity = cloud.announce("uploads/deleted.csv", "version-of-no-object", len(SMALL))
    words = ("It was deleted or replaced before it could be read.", "Upload the file again")
    assert_refused(cloud, subscriber, identity, "deleted.csv", words)


def test_what_is_no_file(cloud: LocalCloud, subscriber: Subscriber) -> None:
    """A folder, and what desktops leave behind, start nothing."""
    cloud.behave()
    inbox = cloud.environment["INBOX_BUCKET"]
    identities = set()
    for name in ("folder/", ".DS_Store", "sales/Thumbs.db", "~$accounts.xlsx"):
        key = f"uploads/{name}"
        stored = cloud.client("s3").put_object(Bucket=inbox, Key=key)
        identities.add(cloud.announce(key, stored["VersionId"], 0))
    subscriber.answer(cloud.upload("uploads/after.csv", NO_ROWS))
    wait_until(lambda: not cloud.waiting_events())

    executions = cloud.client("stepfunctions").list_executions(
        stateMachineArn=cloud.environment["TRACK_IMPORT_STATE_MACHINE_ARN"]
    )["executions"]
    items = cloud.client("dynamodb").scan(TableName=cloud.environment["LEDGER_TABLE"])["Items"]
    assert len(executions) > 0
    assert not identities & {execution["name"] for execution in executions}
    assert not identities & {item["pk"]["S"].removeprefix("IMPORT#") for item in items}
    assert len(subscriber.envelopes) == 1


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("a+b 100% %41%2B .csv", "a+b 100% %41%2B .csv"),
        ("Größe 表 🙂.csv", "Gro?e ? ?.csv"),
        (f"{'n' * 120}.csv", f"{'n' * 55}..."),
    ],
)
def test_name(cloud: LocalCloud, subscriber: Subscriber, name: str, shown: str) -> None:
    """A key with plus, percent, blanks or letters of any script is read and named as it is."""
    cloud.behave()
    key = f"uploads/{name}"
    answer = subscriber.answer(cloud.upload(key, SMALL))
    assert answer.subject == f"[default] {shown}, 3 rows: 2 connected, 1 failed"
    assert answer.attributes == {"status": "partial", "workspace": "default", "failed": "1"}
    assert answer.document["file"]["key"] == key
    assert answer.document["file"]["name"] == name
    assert f"\nFile: {name}\n" in answer.mail
