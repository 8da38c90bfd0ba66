"""From the bytes of an upload to rows of cells.

Only a window of the file and the current row are kept in memory. Reading the same bytes
again yields the same rows with the same numbers: batches rely on it.
"""
