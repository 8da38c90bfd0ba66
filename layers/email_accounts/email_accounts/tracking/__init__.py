"""From request ids to what became of each batch."""
