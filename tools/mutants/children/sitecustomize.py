"""Read by every Python process that a test of a fault starts: the fault is there too."""

import os

if "NNP_MUTANT" in os.environ:
    from tools.mutants.faulty import take_over

    take_over()
