"""The only place for input and output: each adapter implements a port."""
