"""What the Lambda functions share: settings, observability and the parts put together."""
