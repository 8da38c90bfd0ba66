"""From settled batches to one outcome per row, and one message."""
