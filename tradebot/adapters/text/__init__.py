"""Read and write canonical text, JSON and YAML, and hide keys in texts."""
