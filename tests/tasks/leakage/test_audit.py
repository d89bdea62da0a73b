"""The audit finds frames again in any disguise, and does not take neighbours in time for the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from ase.build import bulk
from hypothesis import given
from hypothesis import strategies as st
from torch_geometric.data import Data

from tasks.datasets.base import Dataset, Outline
from tasks.leakage.audit import Audit, Auditor, FrameSet, LeakError, TraceSet
from tasks.leakage.recognition import SAME_A, fingerprint, sorted_distances, tolerance_A
from tasks.leakage.traces import Traces, trace
from tests.tasks.conftest import make_water, random_rotation


def dataset(samples, trajectory_frames=None, precision_A=0.0):
    outline = Outline(np.arange(len(samples)))
    return Dataset(list(samples), outline, "none", {}, trajectory_frames=trajectory_frames, precision_A=precision_A)


def frame_set(samples, frames=None, name="a set", trajectory_frames=None):
    made = samples if isinstance(samples, Dataset) else dataset(samples, trajectory_frames)
    return FrameSet(name, made, np.arange(len(made.samples)) if frames is None else np.array(frames))


def molecule(seed, noise=0.15):
    """An ethanol-like blob without a box."""
    rng = np.random.default_rng(seed)
    pos = np.arange(9)[:, None] * np.array([[0.9, 0.3, -0.2]]) + rng.normal(scale=noise, size=(9, 3))
    return Data(z=torch.tensor([6, 6, 8, 1, 1, 1, 1, 1, 1]), pos=torch.tensor(pos, dtype=torch.float32))


def disguised(sample, seed):
    """The same geometry: renumbered, shifted, and rotated or (in a box) wrapped anew."""
    rng = np.random.default_rng(seed)
    order = torch.tensor(rng.permutation(len(sample.z)))
    pos = sample.pos.double()[order] + torch.tensor(rng.uniform(-5, 5, 3))
    other = Data(z=sample.z[order])
    if "box" in sample:
        other.box = sample.box
        pos = pos + torch.tensor(rng.integers(-2, 3, pos.shape), dtype=torch.float64) @ sample.box[0].double()
    else:
        pos = pos @ torch.tensor(random_rotation(rng)).T
    other.pos = pos.float()
    return other


@given(seed=st.integers(0, 200), molecules=st.integers(0, 5))
def test_a_disguised_frame_is_found(seed, molecules):
    make = (lambda s: make_water(molecules, s)) if molecules else molecule
    seen = [make(1000 + seed + k) for k in range(4)]
    other = disguised(seen[2], seed)
    assert np.allclose(fingerprint(seen[2]), fingerprint(other), atol=2e-6)
    with pytest.raises(LeakError, match=r"frame 0 of a test set has the geometry of frame 2 of the training set"):
        Auditor().audit([frame_set(seen, name="the training set")], [], [frame_set([other], name="a test set")])


@given(seed=st.integers(0, 100), molecules=st.integers(0, 5))
def test_traces_recognise_a_disguised_frame_and_no_other(seed, molecules):
    make = (lambda s: make_water(molecules, s)) if molecules else molecule
    seen = [make(1000 + seed + k) for k in range(4)]
    traced = TraceSet("the pretraining in body.pt", trace(seen, 0))
    found = r"frame 0 of a test set has the geometry of structure 2 of the pretraining in body.pt"
    with pytest.raises(LeakError, match=found):
        Auditor().audit([], [], [frame_set([disguised(seen[2], seed)], name="a test set")], [traced])
    audit = Auditor().audit([], [], [frame_set([make(5000 + seed)])], [traced])
    assert audit == Audit(seen_frames=4, checked_frames=1, nearest_frames=None)


@given(seed=st.integers(0, 50), step=st.sampled_from([0.01, 0.05]))
def test_traces_know_how_coarse_their_file_was(seed, step):
    exact = molecule(seed)
    rounded = Data(**{**exact.to_dict(), "pos": (exact.pos / step).round() * step})
    traced = TraceSet("a body", trace([rounded], step))
    with pytest.raises(LeakError):
        Auditor().audit([], [frame_set([exact])], [], [traced])


def test_traces_come_back_as_they_were_stored():
    traces = trace([molecule(0), make_water(3)], 0.0)
    again = Traces.of(traces.content())
    assert len(again) == 2
    for name in ("compositions", "fingerprints", "elements", "distances"):
        assert np.array_equal(getattr(again, name), getattr(traces, name))
    # One atom has no distances, and is recognised by its element.
    alone = Data(z=torch.tensor([8]), pos=torch.zeros(1, 3))
    with pytest.raises(LeakError):
        Auditor().audit([], [], [frame_set([alone])], [TraceSet("a body", trace([alone], 0))])


@given(seed=st.integers(0, 50))
def test_rounding_does_not_hide_a_frame(seed):
    seen = molecule(seed)
    rounded = Data(z=seen.z, pos=(seen.pos * 1000).round() / 1000)
    with pytest.raises(LeakError):
        Auditor().audit([frame_set([seen])], [frame_set([rounded])], [])


@given(seed=st.integers(0, 50), molecules=st.sampled_from([0, 3]), step=st.sampled_from([0.01, 0.05]))
def test_rounding_that_the_file_tells_of_does_not_hide_a_frame(seed, molecules, step):
    """As in an XTC file, with neighbours that are others."""
    make = (lambda s: make_water(molecules, s)) if molecules else molecule
    exact, others = make(seed), [make(1000 + seed + k) for k in range(3)]
    rounded = [Data(**{**s.to_dict(), "pos": (s.pos / step).round() * step}) for s in (*others, exact)]
    coarse = dataset(rounded, precision_A=step)
    with pytest.raises(LeakError, match="frame 0 of a set has the geometry of frame 3") as error:
        Auditor().audit([frame_set(coarse)], [], [frame_set([exact])])
    assert error.value.found == 1
    audit = Auditor().audit([frame_set(coarse, [0, 1, 2])], [], [frame_set([exact])])
    assert audit.tolerance_A == pytest.approx(2.5 * step / 6**0.5)


def test_files_at_full_precision_are_compared_as_finely_as_before():
    audit = Auditor().audit([frame_set([molecule(0)])], [], [frame_set([molecule(1)])])
    assert audit.tolerance_A == SAME_A == tolerance_A(0, 1e-3)


@given(seed=st.integers(0, 100))
def test_the_next_frame_of_a_trajectory_is_another(seed):
    """Half a femtosecond at 300 K: 0.003 Å a coordinate for carbon and oxygen, 0.008 Å for hydrogen (kT/m)."""
    seen = molecule(seed)
    speed = torch.tensor([0.0144 if number > 1 else 0.0498 for number in (seen.z > 1) * 11 + 1]) / 3.2  # Å/fs
    generator = torch.Generator().manual_seed(seed)
    moved = Data(z=seen.z, pos=seen.pos + 0.5 * speed.unsqueeze(1) * torch.randn(9, 3, generator=generator))
    audit = Auditor().audit([frame_set([seen])], [], [frame_set([moved])])
    assert audit == Audit(seen_frames=1, checked_frames=1, nearest_frames=None)
    assert SAME_A < 0.004


def test_other_compositions_are_other_frames():
    water = make_water(2, 3)
    heavy = water.clone()
    heavy.z = torch.where(water.z == 1, 2, water.z)
    assert Auditor().audit([frame_set([water])], [], [frame_set([heavy])]).checked_frames == 1


def test_a_molecule_in_a_vacuum_box_is_the_one_without():
    alone = molecule(4)
    boxed = Data(z=alone.z, pos=alone.pos % 30, box=torch.eye(3).unsqueeze(0) * 30)
    with pytest.raises(LeakError) as error:
        Auditor().audit([frame_set([boxed])], [], [frame_set([alone])])
    assert error.value.found == 1


def test_what_an_auditor_has_seen_before_changes_no_result():
    data, others = dataset([molecule(k) for k in range(6)]), dataset([molecule(k) for k in range(6, 9)])
    sets = [frame_set(data, [0, 1])], [frame_set(data, [2])], [frame_set(data, [3, 4]), frame_set(others)]
    auditor = Auditor()
    auditor.audit([frame_set(others)], [], [frame_set(data)])
    assert auditor.audit(*sets) == auditor.audit(*sets) == Auditor().audit(*sets) == Audit(2, 6, None)
    with pytest.raises(LeakError, match="frame 4 of a set is among the frames of a set"):
        auditor.audit([frame_set(data, [0, 4])], *sets[1:])


def test_the_same_frame_of_the_same_data_is_found_once():
    data = dataset([molecule(k) for k in range(6)])
    with pytest.raises(LeakError, match=r"frame 3 of the test set is among the frames of the training set") as error:
        Auditor().audit(
            [frame_set(data, [0, 1, 3], "the training set")],
            [frame_set(data, [2])],
            [frame_set(data, [3, 4], "the test set")],
        )
    assert "geometry" not in str(error.value)


def test_duplicates_within_one_dataset_are_found_across_its_sets():
    data = dataset([molecule(0), molecule(1), disguised(molecule(0), 5)])
    with pytest.raises(LeakError, match="frame 2 of the validation set has the geometry of frame 0"):
        Auditor().audit([frame_set(data, [0, 1])], [frame_set(data, [2], "the validation set")], [])


def test_many_leaks_are_counted():
    seen = [molecule(k) for k in range(9)]
    with pytest.raises(LeakError, match="and 6 more"):
        Auditor().audit([frame_set(seen)], [], [frame_set([disguised(s, 1) for s in seen])])


@pytest.mark.parametrize(
    ("trajectories", "numbers", "nearest"),
    [([0, 0, 0, 0], [10, 500, 40, 90], 30), ([0, 0, 1, 1], [10, 500, 11, 12], None), ([0, 1, 1, 0], [7, 5, 90, 3], 4)],
)
def test_the_gap_in_time_is_that_of_the_nearest_frames_of_one_trajectory(trajectories, numbers, nearest):
    data = dataset([molecule(k) for k in range(4)], np.stack([trajectories, numbers], axis=1))
    audit = Auditor().audit([frame_set(data, [0, 1])], [], [frame_set(data, [2, 3])])
    assert audit.nearest_frames == nearest


def crystal(seed, repeat=4, sd_A=0.04, species=("Cu", "Cu")):
    """Atoms of a face-centred cubic crystal, or of rock salt, each moved by itself."""
    atoms = bulk("Cu", cubic=True) if len(set(species)) == 1 else bulk("".join(species), "rocksalt", 3.6, cubic=True)
    atoms = atoms.repeat(repeat)
    pos = atoms.positions + np.random.default_rng(seed).normal(scale=sd_A, size=(len(atoms), 3))
    box = torch.tensor(atoms.cell.array, dtype=torch.float32).unsqueeze(0)
    return Data(z=torch.tensor(atoms.numbers), pos=torch.tensor(pos, dtype=torch.float32), box=box)


@pytest.mark.parametrize("species", [("Cu", "Cu"), ("Na", "Cl")])
def test_frames_of_a_crystal_are_told_apart_and_found_in_disguise(species):
    """Their sorted distances differ by less than what rounding to 0.01 Å allow; what atoms see does not."""
    repeat = 4 if species[0] == species[1] else 3
    first, second = (crystal(seed, repeat, species=species) for seed in (1, 2))
    pairs = [sorted_distances(one) for one in (first, second)]
    coarse = [dataset([one], precision_A=0.01) for one in (first, second, disguised(first, 3))]
    assert np.sqrt(np.square(pairs[0] - pairs[1]).mean()) < tolerance_A(0.01, 0.01)
    traced = TraceSet("a body", trace(coarse[0].samples, 0.01))
    coarse[2].samples[0].pos = (coarse[2].samples[0].pos * 100).round() / 100
    for seen, traces in (([frame_set(coarse[0])], []), ([], [traced])):
        audit = Auditor().audit(seen, [], [frame_set(coarse[1])], traces)
        assert audit.checked_frames == 1
        with pytest.raises(LeakError):
            Auditor().audit(seen, [], [frame_set(coarse[2])], traces)


def test_trajectories_that_begin_from_one_structure_are_told_what_to_do():
    start = crystal(0, repeat=2, sd_A=0.0)
    samples = [start, crystal(1, 2), start.clone(), crystal(2, 2)]
    numbers = np.array([[0, 0], [0, 1], [1, 0], [1, 1]])
    data = dataset(samples, numbers)
    sets = [frame_set(data, [0, 1], "the training set")], [], [frame_set(data, [2, 3], "the test set")]
    with pytest.raises(LeakError, match=r"frame 2 of the test set .* Leave out the first frame of each trajectory"):
        Auditor().audit(*sets)
    with pytest.raises(LeakError, match="another split, or fewer frames"):
        Auditor().audit([frame_set(dataset(samples), [0, 1])], [], [frame_set(dataset(samples), [2, 3])])
