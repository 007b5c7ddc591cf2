"""Models: what they may look at, how rows are split, which features are kept, how they are fitted, judged and
explained.
"""
