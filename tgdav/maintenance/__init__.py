"""What keeps a drive sound by the clock: answers no HTTP."""
