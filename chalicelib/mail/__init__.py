"""Reading foreign e-mails: bytes in, what they say out. No I/O, no database."""
