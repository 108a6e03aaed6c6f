"""Benchmarks that asv runs; `peers` holds scripts of another kind."""
