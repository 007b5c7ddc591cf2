"""Select features by recursive elimination on Gram matrices."""
