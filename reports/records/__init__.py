"""The run folder: the one definition of what it holds, and the only way to write and read it. Light to import."""
