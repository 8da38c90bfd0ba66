"""From the bytes of an upload to its rows.

`open_accounts_file` finds out the format, resolves the columns once and then yields one `Row`
after the other; nothing but the row in hand is kept in memory. Reading the same bytes again
yields the same rows with the same numbers: batches are named by row numbers and rely on it.
"""

from email_accounts.reading.formats import AccountsFile, Row, open_accounts_file

__all__ = ["AccountsFile", "Row", "open_accounts_file"]
