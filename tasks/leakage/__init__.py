"""Whether a test frame was seen before: what structures are recognised by, what is kept of them, the audit."""
