"""Azure ML back end."""
