"""The view of a single moment: one reading of the venue and the books, and the proposals based on it."""
