"""Measure the graph of a day: betweenness, structure and strength of every customer."""
