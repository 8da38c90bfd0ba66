"""The AWS adapters. No other package calls AWS."""
