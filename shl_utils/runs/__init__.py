"""A run's folder: its stages and their stamps, on what they were computed, how far it is, what may leave it."""
