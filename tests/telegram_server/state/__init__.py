"""What Telegram knows: accounts, logins, channels, messages, files. No method, no wire."""
