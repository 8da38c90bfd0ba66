"""All errors of the package, in one tree. No message quotes a secret."""


class ImporterError(Exception):
    """The root of all errors of this package."""


class FileRefusedError(ImporterError):
    """The upload as a whole cannot be read as accounts: the problem and the fix."""

    def __init__(self, problem: str, fix: str) -> None:
        """Take the problem and the fix, one sentence each."""
        super().__init__(f"{problem} {fix}")
        self.problem = problem
        self.fix = fix


class FolderRefusedError(FileRefusedError):
    """The upload is in a folder that belongs to no workspace."""


class UploadMissingError(ImporterError):
    """The uploaded object, or its version, is no longer in the inbox."""


class ReportMissingError(ImporterError):
    """A file of the reports bucket is not there, or no longer."""


class WrongBucketError(ImporterError):
    """An event is about an object outside the inbox."""


class LedgerConflictError(ImporterError):
    """The ledger holds another state than the change starts from."""


class ServiceUnavailableError(ImporterError):
    """A service of AWS throttles, fails or cannot be reached; retry for more than ten minutes."""


class ImportLockedError(ImporterError):
    """Another worker holds the lease; retry later."""


class ApiKeyMissingError(ImporterError):
    """The secret that should hold the API key is empty."""


class WorkspaceUnknownError(ApiKeyMissingError):
    """There is no secret for the API key of this workspace."""


class RetryAfterError(ImporterError):
    """The next call has to wait for its turn, or for Saleshandy."""

    def __init__(self, wait_seconds: float) -> None:
        """Say how many seconds to wait."""
        super().__init__(f"to be called in {wait_seconds:g} s")
        self.wait_seconds = wait_seconds


class SaleshandyError(ImporterError):
    """The root of all errors of Saleshandy's API."""


class ApiKeyRefusedError(SaleshandyError):
    """Saleshandy does not accept the API key: no other call will work either."""


class ThrottledError(SaleshandyError):
    """Saleshandy throttles calls."""

    def __init__(self, retry_after_seconds: float) -> None:
        """Say how many seconds to wait."""
        super().__init__(f"throttled, try again in {retry_after_seconds:g} s")
        self.retry_after_seconds = retry_after_seconds


class RequestRefusedError(SaleshandyError):
    """Saleshandy refused the request; the text is its own."""


class RequestNotFoundError(RequestRefusedError):
    """Saleshandy does not find the subject of the request.

    In a status check, that is the request id: not yet known, or expired.
    """


class NotSentError(SaleshandyError):
    """The request never reached Saleshandy: it is safe to repeat."""


class OutcomeUnknownError(SaleshandyError):
    """The request may have been carried out, but no readable answer came back."""


class ReportUnavailableError(ImporterError):
    """Saleshandy's report could not be fetched or read; the text says why."""
