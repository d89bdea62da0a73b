"""The project's own timings, each against a plain way of doing the same; not part of the package."""
