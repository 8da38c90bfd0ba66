"""Signing in to the mailboxes' own servers, to know before the sending which will not work."""
