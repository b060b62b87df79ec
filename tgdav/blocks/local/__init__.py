"""What lies on this machine: cache, staging log, spool, and how much of it may wait."""
