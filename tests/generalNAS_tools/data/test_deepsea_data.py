import time

import numpy as np
import pytest
import torch

from generalNAS_tools.data.deepsea_data import (
    batches,
    epoch_indices,
    is_reverse_complement_doubled,
    load_splits,
    open_split,
    reverse_complement,
)
from tests.toy_bundle import toy_arrays, write_toy_bundle, write_v5, write_v73

CPU = torch.device("cpu")


@pytest.mark.parametrize("shape", [(1, 1, 1), (20, 3, 9), (33, 50, 1), (30, 16, 8)])
@pytest.mark.parametrize("split", ["train", "valid", "test"])
@pytest.mark.parametrize("write", [write_v5, write_v73])
def test_batches_hold_the_files_values(tmp_path, shape, split, write):
    x, labels = toy_arrays(*shape)
    packed = open_split(write(tmp_path / "a.mat", split, x, labels), split)
    assert (packed.num_sequences, packed.seq_size, packed.num_targets) == shape
    assert packed.path == tmp_path / "a.mat"
    indices = epoch_indices(shape[0], seed=0, epoch=0)
    batch = packed.batch(indices, CPU)
    assert batch.x.dtype == batch.labels.dtype == torch.float32
    assert batch.x.is_contiguous()
    assert batch.labels.is_contiguous()
    np.testing.assert_array_equal(batch.x.numpy(), x[indices.numpy()])
    np.testing.assert_array_equal(batch.labels.numpy(), labels[indices.numpy()])
    assert packed.all_labels().dtype == bool
    np.testing.assert_array_equal(packed.all_labels(), labels)


def test_an_index_beyond_the_set_is_an_error(tmp_path):
    packed = open_split(write_v5(tmp_path / "a.mat", "train", *toy_arrays(5, 8, 2)), "train")
    with pytest.raises(IndexError):
        packed.batch(torch.tensor([5]), CPU)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_resident_batches_equal_mapped_ones(tmp_path):
    x, labels = toy_arrays(50, 21, 7)
    packed = open_split(write_v5(tmp_path / "a.mat", "train", x, labels), "train")
    indices = epoch_indices(50, seed=0, epoch=0)
    for resident in (False, True):
        if resident:
            packed.to_device(torch.device("cuda"))
            assert packed._resident.is_cuda
        batch = packed.batch(indices, torch.device("cuda"))
        assert batch.x.is_cuda
        np.testing.assert_array_equal(batch.x.cpu().numpy(), x[indices.numpy()])
        np.testing.assert_array_equal(batch.labels.cpu().numpy(), labels[indices.numpy()])


def test_fingerprint_tells_data_apart(tmp_path):
    prints = {
        open_split(
            write_v5(tmp_path / f"{k}.mat", "train", *toy_arrays(*shape)), "train"
        ).fingerprint
        for k, shape in enumerate([(5, 8, 2), (6, 8, 2), (5, 9, 2), (5, 8, 3)])
    }
    assert len(prints) == 4


def test_splits_of_one_bundle(tmp_path):
    bundle = write_toy_bundle(tmp_path / "data", seq_size=30, num_targets=6)
    paths = {"train": bundle.train, "valid": bundle.valid, "cache_dir": tmp_path / "cache"}
    splits = load_splits(**paths, seq_size=30)
    assert [split.num_sequences for split in splits] == [24, 16]
    assert {split.num_targets for split in splits} == {6}
    assert splits.valid.path == bundle.valid
    with pytest.raises(ValueError, match=r"--seq_size 31: .*train\.mat holds sequences of 30 bp"):
        load_splits(**paths, seq_size=31)


@pytest.mark.parametrize(
    ("other", "message"),
    [
        ({"seq_size": 41}, r"b.valid\.mat .* of 41 bp, but .*a.train\.mat of 40 bp"),
        ({"seq_size": 39}, r"b.valid\.mat .* of 39 bp, but .*a.train\.mat of 40 bp"),
        ({"num_targets": 4}, r"b.valid\.mat holds 4 targets, but .*a.train\.mat 5"),
    ],
)
def test_splits_that_disagree(tmp_path, other, message):
    train = write_toy_bundle(tmp_path / "a").train
    with pytest.raises(ValueError, match=message):
        load_splits(train, write_toy_bundle(tmp_path / "b", **other).valid)


def test_epoch_order_is_a_permutation_of_seed_and_epoch():
    orders = [epoch_indices(1000, seed=s, epoch=e) for s, e in ((0, 0), (0, 1), (1, 0))]
    for order in orders:
        assert order.dtype == torch.int64
        assert order.sort().values.equal(torch.arange(1000))
    assert orders[0].equal(epoch_indices(1000, seed=0, epoch=0))
    assert not orders[0].equal(orders[1])
    assert not orders[0].equal(orders[2])


@pytest.mark.parametrize(
    ("count", "drop_last", "sizes"),
    [
        (10, True, [4, 4]),
        (10, False, [4, 4, 2]),
        (8, True, [4, 4]),
        (3, True, [3]),
        (3, False, [3]),
    ],
)
def test_sizes_of_batches(count, drop_last, sizes):
    indices = epoch_indices(count, seed=0, epoch=0)
    parts = batches(indices, 4, drop_last=drop_last)
    assert [len(part) for part in parts] == sizes
    assert torch.cat(parts).equal(indices[: sum(sizes)])


def test_reverse_complement_by_hand():
    def encode(text):
        return torch.eye(4)[["AGCT".index(base) for base in text]].T[None]

    assert reverse_complement(encode("AAGCTTTG")).equal(encode("CAAAGCTT"))


def test_reverse_complement_doubling_is_checked_to_the_last_bit(tmp_path):
    x, labels = toy_arrays(4000, 9, 3)
    x[2000:], labels[2000:] = x[:2000, ::-1, ::-1], labels[:2000]
    verdicts = []
    for change in ("none", "base", "label", "odd"):
        changed_x, changed_labels = x.copy(), labels.copy()
        if change == "base":
            changed_x[-1, 0, 0] ^= 1
        if change == "label":
            changed_labels[-1, -1] ^= 1
        keep = slice(1 if change == "odd" else 0, None)
        path = tmp_path / f"{change}.mat"
        write_v5(path, "test", changed_x[keep], changed_labels[keep])
        verdicts.append(is_reverse_complement_doubled(open_split(path, "test")))
    assert verdicts == [True, False, False, False]


def test_100000_sequences_from_the_cache_to_the_first_batch_in_a_second(tmp_path):
    x = np.zeros((100_000, 4, 40), np.uint8, order="F")
    path = write_v5(tmp_path / "a.mat", "train", x, np.zeros((100_000, 5), np.uint8))
    open_split(path, "train")
    start = time.perf_counter()
    packed = open_split(path, "train")
    packed.batch(epoch_indices(100_000, seed=0, epoch=0)[:64], CPU)
    assert time.perf_counter() - start < 1
