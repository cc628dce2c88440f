"""A single moment: one reading of the venue and the books, and what is proposed on it."""
