"""Compare the books with the broker: apply facts, and report differences as findings."""
