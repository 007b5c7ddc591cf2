"""Build, fit and compare candidate models."""
