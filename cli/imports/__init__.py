"""Real input: the invoices that a small business exports from its invoicing software."""
