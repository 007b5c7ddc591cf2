"""Check raw files row by row and publish them as Delta tables."""
