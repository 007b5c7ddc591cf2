"""Graph: every customer's place in the graph of a day."""
