"""Look after the tables of a lake: optimize, vacuum, history, migrate, and forget a key."""
