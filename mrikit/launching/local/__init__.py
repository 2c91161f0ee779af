"""Local back end."""
