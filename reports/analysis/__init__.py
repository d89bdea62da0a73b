"""Numbers from records: statistics, convergence, published values."""
