"""How a training step is computed: eagerly, compiled, captured on a GPU, or in parts by several processes."""
