"""A whole run: jobs, what is reused, what it will cost, how far it is."""
