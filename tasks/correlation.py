"""How many independent frames a set of frames is worth: autocorrelation along trajectories.

A mean over N correlated frames is as uncertain as one over N² / Σ ρ(|tᵢ − tⱼ|) independent ones, where the sum goes
over all pairs of frames of one trajectory (i = j among them). For one long trajectory this is N / (1 + 2 Σ ρ(t)), by
the statistical inefficiency of Chodera et al., J. Chem. Theory Comput. 3, 26 (2007), doi 10.1021/ct0502864.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.signal import correlate
from torch_geometric.data import Data

from tasks.datasets.base import Dataset
from tasks.datasets.structures.molecules import atom_pairs
from tasks.geometry import nearest_image
from tasks.normalisation import Normalisation

OXYGEN = 8
MOST_PAIRS = 500
"""Of oxygen atoms, evenly chosen where there are more: distances of 258 molecules at 10 000 frames are 2.6 GB."""


def autocorrelation(values: NDArray[np.floating], moments: NDArray[np.int64]) -> NDArray[np.float64]:
    """Autocorrelation of an observable along trajectories, up to where it is lost in noise.

    Mean and variance are those of all frames: what stays within trajectories and differs between them is correlation
    too, and about the mean of its own trajectory it would not be seen. With few trajectories the common mean is
    uncertain and correlations come out too small; with one, what is slower than it is not seen at all.

    The sequence ends before the first two successive lags (0 and 1, 2 and 3, ...) whose sum is not positive: Geyer's
    initial positive sequence, Stat. Sci. 7, 473 (1992), doi 10.1214/ss/1177011137.

    Args:
        values: (F,), or (F, C) for the average over C components, each taken about its own mean.
        moments: (F, 2), numbers of the trajectory and of the frame in it, as in `Dataset.trajectory_frames`; not all
            frames of a trajectory need be there.

    Returns:
        ρ(0) = 1, ρ(1), ... by lag in frames as simulated, (L,); between lags that occur it is interpolated. (1,) for an
        observable that does not vary.
    """
    values = np.asarray(values, dtype=np.float64).reshape(len(values), -1)
    if not np.ptp(values, axis=0).any():
        return np.ones(1)
    deviations = values - values.mean(axis=0)
    span = int(max(np.ptp(moments[moments[:, 0] == name, 1]) for name in np.unique(moments[:, 0]))) + 1
    products, pairs = np.zeros(span), np.zeros(span)
    for frames, times in _trajectories(moments):
        for column in deviations[frames].T:
            products[: times[-1] + 1] += _by_lag(times, column) / values.shape[1]
        pairs[: times[-1] + 1] += np.round(_by_lag(times, np.ones(len(times))))
    lags = np.flatnonzero(pairs)
    correlation = products[lags] / pairs[lags]
    correlation /= correlation[0]
    sums = correlation[: len(lags) // 2 * 2].reshape(-1, 2).sum(axis=1)
    last = max(1, 2 * int(np.argmax(sums <= 0))) if (sums <= 0).any() else len(lags)
    return np.interp(np.arange(lags[last - 1] + 1), lags[:last], correlation[:last])


def correlation_time(correlation: NDArray[np.floating]) -> float:
    """Integrated autocorrelation time 1/2 + ρ(1) + ρ(2) + ..., in frames as simulated; 1/2 for independent frames.

    Of trajectories that are shorter than it, a lower bound: lags beyond their length are not known.
    """
    return float(np.sum(correlation)) - 0.5


def effective_frames(correlation: NDArray[np.floating], moments: NDArray[np.int64]) -> float:
    """Number of independent frames that a set of frames is worth, from 1 to their number; 0 if there are none.

    Args:
        correlation: of `autocorrelation`, best over all frames of the dataset; 0 beyond its end.
        moments: (N, 2), trajectory and frame of the frames in question. Trajectories are independent of each other.
    """
    if not len(moments):
        return 0.0
    total = 0.0
    for _, times in _trajectories(moments):
        pairs = np.round(_by_lag(times, np.ones(len(times))))[: len(correlation)]
        total += pairs[0] + 2 * float(pairs[1:] @ correlation[1 : len(pairs)])
    return float(np.clip(len(moments) ** 2 / max(total, 1.0), 1, len(moments)))


def oxygen_distances(samples: Sequence[Data]) -> NDArray[np.float64] | None:
    """Distances of pairs of oxygen atoms by minimum image in Å, (F, P), at most `MOST_PAIRS`: the structure of water.

    None where samples differ in their atoms or have fewer than two of oxygen.
    """
    z = samples[0].z
    oxygen = (z == OXYGEN).numpy()
    if oxygen.sum() < 2 or any(not np.array_equal(sample.z, z) for sample in samples):
        return None
    first, second = atom_pairs(int(oxygen.sum()))
    chosen = np.unique(np.linspace(0, len(first) - 1, min(len(first), MOST_PAIRS)).astype(int))
    distances = np.empty((len(samples), len(chosen)))
    for row, sample in zip(distances, samples, strict=True):
        pos = sample.pos.double().numpy()[oxygen]
        vectors = pos[second[chosen]] - pos[first[chosen]]
        vectors = nearest_image(vectors, sample.box[0].double().numpy() if "box" in sample else None)
        row[:] = np.linalg.norm(vectors, axis=1)
    return distances


def describe_correlation(dataset: Dataset, sets: Mapping[str, NDArray[np.int64]]) -> dict[str, dict[str, float]]:
    """What frames are worth by their energies and, in water, by distances between oxygen atoms.

    Args:
        dataset: labelled. Where its `trajectory_frames` are not known, frames of a group are taken as successive.
        sets: indices of frames by name, such as those of a split.

    Returns:
        For `energy` (reference energies of the species removed) and `oxygen_distances` (if there are any): by the names
        of `sets` the effective numbers of frames, and `correlation_time` in frames. Nothing where no two frames are
        known to be of one trajectory: then nothing is known of their times. Can be written as JSON.
    """
    moments = dataset.trajectory_frames if dataset.trajectory_frames is not None else _in_order(dataset.outline.groups)
    if len(np.unique(moments[:, 0])) == len(moments):
        return {}
    reference = Normalisation.fit(dataset.samples)
    energies = [float(sample.y.double()) - reference.reference_energy(sample.z) for sample in dataset.samples]
    observables = {"energy": np.array(energies), "oxygen_distances": oxygen_distances(dataset.samples)}
    found = {}
    for name, values in observables.items():
        if values is not None:
            correlation = autocorrelation(values, moments)
            worth = {key: effective_frames(correlation, moments[frames]) for key, frames in sets.items()}
            found[name] = {**worth, "correlation_time": correlation_time(correlation)}
    return found


def _trajectories(moments: NDArray[np.int64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Of each trajectory the indices of its frames in the order of time, and their times from 0, each (T,)."""
    order = np.lexsort((moments[:, 1], moments[:, 0]))
    starts = np.flatnonzero(np.diff(moments[order, 0])) + 1
    for frames in np.split(order, starts):
        yield frames, moments[frames, 1] - moments[frames[0], 1]


def _by_lag(times: NDArray[np.int64], values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sum over pairs of frames of the products of their values, by lag, (span,)."""
    series = np.zeros(times[-1] + 1)
    series[times] = values
    products: NDArray[np.float64] = correlate(series, series)[len(series) - 1 :]
    return products


def _in_order(groups: NDArray[np.int64]) -> NDArray[np.int64]:
    """Moments (F, 2) of frames (F,) of which only the trajectory is known."""
    moments = np.stack([groups, np.zeros_like(groups)], axis=1)
    for name in np.unique(groups):
        moments[groups == name, 1] = np.arange(int((groups == name).sum()))
    return moments
