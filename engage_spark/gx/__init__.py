"""Exchange with Great Expectations both ways: contracts and results in its words, and its suites run on our
engine.

GX itself is optional.
"""
