"""The graph between customers: edges and their strength, and every customer's place in it."""
