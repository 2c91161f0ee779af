"""Jobs: commands run elsewhere and found again."""
