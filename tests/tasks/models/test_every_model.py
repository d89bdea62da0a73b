"""One factory for every registered potential: what the contract promises, and where an architecture does not."""

from __future__ import annotations

import pytest
import torch
from torch import Generator
from torch_geometric.data import Batch

from tasks.geometry import minimum_image
from tasks.models.base import MASK_LABEL, ROTATION, MaskEmbedding
from tasks.options.pretexts import DenoisingConfig, MaskingConfig
from tasks.pretexts.denoising import Denoising
from tasks.pretexts.masking import Masking
from tasks.registry import MODELS
from tests.tasks.models.conftest import CASES, NOT_EQUIVARIANT, NOT_TRANSLATION_INVARIANT, build, predict

pytestmark = pytest.mark.slow


def assert_same(result, expected, tolerance=1e-8):
    for one, other in zip(result, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=tolerance)


def test_every_registered_kind_is_checked_here():
    assert {kind for kind, _ in CASES.values()} == set(MODELS.kinds())


def test_shapes_and_dtypes(potential, batch):
    energy, force = predict(potential, batch)
    assert energy.shape == (2, 1)
    assert force.shape == batch.pos.shape
    assert energy.dtype == force.dtype == torch.float64
    assert force.abs().max() > 1e-4
    single = potential.float()(batch.z, batch.pos.float(), batch.batch, batch.box.float())
    assert [t.dtype for t in single] == [torch.float32, torch.float32]


def test_a_sample_does_not_depend_on_its_batch_mates(potential, batch):
    energy, force = predict(potential, batch)
    for number, sample in enumerate(batch.to_data_list()):
        alone = predict(potential, Batch.from_data_list([sample]))
        assert_same(alone, (energy[number : number + 1], force[batch.batch == number]))


def test_permutation_permutes_the_forces(potential, water):
    sample = water(8, 4, 7.0, torch.float64)
    order = torch.randperm(sample.num_nodes, generator=Generator().manual_seed(0))
    energy, force = potential(sample.z, sample.pos.clone(), box=sample.box)
    permuted = potential(sample.z[order], sample.pos[order], box=sample.box)
    assert_same(permuted, (energy, force[order]))


def test_rewrapping_changes_nothing(potential, batch):
    side = batch.box[:, 0, 0][batch.batch].unsqueeze(1)
    images = torch.randint(-2, 3, batch.pos.shape, generator=Generator().manual_seed(0))
    assert_same(predict(potential, batch, batch.pos + images * side), predict(potential, batch))


def test_translation_changes_nothing_but_where_positions_are_features(case, potential, batch):
    before = predict(potential, batch)
    after = predict(potential, batch, batch.pos + torch.tensor([0.3, -1.7, 5.0]))
    if case in NOT_TRANSLATION_INVARIANT:
        assert (after[1] - before[1]).abs().max() > 1e-3
    else:
        assert_same(after, before)


def test_rotation_turns_the_forces_or_is_documented_not_to(case, potential, water, rotation):
    """A free cluster: a rotated cubic box is no cubic box."""
    sample = water(8, 3, 7.0, torch.float64)
    energy, force = potential(sample.z, sample.pos.clone())
    energy_turned, force_turned = potential(sample.z, sample.pos @ rotation.T)
    if case in NOT_EQUIVARIANT:
        assert (force_turned - force @ rotation.T).abs().max() > 1e-3
        assert (energy_turned - energy).abs().max() > 1e-6
    else:
        assert_same((energy_turned, force_turned), (energy, force @ rotation.T))


def test_a_rotation_of_a_sample_is_as_if_its_positions_were_turned(case, potential, water, rotation):
    """Free clusters, each with a rotation of its own: what is decoded is turned back, and equivariance sees nothing."""
    samples = [water(n, seed, 7.0, torch.float64) for n, seed in ((5, 3), (8, 4))]
    rotations = torch.stack([rotation, rotation @ rotation])
    z, pos = torch.cat([sample.z for sample in samples]), torch.cat([sample.pos for sample in samples])
    batch = torch.tensor([0, 1]).repeat_interleave(torch.tensor([15, 24]))
    own = rotations[batch]
    energy, force = potential(z, pos.clone(), batch, extra_args={ROTATION: rotations})
    energy_turned, force_turned = potential(z, (own @ pos.unsqueeze(2)).squeeze(2), batch)
    assert_same((energy, force), (energy_turned, (own.mT @ force_turned.unsqueeze(2)).squeeze(2)))
    if case not in NOT_EQUIVARIANT:
        assert_same((energy, force), potential(z, pos.clone(), batch))


def test_forces_are_the_numerical_gradient_just_where_they_are_conservative(potential, batch):
    _, force = predict(potential, batch)
    step = 1e-5
    places = [(0, 0), (4, 1), (10, 2), (25, 0), (38, 2)]
    errors = []
    for atom, axis in places:
        shift = torch.zeros_like(batch.pos)
        shift[atom, axis] = step
        above, below = (predict(potential, batch, batch.pos + sign * shift)[0].sum() for sign in (1, -1))
        errors.append(abs(float(-(above - below) / (2 * step) - force[atom, axis])))
    if potential.conservative:
        assert max(errors) < 1e-6
    else:
        assert max(errors) > 1e-3


def test_mask_label_zero_is_no_label_and_label_one_is_seen(potential, batch):
    plain = predict(potential, batch)
    labels = torch.zeros_like(batch.z)
    assert_same(predict(potential, batch, extra_args={MASK_LABEL: labels}), plain, 0)
    with torch.no_grad():  # a copy of a species may begin as the species itself
        for module in potential.modules():
            if isinstance(module, torch.nn.Embedding) and module.num_embeddings > 100:
                module.weight[100:] += 0.3
    labels[0] = 1
    labelled = predict(potential, batch, extra_args={MASK_LABEL: labels})
    assert (labelled[0][0] - plain[0][0]).abs() > 1e-6
    assert_same([labelled[0][1]], [plain[0][1]])


def test_label_zero_stays_zero_under_training(potential, batch):
    """Its row of the embedding has no gradient; a second copy of the species has none without labels."""
    potential.train()
    labels = torch.zeros_like(batch.z)
    energy, force = potential(batch.z, batch.pos.clone(), batch.batch, batch.box, extra_args={MASK_LABEL: labels})
    (energy.sum() + force.square().sum()).backward()
    embeddings = [m for m in potential.modules() if isinstance(m, torch.nn.Embedding)]
    masks = [m for m in embeddings if isinstance(m, MaskEmbedding)]
    for mask in masks:
        assert mask.weight.grad.abs().max() == mask.weight[0].abs().max() == 0
    if not masks:
        assert embeddings
        assert all(m.weight.grad[100:].abs().max() == 0 for m in embeddings)


def repel(frames, reach=3.0):
    """Label frames with a soft repulsion between all atoms, E = Σ (reach − r)³ / 3, forces of unit size."""
    for frame in frames:
        vectors = frame.pos.unsqueeze(1) - frame.pos
        vectors = minimum_image(vectors.reshape(-1, 3), frame.box[0]).reshape(vectors.shape)
        distances = vectors.norm(dim=2) + torch.eye(len(vectors)) * reach
        overlap = (reach - distances).clamp(min=0)
        frame.neg_dy = (overlap.square() / distances).unsqueeze(2).mul(vectors).sum(1)
        scale = frame.neg_dy.square().mean().sqrt()
        frame.y = (overlap.pow(3).sum() / 6 / scale).reshape(1, 1)
        frame.neg_dy /= scale
    return Batch.from_data_list(frames)


@pytest.mark.parametrize("pretext", ["masking", "denoising", "finetuning"])
def test_a_few_steps_lower_the_loss(case, pretext, water):
    """Each pretext on every head, and energies with forces: gradients reach what they should."""
    frames = repel([water(8, seed, 7.0) for seed in range(2)])
    task = {
        "masking": Masking(MaskingConfig(ratio=0.5)),
        "denoising": Denoising(DenoisingConfig(sd_A=0.2)),
        "finetuning": None,
    }[pretext]
    for head in build(case).heads if task else ("force",):
        potential = build(case).float().train()

        def losses(potential=potential, head=head):
            if task is None:
                energy, force = potential(frames.z, frames.pos.clone(), frames.batch, frames.box)
                return 0.01 * (energy - frames.y).square().mean(), (force - frames.neg_dy).square().mean()
            corrupted = task.corrupt(frames, Generator().manual_seed(3))
            seen = {MASK_LABEL: corrupted.mask_label} if "mask_label" in corrupted else {}
            vectors = potential.vectors(head, corrupted.z, corrupted.pos, corrupted.batch, corrupted.box, seen)
            return (task.loss(vectors, corrupted),)

        optimizer = torch.optim.AdamW(potential.parameters(), lr=2e-3)
        values = []
        for _ in range(60):
            optimizer.zero_grad()
            terms = losses()
            sum(terms).backward()
            optimizer.step()
            values.append([term.item() for term in terms])
        for first, last in zip(values[0], values[-1], strict=True):
            assert last < 0.95 * first, (head, values)


def features(potential, batch, pos=None):
    """Features of the atoms of a batch, at other positions if given."""
    return potential.features(batch.z, batch.pos if pos is None else pos, batch.batch, batch.box, {}).detach()


def test_features_are_those_of_the_atoms_and_as_invariant_as_the_energy(case, potential, batch, water, rotation):
    found = features(potential, batch)
    assert found.shape == (batch.num_nodes, potential.feature_width)
    assert found.std(dim=0).max() > 1e-6
    for number, sample in enumerate(batch.to_data_list()):
        assert_same([features(potential, Batch.from_data_list([sample]))], [found[batch.batch == number]])
    cluster = water(8, 3, 7.0, torch.float64)
    order = torch.randperm(cluster.num_nodes, generator=Generator().manual_seed(0))
    own = torch.zeros_like(cluster.z)
    straight, permuted, turned = (
        potential.features(z, pos, own, None, {}).detach()
        for z, pos in (
            (cluster.z, cluster.pos),
            (cluster.z[order], cluster.pos[order]),
            (cluster.z, cluster.pos @ rotation.T),
        )
    )
    assert_same([permuted], [straight[order]])
    if case in NOT_EQUIVARIANT:
        assert (turned - straight).abs().max() > 1e-6
    else:
        assert_same([turned], [straight])


def test_features_are_what_energies_are_made_of(potential, batch):
    """Pretraining them trains every weight of the body that the energy has, and none of the readout."""
    potential.train()
    found = potential.features(batch.z, batch.pos.clone(), batch.batch, batch.box, {})
    found.square().sum().backward()
    reached = {name for name, weight in potential.named_parameters() if weight.grad is not None and weight.grad.any()}
    potential.zero_grad()
    potential(batch.z, batch.pos.clone(), batch.batch, batch.box)[0].square().sum().backward()
    needed = {name for name, weight in potential.named_parameters() if weight.grad is not None and weight.grad.any()}
    readout = (*(f"{name}." for name in potential.readout_modules), "readout.")
    assert {name for name in needed if not name.startswith(readout)} <= reached
    assert not any(name.startswith(readout) for name in reached)


def test_checkpoint_round_trip(case, batch, tmp_path):
    first, second = build(case, seed=1), build(case, seed=2)
    expected = predict(first, batch)
    assert (predict(second, batch)[1] - expected[1]).abs().max() > 1e-6
    torch.save(first.state_dict(), tmp_path / "weights.pt")
    second.load_state_dict(torch.load(tmp_path / "weights.pt", weights_only=True))
    assert_same(predict(second, batch), expected, 0)


def test_too_many_neighbours_is_an_error_and_no_truncation(case, batch):
    kind, options = CASES[case]
    cls = MODELS.get(kind)
    potential = cls(cls.Config(**{"cutoff_A": 3.0, "hidden": 12, "layers": 1, **options, "max_neighbors": 1})).double()
    with pytest.raises(RuntimeError, match="max_num_pairs"):
        predict(potential, batch)


def test_the_readout_is_told_from_the_body(case, potential, batch):
    """A fresh readout on another network's body gives other outputs, that network's own readout gives its outputs."""
    if not potential.readout_modules:
        pytest.skip("declares no readout")
    other = build(case, seed=2)
    state = other.state_dict()
    body = other.body(state)
    assert 0 < len(body) < len(state)
    missing, unexpected = potential.load_state_dict(body, strict=False)
    assert not unexpected
    counters = {name for name in state if name.endswith("num_batches_tracked")}  # of no meaning, and never missed
    assert set(missing) == set(state) - set(body) - counters
    assert (predict(potential, batch)[1] - predict(other, batch)[1]).abs().max() > 1e-6
    potential.load_state_dict({name: state[name] for name in missing}, strict=False)
    assert_same(predict(potential, batch), predict(other, batch), 0)


def test_the_output_can_be_scaled(potential, batch):
    if not potential.readout_modules:
        pytest.skip("declares no readout")
    energy, force = predict(potential, batch)
    potential.scale_output(2.5)
    assert_same(predict(potential, batch), (2.5 * energy, 2.5 * force))
