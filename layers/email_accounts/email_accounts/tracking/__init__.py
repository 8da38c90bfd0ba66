"""From request ids to the end of each batch."""
