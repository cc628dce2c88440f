"""Copies of the books' views in databases that other programs read. The bot itself never reads them."""
