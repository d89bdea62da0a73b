"""Structures of another dataset with the labels of a cheaper level of theory."""
