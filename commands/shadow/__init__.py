"""`tradebot shadow`."""
