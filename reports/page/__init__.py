"""The page and its Markdown: what stands where, and the files."""
