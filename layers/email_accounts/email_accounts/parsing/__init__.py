"""From the bytes of an upload to rows of cells.

Nothing but a window of the file and the row in hand is kept in memory. Reading the same bytes
again yields the same rows with the same numbers: batches rely on it.
"""
