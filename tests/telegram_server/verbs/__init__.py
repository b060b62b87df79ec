"""What a test may do to the world: each function is a verb of the control port."""
