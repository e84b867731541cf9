"""Mutation of architectures and the archive of scored ones."""
