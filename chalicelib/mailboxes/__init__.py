"""How the businesses' mailboxes are read: whatever their mail means, that is `domain.inbox`."""
