"""Structures in RuNNer's format, which n2p2 reads and writes."""
