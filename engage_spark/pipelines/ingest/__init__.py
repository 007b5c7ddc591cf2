"""Ingest: raw files in, judged Delta tables out."""
