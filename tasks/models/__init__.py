"""Potentials behind one call signature, TorchMD-Net's."""

from tasks.models.quiet import begin_warp

begin_warp()  # before TorchMD-Net does
