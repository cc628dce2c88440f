"""Keep bars locally, fetch what is missing, and make the series that strategies see."""
