"""The fake API: a real server on loopback whose state rests in SQLite."""
