"""A stand-in for the remote API: a real server on loopback whose state rests in SQLite."""
