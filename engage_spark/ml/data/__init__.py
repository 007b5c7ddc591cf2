"""Decide which rows a model sees: training set, splits, samples, checks before training."""
