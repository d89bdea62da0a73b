"""What is benchmarked: datasets, models and pretexts in plain torch and PyG."""
