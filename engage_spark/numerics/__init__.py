"""Share the numerics that several packages need: hashes, exact sums, compiled kernels.

Nothing here knows Spark or the contract.
"""
