"""The suite's networks as plain ones: the names of their weights, and one matrix in the place of three blocks.

The suite applies the first linear map of an edge's MLP to receivers, senders and edge features apart; on their
concatenation it is one map, whose matrix is the three blocks side by side. What holds for weights holds for gradients.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from performance.plain.egnn import PlainEGNN
from performance.plain.forcenet import PlainForceNet
from performance.plain.gns import PlainGNS

NAMES: dict[str, tuple[tuple[str, str], ...]] = {
    "egnn": (
        (r"embedding\.species\.", "species."),
        (r"embedding\.mask\.weight", "mask"),
        (r"basis\.means", "basis.mu"),
        (r"basis\.betas", "basis.beta"),
        (r"layers\.(\d+)\.edge_input\.", r"layers.\1.phi_e.0."),
        (r"layers\.(\d+)\.edge_mlp\.1\.", r"layers.\1.phi_e.2."),
        (r"layers\.(\d+)\.coordinate_mlp\.", r"layers.\1.phi_x."),
        (r"layers\.(\d+)\.node_mlp\.", r"layers.\1.phi_h."),
        (r"readout\.", "readout."),
    ),
    "gns": (
        (r"embedding\.species\.", "species."),
        (r"embedding\.mask\.weight", "mask"),
        (r"basis\.means", "basis.mu"),
        (r"basis\.betas", "basis.beta"),
        (r"node_encoder\.", "encode_node."),
        (r"edge_encoder\.", "encode_edge."),
        (r"layers\.(\d+)\.edge_input\.", r"phi_e.\1.0."),
        (r"layers\.(\d+)\.edge_mlp\.1\.0\.", r"phi_e.\1.2."),
        (r"layers\.(\d+)\.edge_mlp\.1\.2\.", r"phi_e.\1.4."),
        (r"layers\.(\d+)\.edge_mlp\.1\.3\.", r"phi_e.\1.5."),
        (r"layers\.(\d+)\.node_mlp\.", r"phi_v.\1."),
        (r"decoder\.", "decode."),
        (r"energy\.mlp\.", "energy."),
    ),
    "forcenet": (
        (r"properties", "properties"),
        (r"radii", "radii"),
        (r"embedding\.", "atoms."),
        (r"mask\.weight", "mask"),
        (r"lengths\.", "lengths."),
        (r"layers\.(\d+)\.edge_input\.", r"layers.\1.filter.0."),
        (r"layers\.(\d+)\.filter\.1\.", r"layers.\1.filter.2."),
        (r"layers\.(\d+)\.filter\.3\.", r"layers.\1.filter.4."),
        (r"layers\.(\d+)\.linear\.", r"layers.\1.linear."),
        (r"layers\.(\d+)\.self_weight", r"layers.\1.self_weight"),
        (r"layers\.(\d+)\.node_mlp\.", r"layers.\1.phi."),
        (r"output\.", "output."),
        (r"decoder\.", "decode."),
        (r"energy\.mlp\.", "energy."),
    ),
}
"""By kind of network: names in the suite, as patterns from their start, and those in the plain network."""

NEIGHBOURS = "neighbors."
"""What the suite's neighbour search keeps beside the weights."""


def plain_of(kind: str, fast: nn.Module, config: Any) -> nn.Module:
    """The plain network with the weights, precision and mode of one of the suite's.

    Args:
        kind: ``egnn``, ``gns`` or ``forcenet``.
        fast: the suite's network.
        config: its options.
    """
    shape = {"cutoff": config.cutoff_A, "hidden": config.hidden, "layers": config.layers}
    plain: nn.Module
    if kind == "egnn":
        basis = config.num_rbf if config.radial == "expnorm" else None
        flags = {"envelope": config.envelope, "readout_norm": config.readout_norm}
        plain = PlainEGNN(**shape, species=config.max_z, num_rbf=basis, **flags)
    elif kind == "gns":
        basis = config.num_rbf if config.radial == "expnorm" else None
        absolute = config.absolute_positions
        plain = PlainGNS(**shape, species=config.max_z, num_rbf=basis, absolute_positions=absolute)
    else:
        tables = (fast.get_buffer("properties"), fast.get_buffer("radii"))
        series = {"frequencies": config.frequencies, "degrees": config.degrees}
        plain = PlainForceNet(
            **shape, properties=tables[0], radii=tables[1], **series, only_oxygen=config.species == "all-oxygen"
        )
    weights = translate(kind, fast.state_dict())
    plain = plain.to(next(fast.parameters()))
    plain.load_state_dict(weights)
    return plain.train(fast.training)


def translate(kind: str, fast: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights, or their gradients, under the plain network's names.

    Raises:
        KeyError: for a name that is not known.
    """
    plain = {}
    for name, value in _joined(fast).items():
        for pattern, replacement in NAMES[kind]:
            own, found = re.subn(f"^{pattern}", replacement, name)
            if found:
                # Of the two rows of a mask embedding the first is zero for good.
                plain[own] = value[1] if own == "mask" else value
                break
        else:
            raise KeyError(f"{name!r} of {kind} has no name in the plain network")
    return plain


def _joined(fast: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Blocks of receivers, senders and edge features side by side, as one matrix."""
    joined = {}
    for name, value in fast.items():
        place, dot, block = name.partition("edge_input.")
        if name.startswith(NEIGHBOURS):
            continue
        if not dot:
            joined[name] = value
        elif block == "receiver.weight":
            parts = [value, fast[f"{place}edge_input.sender.weight"], fast[f"{place}edge_input.edge.weight"]]
            joined[f"{place}edge_input.weight"] = torch.cat(parts, dim=1)
        elif block == "receiver.bias":
            joined[f"{place}edge_input.bias"] = value
    return joined
