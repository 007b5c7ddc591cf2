"""Every customer's place in the social graph: layout, exact and sampled betweenness, structure, strength."""
