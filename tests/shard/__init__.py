"""Sessions without servers: a mailbox in memory, driven by the test."""
