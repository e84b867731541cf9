"""Files: written whole or not at all, read without running anything.

Checkpoints, genotype files (ours and those of 2021) and model files, and the ranks of `torchrun`,
one of which writes. May import `search_space` and `networks`.
"""
