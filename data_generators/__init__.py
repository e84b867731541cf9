"""Synthetic DeepSEA-format data and random architectures."""
