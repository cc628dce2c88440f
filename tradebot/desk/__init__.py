"""Take the desk: read the venue and the books once, and collect what strategies propose on that basis."""
