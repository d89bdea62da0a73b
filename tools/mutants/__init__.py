"""`make mutants`: small faults put into the code one at a time; the tests should notice each."""
