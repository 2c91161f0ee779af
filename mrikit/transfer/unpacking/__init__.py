"""Archives to their members, by what they are and not by what they are called."""
