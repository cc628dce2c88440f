"""Make HTTP requests with limits, and read foreign JSON field by field."""
