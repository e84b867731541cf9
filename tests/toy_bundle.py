"""Writes tiny DeepSEA bundles for tests."""

from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
import scipy.io


class ToyBundle(NamedTuple):
    train: Path
    valid: Path
    test: Path


def toy_arrays(num_sequences, seq_size, num_targets, *, seed=0):
    """Random one-hot DNA (N, 4, L) with some unknown and ambiguous bases, labels (N, targets)."""
    rng = np.random.default_rng(seed)
    bases = rng.integers(0, 4, (num_sequences, seq_size))
    x = np.eye(4, dtype=np.uint8)[bases].transpose(0, 2, 1).copy()
    odd = rng.random((num_sequences, 1, seq_size)) < 0.02
    x = np.where(odd, rng.integers(0, 2, x.shape, dtype=np.uint8), x)
    return x, (rng.random((num_sequences, num_targets)) < 0.3).astype(np.uint8)


def write_v73(path, split, x, labels, **options):
    """Writes arrays (N, 4, L) and (N, targets) as HDF5 with reversed axes; h5py options."""
    with h5py.File(path, "w", userblock_size=512) as file:
        file.create_dataset(f"{split}xdata", data=x.transpose(2, 1, 0), **options)
        file.create_dataset(f"{split}data", data=labels.T)
    return Path(path)


def write_v5(path, split, x, labels, *, compressed=True):
    """Writes arrays (N, 4, L) and (N, targets) as MATLAB v5."""
    variables = {f"{split}xdata": x, f"{split}data": labels}
    scipy.io.savemat(path, variables, do_compression=compressed)
    return Path(path)


def write_toy_bundle(
    folder,
    *,
    num_train=24,
    num_valid=16,
    num_test=16,
    seq_size=40,
    num_targets=5,
    reverse_complement_doubled=False,
    seed=0,
):
    """Writes train.mat (v7.3), valid.mat and test.mat (v5) into `folder`, made if absent.

    With `reverse_complement_doubled` the second half of the test set is the reverse complement
    of the first, as in DeepSEA's own.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    train = toy_arrays(num_train, seq_size, num_targets, seed=seed)
    valid = toy_arrays(num_valid, seq_size, num_targets, seed=seed + 1)
    x, labels = toy_arrays(num_test, seq_size, num_targets, seed=seed + 2)
    if reverse_complement_doubled:
        half = num_test // 2
        x[half:] = x[:half, ::-1, ::-1]
        labels[half:] = labels[:half]
    return ToyBundle(
        write_v73(folder / "train.mat", "train", *train),
        write_v5(folder / "valid.mat", "valid", *valid),
        write_v5(folder / "test.mat", "test", x, labels),
    )
