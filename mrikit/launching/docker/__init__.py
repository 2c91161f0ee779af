"""Docker back end."""
