"""Run the graph kernels as Spark tasks: validate edges, lay out the arrays, sample, sum, measure."""
