"""Cheap levels of theory: energies and forces for structures of any dataset, to pretrain on."""
