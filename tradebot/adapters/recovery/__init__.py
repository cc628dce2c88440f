"""Make backups, detect damaged books, and rebuild them."""
