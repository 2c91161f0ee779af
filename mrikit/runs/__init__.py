"""Run folder, state and processes of any training."""
