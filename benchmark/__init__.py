"""The engine: turns a suite into records. Knows no dataset, model or pretext by name."""
