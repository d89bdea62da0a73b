"""From a suite file to cells and their keys."""
