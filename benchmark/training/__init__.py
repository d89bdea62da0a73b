"""TorchMD-Net's training loop: LNNP and DataModule subclassed, Lightning's Trainer."""

import tasks.models  # noqa: F401  (before torchmdnet: it keeps warp from greeting)
