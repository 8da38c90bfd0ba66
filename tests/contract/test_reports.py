"""The reports bucket: what the domain relies on, held against the fake and against S3."""

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.model import OperationModel

from email_accounts.aws.s3 import LINKS, ReportsBucket
from email_accounts.errors import ReportMissingError
from email_accounts.ports import Reports
from tests.support.aws import new_bucket, refuse
from tests.support.fakes import FakeReports, Journal

ID = "0123456789abcdef0123456789abcdef"
NAME = "remote/batch-000001.csv"


@dataclass(frozen=True, slots=True)
class Shelf:
    """Reports, and what a visitor of the bucket sees: names and content types."""

    reports: Reports
    content_types: Callable[[], dict[str, str]]


def fake_shelf() -> Shelf:
    """Make an empty fake."""
    reports = FakeReports(Journal())
    return Shelf(reports, lambda: {name: kind for (_, name), kind in reports.content_types.items()})


def s3_shelf() -> Shelf:
    """Make an empty bucket."""
    s3, bucket = boto3.client("s3"), new_bucket()

    def content_types() -> dict[str, str]:
        keys = [item["Key"] for item in s3.list_objects_v2(Bucket=bucket).get("Contents", [])]
        heads = {key: s3.head_object(Bucket=bucket, Key=key) for key in keys}
        return {key.removeprefix(f"imports/{ID}/"): heads[key]["ContentType"] for key in keys}

    return Shelf(ReportsBucket(s3, bucket), content_types)


@pytest.fixture(params=["fake", "s3"])
def shelf(request: pytest.FixtureRequest) -> Shelf:
    """Give an empty shelf of either kind."""
    return fake_shelf() if request.param == "fake" else s3_shelf()


@pytest.mark.parametrize("text", ["row,address\r\n2,zoë@reach.example\n3,名@reach.example\r\n", ""])
def test_a_report_reads_as_it_was_written(shelf: Shelf, text: str) -> None:
    """Every character and every line end comes back; a report of nothing is there, too."""
    with shelf.reports.writer(ID, NAME, "text/csv") as report:
        for line in text.splitlines(keepends=True):
            report.write(line)
    with shelf.reports.open(ID, NAME) as report:
        assert report.read() == text
    assert list(shelf.content_types()) == [NAME]


def test_of_two_that_create_a_report_one_does(shelf: Shelf) -> None:
    """The first text stays, no matter who comes later."""
    with pytest.raises(ReportMissingError), shelf.reports.open(ID, NAME):
        pass
    assert shelf.reports.create(ID, NAME, "application/json", '{"zoë": 1}')
    assert not shelf.reports.create(ID, NAME, "application/json", "{}")
    with shelf.reports.open(ID, NAME) as report:
        assert report.read() == '{"zoë": 1}'
    assert shelf.content_types() == {NAME: "application/json; charset=utf-8"}


def test_a_report_names_its_type(shelf: Shelf) -> None:
    """A browser is told what a report is and how it is encoded."""
    for name, kind in ((NAME, "text/csv"), ("summary.json", "application/json")):
        with shelf.reports.writer(ID, name, kind) as report:
            report.write("x")
    assert shelf.content_types() == {
        NAME: "text/csv; charset=utf-8",
        "summary.json": "application/json; charset=utf-8",
    }


def break_off(reports: Reports, text: str = "half of it") -> None:
    """Begin a report and fail in the midst of it."""
    with reports.writer(ID, NAME, "text/csv") as report:
        report.write(text)
        raise ZeroDivisionError


def test_a_report_that_fails_does_not_appear(shelf: Shelf) -> None:
    """Where writing is interrupted, nothing is in the bucket, or what was there before."""
    with pytest.raises(ZeroDivisionError):
        break_off(shelf.reports)
    assert shelf.content_types() == {}
    with shelf.reports.writer(ID, NAME, "text/csv") as report:
        report.write("whole")
    with pytest.raises(ZeroDivisionError):
        break_off(shelf.reports)
    with shelf.reports.open(ID, NAME) as report:
        assert report.read() == "whole"


def test_a_report_is_written_again_in_its_place(shelf: Shelf) -> None:
    """The second writing replaces the first."""
    for text in ("first and longer", "second"):
        with shelf.reports.writer(ID, NAME, "text/csv") as report:
            report.write(text)
    with shelf.reports.open(ID, NAME) as report:
        assert report.read() == "second"


def test_a_deleted_report_is_gone(shelf: Shelf) -> None:
    """Deleting one that is not there is no error, and the others stay."""
    for name in (NAME, "summary.json"):
        with shelf.reports.writer(ID, name, "text/csv") as report:
            report.write("x")
    for _ in range(2):
        shelf.reports.delete(ID, NAME)
        with pytest.raises(ReportMissingError), shelf.reports.open(ID, NAME):
            pass
    assert list(shelf.content_types()) == ["summary.json"]


# What only S3 has


@dataclass(slots=True)
class Bucket:
    """A bucket, and the calls that write to it."""

    name: str
    reports: ReportsBucket
    calls: list[str]

    def unfinished(self) -> list[str]:
        """Name what has been begun and neither finished nor aborted."""
        begun = boto3.client("s3").list_multipart_uploads(Bucket=self.name)
        return [one["Key"] for one in begun.get("Uploads", [])]


@pytest.fixture
def bucket(monkeypatch: pytest.MonkeyPatch) -> Bucket:
    """Give a bucket to which more than five million bytes go in parts."""
    monkeypatch.setattr("email_accounts.aws.s3._WRITTEN_PART", PART)
    s3, name, calls = boto3.client("s3"), new_bucket(), list[str]()

    def note(model: OperationModel, **_: object) -> None:
        calls.append(model.name)

    s3.meta.events.register("before-call.s3", note)
    return Bucket(name, ReportsBucket(s3, name), calls)


PART = 5 << 20
LINE = "3,名@reach.example\r\n" * 50


@pytest.mark.parametrize("size", [0, PART - 1, PART, 3 * PART + 7])
def test_a_large_report_goes_up_in_parts(bucket: Bucket, size: int) -> None:
    """While it is written; a small one as one request."""
    text = (LINE * (size // len(LINE.encode()) + 1)).encode()[:size].decode(errors="replace")
    with bucket.reports.writer(ID, NAME, "text/csv") as report:
        for at in range(0, len(text), 1000):
            report.write(text[at : at + 1000])
        assert bucket.calls.count("UploadPart") >= size // PART - 1
    assert bucket.calls.count("UploadPart") == size // PART
    assert bucket.calls.count("PutObject") == (size < PART)
    with bucket.reports.open(ID, NAME) as report:
        assert report.read() == text


def test_a_large_report_that_fails_leaves_nothing(bucket: Bucket) -> None:
    """Its parts are taken back, and the report before it stays."""
    with bucket.reports.writer(ID, NAME, "text/csv") as report:
        report.write("whole")
    with pytest.raises(ZeroDivisionError):
        break_off(bucket.reports, "x" * (PART + 1))
    assert bucket.unfinished() == []
    with bucket.reports.open(ID, NAME) as report:
        assert report.read() == "whole"


@pytest.mark.parametrize("refused", ["UploadPart", "CompleteMultipartUpload"])
def test_a_large_report_that_s3_refuses_leaves_nothing(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch, refused: str
) -> None:
    """Its error reaches the caller, and its parts are taken back."""
    refuse(monkeypatch, refused)
    with (
        pytest.raises(ClientError, match=refused),
        bucket.reports.writer(ID, NAME, "text/csv") as report,
    ):
        report.write("x" * (2 * PART))
    assert bucket.unfinished() == []


def test_parts_that_cannot_be_taken_back_hide_no_error(
    bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bucket's own rule deletes them in a day."""
    refuse(monkeypatch, "AbortMultipartUpload")
    with pytest.raises(ZeroDivisionError):
        break_off(bucket.reports, "x" * PART)
    assert bucket.unfinished() == [f"imports/{ID}/{NAME}"]


def test_reports_of_another_folder_lie_beside_the_others() -> None:
    """What is in one folder is not seen in the other, under the same names.

    The address of a report names the very bucket and key that it is under.
    """
    s3, bucket = boto3.client("s3"), new_bucket()
    shelves = [ReportsBucket(s3, bucket), ReportsBucket(s3, bucket, "accounts")]
    for at, reports in enumerate(shelves):
        with reports.writer(ID, NAME, "text/csv") as report:
            report.write(str(at))
    for at, reports in enumerate(shelves):
        with reports.open(ID, NAME) as report:
            assert report.read() == str(at)
    keys = [item["Key"] for item in s3.list_objects_v2(Bucket=bucket)["Contents"]]
    assert keys == [f"accounts/{ID}/{NAME}", f"imports/{ID}/{NAME}"]
    assert shelves[0].address(ID, NAME) == f"s3://{bucket}/imports/{ID}/{NAME}"


@pytest.mark.parametrize(
    ("region", "host"),
    [
        ("eu-central-1", "eu-central-1.console.aws.amazon.com"),
        ("us-gov-west-1", "us-gov-west-1.console.amazonaws-us-gov.com"),
    ],
)
def test_the_console_shows_a_report(region: str, host: str) -> None:
    """In the console of the bucket's region and partition, by the report's key."""
    reports = ReportsBucket(boto3.client("s3", region_name=region), "shelf")
    assert reports.console(ID, "remote/a b.csv") == (
        f"https://{host}/s3/object/shelf?region={region}&bucketType=general"
        f"&prefix=imports%2F{ID}%2Fremote%2Fa%20b.csv"
    )


@pytest.mark.parametrize(
    "region", ["us-east-1", "us-west-2", "eu-west-1", "eu-central-1", "ap-southeast-1", "sa-east-1"]
)
def test_a_link_is_signed_for_its_region(region: str) -> None:
    """By Signature Version 4, without which S3 refuses what a KMS key encrypts."""
    s3 = boto3.client("s3", region_name=region, config=LINKS)
    link = urlsplit(ReportsBucket(s3, "shelf").link(ID, "report.html", 3600))
    assert link.hostname == f"shelf.s3.{region}.amazonaws.com"
    signed = parse_qs(link.query)
    assert signed["X-Amz-Algorithm"] == ["AWS4-HMAC-SHA256"]
    assert signed["X-Amz-Expires"] == ["3600"]
