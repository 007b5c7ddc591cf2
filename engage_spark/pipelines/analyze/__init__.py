"""The stage that describes the customers of a day, its week and its month."""
