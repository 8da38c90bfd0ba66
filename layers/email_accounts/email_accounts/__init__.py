"""Email accounts: read from a file, validated, submitted, tracked and reported."""
