"""`tradebot web`: pages to leave open, drawn from the reports of the verbs."""
