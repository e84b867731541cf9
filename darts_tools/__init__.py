"""Differentiable search: alphas, architect and genotype derivation."""
