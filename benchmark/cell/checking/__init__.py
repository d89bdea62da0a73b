"""What is made sure of before any training."""
