"""`tradebot drill`: rehearse what can go wrong, on an embedded exchange of its own."""
