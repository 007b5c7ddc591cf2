"""Draft a contract from data that nobody has declared."""
