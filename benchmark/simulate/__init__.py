"""Simulations with the potentials of a run: subjects and tests, jobs in parallel processes, tables."""
