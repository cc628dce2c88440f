"""Record a pass's exact inputs, and run it again on them: nothing can be sent, and each result is compared."""
