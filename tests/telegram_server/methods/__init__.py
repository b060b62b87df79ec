"""What Telegram answers: a file for each of its namespaces, each method a function."""
