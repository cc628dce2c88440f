"""Store bars locally, fetch missing ones, and build the series that strategies see."""
