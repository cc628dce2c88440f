"""The single path for orders: promise, send once, record what came of it."""
