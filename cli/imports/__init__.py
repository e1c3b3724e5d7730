"""Real input: what a small business exports from the software that it has."""
