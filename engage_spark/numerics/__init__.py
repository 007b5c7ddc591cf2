"""Share the numerics that several rooms need: hashes, exact sums, compiled kernels. Knows no Spark and no
contract.
"""
