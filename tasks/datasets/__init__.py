"""Datasets: where the labelled structures come from."""
