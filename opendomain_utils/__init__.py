"""Mutation of architectures, the archive of scored ones, BatchNorm recalibration of BONAS."""
