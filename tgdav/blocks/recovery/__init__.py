"""How a drive is told in its stores, and found again there without a database."""
