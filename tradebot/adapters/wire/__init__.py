"""HTTP within bounds, and foreign JSON read field by field."""
