"""Differentiable search: alphas and their softmax, stages, discarding, architect, genotypes."""
