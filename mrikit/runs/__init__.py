"""A run on disk and its processes, whatever is trained."""
