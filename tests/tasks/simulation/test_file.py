"""Files of potentials: the same potential comes back, and what is hostile, newer or damaged is refused in words."""

from __future__ import annotations

import pickle
import zipfile

import pytest
import torch

from tasks.simulation.card import PotentialError, spanning
from tasks.simulation.file import FORMAT, VERSION, read_potential, write_potential
from tasks.simulation.potential import load, load_committee
from tests.tasks.models.conftest import build
from tests.tasks.simulation.conftest import make_card, make_potential


@pytest.fixture
def path(tmp_path):
    return tmp_path / "potential.pt"


def content(**changes):
    card = make_card("egnn").model_dump(mode="json")
    return {"format": FORMAT, "version": VERSION, "card": card, "weights": build("egnn").state_dict(), **changes}


@pytest.mark.parametrize("case", ["egnn-basis", "gns", "tensornet"])
def test_what_was_written_is_read(path, water, case):
    before = make_potential(case, dtype=torch.float32)
    write_potential(path, before.card, before.network.state_dict())
    after = load(path)
    assert after.card == before.card
    sample = water(4, 1)
    for name in ("energy", "forces"):
        one, other = (getattr(p.evaluate(sample.z, sample.pos, None, sample.box), name) for p in (before, after))
        assert torch.equal(one, other)


class Hostile:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return open, (str(self.path), "w")


def test_a_hostile_file_runs_nothing(path, tmp_path):
    trace = tmp_path / "trace"
    torch.save(content(card=Hostile(trace)), path)
    with pytest.raises(PotentialError, match="not loaded"):
        load(path)
    path.write_bytes(pickle.dumps(Hostile(trace)))
    with pytest.raises(PotentialError, match=r"not loaded|cannot be read"):
        load(path)
    assert not trace.exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": VERSION + 1}, f"format version {VERSION + 1}.*up to {VERSION}: use a later one"),
        ({"version": "1"}, "a whole number from 1"),
        ({"format": "other"}, "no file of a potential"),
        ({"card": {"species": [1]}}, "damaged"),
        ({"weights": {"a": torch.zeros(1)}}, "do not fit model 'egnn'"),
        ({"weights": [1]}, "table of tensors"),
    ],
)
def test_what_cannot_be_used_is_refused(path, changes, message):
    torch.save(content(**changes), path)
    with pytest.raises(PotentialError, match=message):
        load(path)


def test_unknown_kinds_and_options_are_refused(path):
    card = make_card("egnn").model_dump(mode="json")
    card["network"]["kind"] = "pear"
    torch.save(content(card=card), path)
    with pytest.raises(PotentialError, match=r"pear.*Install the package"):
        load(path)
    card["network"] = {"kind": "egnn", "options": {"widht": 3}}
    torch.save(content(card=card), path)
    with pytest.raises(PotentialError, match="does not take its options here"):
        load(path)


def test_weights_that_are_not_finite_are_refused(path):
    weights = build("egnn").state_dict()
    weights["readout.0.weight"][0, 0] = torch.nan
    torch.save(content(weights=weights), path)
    with pytest.raises(PotentialError, match=r"readout\.0\.weight.*not finite"):
        load(path)


def test_missing_and_torn_files_are_refused(path):
    with pytest.raises(PotentialError, match="no such file"):
        load(path)
    torch.save(content(), path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(PotentialError, match="cannot be read"):
        read_potential(path)
    path.write_text("no potential", encoding="utf-8")
    with pytest.raises(PotentialError):
        read_potential(path)


def test_a_body_predicts_nothing(path):
    card = make_card("egnn", reference_eV={}, scale_eV=None)
    write_potential(path, card, build("egnn").state_dict())
    with pytest.raises(PotentialError, match="pretrained body"):
        load(path)


def test_members_of_a_committee_are_alike(tmp_path):
    paths = []
    for number, card in enumerate([make_card(), make_card(), make_card(periodic=False)]):
        paths.append(tmp_path / f"{number}.pt")
        write_potential(paths[-1], card, build("egnn-basis", number).float().state_dict())
    assert len(load_committee(paths[:2])) == 2
    with pytest.raises(PotentialError, match="no committee"):
        load_committee(paths)
    with pytest.raises(PotentialError, match="at least one"):
        load_committee([])


def test_a_device_that_is_not_there_is_refused(path):
    with pytest.raises(PotentialError, match="allowed are cpu, cuda"):
        load(path, device="tpu")


def test_compositions_that_say_nothing_new_are_left_out():
    water, dimer, oxygen = {8: 1, 1: 2}, {8: 2, 1: 4}, {8: 2}
    assert spanning([water, dimer, oxygen, {1: 2}]) == [water, oxygen]


def test_flipped_bits_compressed_files_and_devices_are_refused(path, tmp_path):
    torch.save(content(), path)
    with zipfile.ZipFile(path) as archive, zipfile.ZipFile(tmp_path / "small.pt", "w", zipfile.ZIP_DEFLATED) as small:
        for entry in archive.infolist():
            small.writestr(entry.filename, archive.read(entry))
        first = next(entry for entry in archive.infolist() if entry.filename.endswith("data/0"))
    with pytest.raises(PotentialError, match="it is compressed"):
        load(tmp_path / "small.pt")
    data = bytearray(path.read_bytes())
    name, extra = (
        int.from_bytes(data[first.header_offset + at : first.header_offset + at + 2], "little") for at in (26, 28)
    )
    data[first.header_offset + 30 + name + extra] ^= 1
    path.write_bytes(data)
    with pytest.raises(PotentialError, match=r"data/0 has another checksum"):
        load(path)
    with pytest.raises(PotentialError, match="it is no file"):
        load("/dev/zero")
