"""All input and output: each adapter implements a port."""
