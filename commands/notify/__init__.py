"""`tradebot notify`: what a person is told, through which channels."""
