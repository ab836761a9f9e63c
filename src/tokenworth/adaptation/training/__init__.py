"""Batches, steps and the optimiser of the trained routes."""
