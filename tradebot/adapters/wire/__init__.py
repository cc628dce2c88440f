"""Make HTTP requests with limits, and read JSON from external services field by field."""
