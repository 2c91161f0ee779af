"""Summary of a sweep: what its members scored, which are best, and what matters."""
