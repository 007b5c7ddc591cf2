"""Show what was measured to people."""
