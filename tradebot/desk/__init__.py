"""Build the desk, a snapshot of the venue and the books from which a pass decides, and collect what strategies
propose.
"""
