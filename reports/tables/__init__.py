"""The tables of a report, each a function of the results."""
