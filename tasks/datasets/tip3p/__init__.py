"""Water simulated with OpenMM."""
