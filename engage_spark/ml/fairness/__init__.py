"""Compare groups of the protected attributes."""
