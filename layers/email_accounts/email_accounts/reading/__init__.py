"""From the bytes of an upload to its rows, judged one after the other.

Nothing but the row in hand is kept in memory, and one number per accepted row. Reading the
same bytes again yields the same rows with the same numbers: batches rely on it.
"""

from email_accounts.reading.accounts_file import AccountsFile, open_accounts_file
from email_accounts.reading.rows import Accepted, Duplicate, Examined, Rejected

__all__ = ["Accepted", "AccountsFile", "Duplicate", "Examined", "Rejected", "open_accounts_file"]
