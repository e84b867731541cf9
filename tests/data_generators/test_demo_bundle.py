import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.io
import torch

from data_generators.demo_bundle import (
    DemoOptions,
    describe_targets,
    draw_blocks,
    write_demo_bundle,
)
from data_generators.planted_motifs import MOTIFS, draw_sequences
from generalNAS_tools.data.deepsea_data import open_split

SMALL = DemoOptions(num_train=300, num_valid=40, num_test=50, seq_size=120, num_targets=9)
TEXT = np.array(list("AGCTN"))
REST = MOTIFS["REST"]


def has(codes, pattern):
    """Whether each sequence matches on either strand; no character class is needed for REST."""
    complement = pattern[::-1].translate(str.maketrans("ACGT", "TGCA"))
    return np.array([bool(re.search(f"{pattern}|{complement}", "".join(TEXT[c]))) for c in codes])


def test_files_are_deepseas(tmp_path):
    write_demo_bundle(tmp_path / "demo", SMALL)
    with h5py.File(tmp_path / "demo" / "train.mat") as file:
        assert file.userblock_size == 512
        assert file["trainxdata"].shape == (120, 4, 300)
        assert file["traindata"].shape == (9, 300)
        assert {item.dtype for item in file.values()} == {np.dtype("u1")}
        assert {item.attrs["MATLAB_class"] for item in file.values()} == {b"uint8"}
    header = (tmp_path / "demo" / "train.mat").read_bytes()[:128]
    assert header.startswith(b"MATLAB 7.3 MAT-file")
    assert header[124:] == b"\x00\x02IM"
    assert scipy.io.matlab.matfile_version(tmp_path / "demo" / "train.mat") == (2, 0)
    shapes = [entry[1] for entry in scipy.io.whosmat(tmp_path / "demo" / "test.mat")]
    assert shapes == [(50, 4, 120), (50, 9)]
    assert len((tmp_path / "demo" / "targets.txt").read_text().splitlines()) == 9


def test_files_hold_what_was_drawn(tmp_path):
    write_demo_bundle(tmp_path, SMALL)
    for name in ("train", "valid", "test"):
        split = open_split(tmp_path / f"{name}.mat", name)
        codes, labels = map(np.concatenate, zip(*draw_blocks(name, SMALL), strict=True))
        np.testing.assert_array_equal(split.all_labels(), labels)
        x = split.batch(torch.arange(split.num_sequences), torch.device("cpu")).x.numpy()
        np.testing.assert_array_equal(x.argmax(1)[codes < 4], codes[codes < 4])
        np.testing.assert_array_equal(x.sum(1), codes < 4)


def test_seed_decides_all():
    def draw(seed):
        return next(draw_blocks("train", replace(SMALL, seed=seed)))

    assert all(np.array_equal(a, b) for a, b in zip(draw(3), draw(3), strict=True))
    assert not np.array_equal(draw(3).codes, draw(4).codes)
    assert not np.array_equal(draw(3).codes[:40], next(draw_blocks("valid", SMALL)).codes)


def test_planted_motifs_are_there_and_marked():
    codes, present = draw_sequences(np.random.default_rng(0), 4000, 200)
    marked = present[:, list(MOTIFS).index("REST")]
    found = has(codes, REST)
    # 17 bp never come by chance; a mutation (3 % a base, a quarter of them silent) hides some.
    assert not (found & ~marked).any()
    assert abs(found[marked].mean() - (1 - 0.03 * 0.75) ** len(REST)) < 0.06
    assert 0.05 < marked.mean() < 0.3


def test_shuffled_labels_keep_their_shares_but_not_their_sequences():
    options = DemoOptions(num_train=2000, num_targets=16)
    plain = next(draw_blocks("train", options))
    shuffled = next(draw_blocks("train", replace(options, shuffle_labels=True)))
    np.testing.assert_array_equal(plain.codes, shuffled.codes)
    np.testing.assert_array_equal(plain.labels.sum(0), shuffled.labels.sum(0))
    target = next(t for t, line in enumerate(describe_targets(16)) if "REST" in line)
    found = has(plain.codes, REST)
    assert plain.labels[found, target].mean() > 0.95
    assert shuffled.labels[found, target].mean() < 0.3


@pytest.mark.parametrize("num_targets", [1, 3, 16, 100])
def test_every_target_is_described_and_varies(num_targets):
    options = DemoOptions(num_train=1500, num_targets=num_targets)
    labels = next(draw_blocks("train", options)).labels
    assert len(describe_targets(num_targets)) == num_targets == labels.shape[1]
    assert ((labels.mean(0) > 0.1) & (labels.mean(0) < 0.4)).all()


def test_refuses_to_replace_files_and_short_sequences(tmp_path):
    (tmp_path / "test.mat").write_bytes(b"mine")
    with pytest.raises(ValueError, match=r"test\.mat exists.*--overwrite"):
        write_demo_bundle(tmp_path, SMALL)
    assert os.listdir(tmp_path) == ["test.mat"]
    write_demo_bundle(tmp_path, SMALL, overwrite=True)
    assert (tmp_path / "test.mat").read_bytes() != b"mine"
    with pytest.raises(ValueError, match="--seq_size 99"):
        write_demo_bundle(tmp_path / "new", replace(SMALL, seq_size=99))
    assert not (tmp_path / "new").exists()


def test_what_is_in_the_way_is_named_before_anything_is_written(tmp_path):
    (tmp_path / "targets.txt").mkdir()
    with pytest.raises(ValueError, match=r"targets\.txt: can't be written"):
        write_demo_bundle(tmp_path, SMALL, overwrite=True)
    assert [path.name for path in tmp_path.iterdir()] == ["targets.txt"]


def test_script_ends_bad_input_with_one_line_and_code_2(tmp_path):
    script = Path(__file__).parents[2] / "data_generators" / "make_demo_data.py"
    command = [sys.executable, script, "--directory", tmp_path / "demo", "--seq_size", "50"]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert result.stderr.splitlines() == ["--seq_size 50: a demo needs 100 bp or more"]
