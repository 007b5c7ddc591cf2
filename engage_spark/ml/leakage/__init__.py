"""Find features that know the target: the leakage audit."""
