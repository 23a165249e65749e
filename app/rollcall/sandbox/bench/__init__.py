"""Benchmarks: figures that anybody can make again, as a ratio to a peer in the same run."""
