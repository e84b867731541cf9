"""Bundles out of a genome and peaks or FASTA; synthetic data; random architecture graphs."""
