"""What is made sure of, and said, before any training: of data, pretexts, networks, leaks and given bodies."""
