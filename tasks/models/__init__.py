"""Potentials behind one call signature, TorchMD-Net's."""

import warp

# TorchMD-Net's neighbour search initialises warp, which would greet in every process.
warp.config.log_level = warp.LOG_ERROR
