"""Describe a trained model to people: card and plots."""
