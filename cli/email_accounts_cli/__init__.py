"""The operator's command line: `email-accounts`."""
