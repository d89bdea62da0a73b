"""Files: published sources, downloads, and the cache of prepared data."""
