"""What is optimised: LNNP around a potential, for energies and forces and for pretexts."""
