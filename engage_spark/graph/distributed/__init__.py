"""Spread graph kernels over Spark tasks: layout, memory, places on workers, tasks."""
