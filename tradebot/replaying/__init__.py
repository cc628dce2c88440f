"""Record a pass's exact inputs, and decide it again from them: nothing can be sent, and each result is compared."""
