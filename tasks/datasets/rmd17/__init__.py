"""Revised MD17."""
