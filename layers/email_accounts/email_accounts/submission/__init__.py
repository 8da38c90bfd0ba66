"""From an accounts file to the request ids of its batches."""
