"""The Saleshandy Open API: client, rate limit, account list, reports."""
