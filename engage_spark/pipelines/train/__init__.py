"""Train one registered model per target."""
