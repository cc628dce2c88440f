"""`tradebot notify`: what a person is told, and through which channels."""
