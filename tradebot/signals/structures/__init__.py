"""Market structure read from closed bars: blocks, gaps, breaks, changes of structure, swings, and indicators."""
