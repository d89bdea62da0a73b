"""A user's own structures."""
