"""The inbox and the reports bucket."""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any, BinaryIO, TextIO, cast
from urllib.parse import quote

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from email_accounts.errors import (
    FileRefusedError,
    ImporterError,
    ReportMissingError,
    UploadMissingError,
)
from email_accounts.models.upload import Upload, UploadOptions, upload_options

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_s3.type_defs import HeadObjectOutputTypeDef

_log = logging.getLogger(__name__)

_PART = 4 << 20
_WRITTEN_PART = 8 << 20
"""Bytes that a report is sent in at once. S3 takes 10,000 such parts, of 5 MB at least."""
_BUFFER = 1 << 16
_MISSING = frozenset({"404", "NoSuchKey", "NoSuchVersion", "MethodNotAllowed", "405"})
_IMPOSSIBLE = frozenset({"400", "InvalidArgument", "KeyTooLongError"})
"""What S3 answers to a version, or a key, that no object can have."""
_AGAIN = "Upload it again without choosing an encryption or a storage class."

_CONSOLES = {"aws-us-gov": "console.amazonaws-us-gov.com"}
_CONSOLE = "console.aws.amazon.com"

LINKS = Config(
    signature_version="s3v4",
    s3={"addressing_style": "virtual", "us_east_1_regional_endpoint": "regional"},
)
"""What a client needs to sign links: S3 opens what a KMS key encrypts by Signature Version 4 alone.

By default boto3 signs links of most regions with version 2 and sends them to a global address.
Source: https://docs.aws.amazon.com/AmazonS3/latest/userguide/UsingKMSEncryption.html
"""


class InboxBucket:
    """Reads uploads; one version of one object reads the same each time."""

    def __init__(self, client: "S3Client", data_key: str = "") -> None:
        """Use a client, and know the inbox's KMS key by its ARN; nothing is called yet."""
        self._client = client
        self._data_key = data_key

    def found(self, upload: Upload) -> Upload:
        """Return the upload with its size, and its newest version; see `Uploads`."""
        head = self._head(upload)
        version = head.get("VersionId", upload.version)
        return replace(upload, version=version, size=head["ContentLength"])

    def open(self, upload: Upload) -> BinaryIO:
        """Open exactly this version; see `Uploads`."""
        try:
            parts = _Parts(self._client, upload.bucket, upload.key, upload.version)
        except ClientError as error:
            raise self._explained(upload, error) from None
        return cast("BinaryIO", io.BufferedReader(parts, _BUFFER))

    def options(self, upload: Upload) -> UploadOptions:
        """Return what the user metadata of this version says; see `Uploads`."""
        return upload_options(self._head(upload).get("Metadata", {}))

    def _head(self, upload: Upload) -> "HeadObjectOutputTypeDef":
        try:
            return self._client.head_object(**_named(upload.bucket, upload.key, upload.version))
        except ClientError as error:
            if error.response["Error"]["Code"] in _IMPOSSIBLE:
                raise UploadMissingError("there is no such object") from None
            raise _translated(error) from None

    def _explained(self, upload: Upload, error: ClientError) -> Exception:
        """Say why an object cannot be read, where the way it was stored is the reason.

        A right that lacks, or our own key out of order, is a fault of the stack and stays one.
        Only the object's metadata distinguishes them, which needs no right to its key.
        """
        code, said = error.response["Error"]["Code"], error.response["Error"].get("Message", "")
        if code in _IMPOSSIBLE:
            return UploadMissingError("there is no such object")
        if code == "InvalidObjectState":
            return FileRefusedError("It is in an archive storage class and cannot be read.", _AGAIN)
        if code == "InvalidRequest" and "Server Side Encryption" in said:
            return FileRefusedError("It is encrypted with its uploader's own key.", _AGAIN)
        if code == "AccessDenied" or code.startswith("KMS."):
            with suppress(ClientError):
                head = self._client.head_object(**_named(upload.bucket, upload.key, upload.version))
                if self._data_key and head.get("SSEKMSKeyId", self._data_key) != self._data_key:
                    problem = "It is encrypted with a KMS key other than the inbox's."
                    return FileRefusedError(problem, _AGAIN)
        return error


class _Parts(io.RawIOBase):
    """An object read part by part; an empty version means the newest, `missing` that it is gone.

    The reader may pause between parts as long as it likes: between two requests to Saleshandy
    no connection to S3 is held open, which S3 would cut.
    """

    def __init__(
        self,
        client: "S3Client",
        bucket: str,
        key: str,
        version: str = "",
        missing: type[ImporterError] = UploadMissingError,
    ) -> None:
        self._client = client
        self._object = _named(bucket, key, version)
        self._missing = missing
        self._at = 0
        self._size = 1
        self._part = memoryview(self._fetch())

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self.tell(), io.SEEK_END: self._size}[whence]
        self._at = base + offset
        self._part = memoryview(b"")
        return self._at

    def tell(self) -> int:
        return self._at - len(self._part)

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        if not self._part and self._at < self._size:
            self._part = memoryview(b"")  # an empty view holds the whole part that it is of
            self._part = memoryview(self._fetch())
        count = min(len(buffer), len(self._part))
        buffer[:count] = self._part[:count]
        self._part = self._part[count:]
        return count

    def _fetch(self) -> bytes:
        wanted = f"bytes={self._at}-{self._at + _PART - 1}"
        try:
            answer = self._client.get_object(**self._object, Range=wanted)
        except ClientError as error:
            if (
                error.response["Error"]["Code"] == "InvalidRange"
            ):  # an empty object has no first byte
                self._size = self._at
                return b""
            raise _translated(error, self._missing) from None
        part = answer["Body"].read()
        content_range = answer.get("ContentRange", "")
        if content_range:
            self._size = int(content_range.rsplit("/", 1)[-1])
        else:  # a server may ignore the range and answer with the whole object
            self._size = len(part)
            part = part[self._at :]
        self._at += len(part)
        return part


class ReportsBucket:
    """Keeps reports under `imports/<import id>/`, or in another folder."""

    def __init__(self, client: "S3Client", bucket: str, folder: str = "imports") -> None:
        """Use a bucket; nothing is called yet."""
        self._client = client
        self._bucket = bucket
        self._folder = folder

    def address(self, import_id: str, name: str) -> str:
        """Return the s3:// address of a report."""
        return f"s3://{self._bucket}/{self._key(import_id, name)}"

    def console(self, import_id: str, name: str) -> str:
        """Return where the AWS console shows a report."""
        region = self._client.meta.region_name
        host = _CONSOLES.get(self._client.meta.partition, _CONSOLE)
        key = quote(self._key(import_id, name), safe="")
        return (
            f"https://{region}.{host}/s3/object/{self._bucket}"
            f"?region={region}&bucketType=general&prefix={key}"
        )

    def link(self, import_id: str, name: str, seconds: float) -> str:
        """Return a link that opens a report without signing in, for so long at most."""
        return self._client.generate_presigned_url(
            "get_object",
            Params={"Bucket": self._bucket, "Key": self._key(import_id, name)},
            ExpiresIn=int(seconds),
        )

    @contextmanager
    def writer(self, import_id: str, name: str, content_type: str) -> Iterator[TextIO]:
        """Open a report for writing.

        It goes up part by part while it is written, and appears once it is whole.
        """
        upload = _Upload(
            self._client, self._bucket, self._key(import_id, name), f"{content_type}; charset=utf-8"
        )
        text = io.TextIOWrapper(cast("BinaryIO", upload), encoding="utf-8", newline="")
        try:
            yield text
            text.flush()
            upload.complete()
        except BaseException:
            upload.abort()
            raise
        finally:
            text.detach()

    def create(self, import_id: str, name: str, content_type: str, text: str) -> bool:
        """Write a report unless there is one of this name; return whether this call wrote it."""
        try:
            self._client.put_object(
                Bucket=self._bucket,
                Key=self._key(import_id, name),
                Body=text.encode(),
                ContentType=f"{content_type}; charset=utf-8",
                IfNoneMatch="*",
            )
        except ClientError as error:
            if error.response["Error"]["Code"] == "PreconditionFailed":
                return False
            raise
        return True

    @contextmanager
    def open(self, import_id: str, name: str) -> Iterator[TextIO]:
        """Open a report for reading; ReportMissingError where there is none."""
        key = self._key(import_id, name)
        parts = _Parts(self._client, self._bucket, key, missing=ReportMissingError)
        with io.TextIOWrapper(io.BufferedReader(parts), encoding="utf-8", newline="") as text:
            yield text

    def delete(self, import_id: str, name: str) -> None:
        """Delete a report; a no-op where there is none."""
        self._client.delete_object(Bucket=self._bucket, Key=self._key(import_id, name))

    def _key(self, import_id: str, name: str) -> str:
        return f"{self._folder}/{import_id}/{name}"


class _Upload(io.RawIOBase):
    """An object that is sent while it is written: as one request where it is small."""

    def __init__(self, client: "S3Client", bucket: str, key: str, content_type: str) -> None:
        self._client = client
        self._object: Any = {"Bucket": bucket, "Key": key}
        self._content_type = content_type
        self._waiting = bytearray()
        self._upload: Any = {}
        self._parts: list[Any] = []
        self._aborted = False

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # type: ignore[override]
        if not self._aborted:  # later flushes write nothing
            self._waiting += data
            if len(self._waiting) >= _WRITTEN_PART:
                self._send_part()
        return len(data)

    def complete(self) -> None:
        """Make the object appear."""
        if not self._upload:
            self._client.put_object(
                **self._object, Body=bytes(self._waiting), ContentType=self._content_type
            )
            return
        if self._waiting:
            self._send_part()
        self._client.complete_multipart_upload(
            **self._upload, MultipartUpload={"Parts": self._parts}
        )

    def abort(self) -> None:
        """Take back what was sent; a part that stays behind expires by the bucket's own rule."""
        self._aborted = True
        if self._upload:
            try:
                self._client.abort_multipart_upload(**self._upload)
            except (BotoCoreError, ClientError):
                _log.exception("a report that failed could not be taken back")

    def _send_part(self) -> None:
        if not self._upload:
            begun = self._client.create_multipart_upload(
                **self._object, ContentType=self._content_type, ChecksumAlgorithm="CRC32"
            )
            self._upload = self._object | {"UploadId": begun["UploadId"]}
        number = len(self._parts) + 1
        sent: Any = self._client.upload_part(
            **self._upload,
            PartNumber=number,
            Body=bytes(self._waiting),
            ChecksumAlgorithm="CRC32",
        )
        checked = {name: sent[name] for name in ("ETag", "ChecksumCRC32") if name in sent}
        self._parts.append({"PartNumber": number, **checked})
        self._waiting.clear()


def _named(bucket: str, key: str, version: str) -> Any:  # noqa: ANN401  arguments of several calls
    """Name an object to S3; an empty version means the newest."""
    return {"Bucket": bucket, "Key": key} | ({"VersionId": version} if version else {})


def _translated(error: ClientError, missing: type[ImporterError] = UploadMissingError) -> Exception:
    is_missing = error.response["Error"]["Code"] in _MISSING
    return missing("the object is gone") if is_missing else error
