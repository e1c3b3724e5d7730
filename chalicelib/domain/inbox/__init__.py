"""Mail that the businesses receive: read from their mailboxes, parsed, threaded, matched."""
