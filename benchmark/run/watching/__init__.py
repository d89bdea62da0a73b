"""What is seen of a run under way: progress, status, and its report."""
