"""The figures of a report, each a function of the results."""
