"""Run the stages: `run_<stage>(spark, settings, *, contract, …)` reads, calls pure functions, writes,
and returns a typed result.
"""
