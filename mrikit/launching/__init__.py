"""Jobs: one command, run somewhere else and found again."""
