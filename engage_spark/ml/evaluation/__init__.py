"""Measure models: metrics, bootstrap, conformal intervals, profit, promotion."""
