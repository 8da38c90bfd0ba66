"""What is known: values without behaviour of their own, and their rules."""
