"""A trained potential in use: files to take away, calculators, dynamics, and what is measured in simulations."""
