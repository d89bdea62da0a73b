"""Datasets read once, and structures pooled for pretraining."""

from __future__ import annotations

from dataclasses import replace

import ase.io
import numpy as np
import pytest

from benchmark.cell.library import Library, pool_structures
from benchmark.planning.reading import load_suite
from tasks.datasets.base import DatasetError, Outline
from tasks.options.pretexts import MaskingConfig, PretextError
from tasks.pretexts.masking import Masking
from tests.benchmark.own_suite import arms, cells_of, write_frames


def test_what_a_pretext_cannot_be_applied_to_is_left_out_of_pretraining(own, tmp_path):
    """Frames without hydrogen stay in the dataset, and pretraining has the others."""
    bare = write_frames(tmp_path / "bare.xyz", 6, seed=9, symbols="CCO")
    write_frames(own.files["c"], 14, seed=4, append=bare)
    cell = cells_of(own(strategies=arms(pretrain_on=["c"])))["a", "masked"]
    pretext, library = Masking(MaskingConfig(target="bonded")), Library(tmp_path)
    pool = pool_structures(cell.pretraining.parts, pretext, 0, library)
    assert pool.left_out == 6
    assert len(pool.samples) == 14 == len(pool.split.train) + len(pool.split.val)
    assert not any("y" in sample or "neg_dy" in sample for sample in pool.samples)
    write_frames(own.files["c"], 8, seed=4, symbols="CCO")
    cell = cells_of(own(strategies=arms(pretrain_on=["c"])))["a", "masked"]
    with pytest.raises(PretextError, match=r"atom masking needs .* none of the training structures"):
        pool_structures(cell.pretraining.parts, pretext, 0, Library(tmp_path))


def test_another_trajectory_makes_another_content_of_the_cells_that_pretrain_on_it(own, tmp_path):
    cells = cells_of(own(strategies=arms(pretrain_on=["c"])))
    before = {arm: Library(tmp_path).contents(cells["a", arm].reads) for arm in ("scratch", "masked")}
    write_frames(own.files["c"], 50, seed=33)
    after = {arm: Library(tmp_path).contents(cells["a", arm].reads) for arm in ("scratch", "masked")}
    assert before["scratch"] == after["scratch"]
    assert before["masked"] != after["masked"]


def test_other_groups_or_molecules_are_other_data(own, tmp_path):
    """Frames that are the same but split otherwise, or masked otherwise, give other results."""
    data = Library(tmp_path).load(load_suite(str(own()), "tiny").datasets["a"])
    copies = [sample.clone() for sample in data.samples]
    other = [sample.clone() for sample in data.samples]
    other[3].site = other[3].site.flip(0)
    grouped = Outline(np.arange(20) // 4)
    hashes = {
        replace(data, samples=copies).content_hash,
        replace(data, outline=grouped).content_hash,
        replace(data, outline=Outline(data.outline.groups, ((np.arange(3), np.arange(3, 6)),))).content_hash,
        replace(data, samples=other).content_hash,
    }
    assert data.content_hash in hashes
    assert len(hashes) == 4


def test_periodic_and_isolated_structures_make_no_pool(own, tmp_path):
    atoms = write_frames(own.files["c"], 20, seed=5)
    for frame in atoms:
        frame.cell, frame.pbc = [12, 12, 12], True
    ase.io.write(own.files["c"], atoms, format="extxyz")
    cell = cells_of(own(strategies=arms(pretrain_on=["a", "c"])))["a", "masked"]
    with pytest.raises(DatasetError, match="periodic and on isolated"):
        pool_structures(cell.pretraining.parts, Masking(MaskingConfig(target="bonded")), 0, Library(tmp_path))
