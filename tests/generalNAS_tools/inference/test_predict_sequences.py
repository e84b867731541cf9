import gzip

import h5py
import numpy as np
import pytest
import torch

from baseline_models.networks import build_baseline
from data_generators.peaks import Region
from generalNAS_tools.files import atomic_files
from generalNAS_tools.files.checkpoints import save_weights
from generalNAS_tools.inference.windows import region_starts, tile
from tests.data_generators.own_data import random_sequence, write_fasta
from tests.generalNAS_tools.inference.small_model import (
    SEQ_SIZE,
    TARGETS,
    logits,
    probabilities,
    read_tsv,
    refused,
    run,
    write_model,
)

pytest.importorskip("pysam")
RNG = np.random.default_rng(0)
SEQUENCES = {f"s{i}": random_sequence(RNG, SEQ_SIZE) for i in range(7)}
GENOME = {"chr1": random_sequence(RNG, 300), "chr2": random_sequence(RNG, 200)}


@pytest.fixture
def files(tmp_path):
    write_model(tmp_path / "model.pth")
    write_fasta(tmp_path / "x.fa", SEQUENCES)
    write_fasta(tmp_path / "genome.fa", GENOME, width=50)
    return tmp_path


def predict(folder, *more, out="out.tsv", fasta="x.fa"):
    source = [f"--fasta={folder / fasta}"] if fasta else [f"--genome={folder / 'genome.fa'}"]
    line = [f"--model={folder / 'model.pth'}", *source, f"--out={folder / out}"]
    return run("predict_sequences", *line, *more)


def predict_regions(folder, text, *more):
    (folder / "r.bed").write_text(text)
    outcome = predict(folder, f"--bed={folder / 'r.bed'}", *more, fasta=None)
    assert outcome.code == 0, outcome.stderr
    return read_tsv(folder / "out.tsv"), outcome.stderr


def answers(rows, names=TARGETS):
    return np.array([[float(row[name]) for name in names] for row in rows])


@pytest.mark.parametrize("both", [False, True])
def test_equals_direct_forward_passes(files, both):
    outcome = predict(files, f"--average_strands={both}", "--batch_size=3")
    assert outcome.code == 0, outcome.stderr
    rows = read_tsv(files / "out.tsv")
    assert [(r["sequence"], r["start"], r["end"]) for r in rows] == [
        (name, "0", str(SEQ_SIZE)) for name in SEQUENCES
    ]
    expected = probabilities(files / "model.pth", SEQUENCES.values(), both=both)
    np.testing.assert_allclose(answers(rows), expected, rtol=2e-4)
    assert np.ptp(expected) > 0.1


def test_every_suffix_holds_the_same(files):
    expected = probabilities(files / "model.pth", SEQUENCES.values())
    for out in ("out.npz", "out.h5", "out.hdf5"):
        assert predict(files, "--batch_size=3", out=out).code == 0
    with np.load(files / "out.npz", allow_pickle=False) as table:
        np.testing.assert_allclose(table["probability"], expected, rtol=1e-4)
        assert table["targets"].tolist() == TARGETS
        assert table["sequence"].tolist() == list(SEQUENCES)
        assert table["end"].tolist() == [SEQ_SIZE] * 7
    for out in ("out.h5", "out.hdf5"):
        with h5py.File(files / out) as table:
            np.testing.assert_allclose(table["probability"][()], expected, rtol=1e-4)
            assert table["targets"].asstr()[()].tolist() == TARGETS
            assert table["sequence"].asstr()[()].tolist() == list(SEQUENCES)
            assert table["start"][()].tolist() == [0] * 7


def test_longer_sequences_are_tiled(files):
    text = random_sequence(RNG, 2 * SEQ_SIZE + 15)
    write_fasta(files / "long.fa", {"long": text, "short": text[:SEQ_SIZE]})
    assert predict(files, "--step=30", fasta="long.fa").code == 0
    rows = read_tsv(files / "out.tsv")
    starts = [0, 30, 55, 0]
    assert [int(row["start"]) for row in rows] == starts
    expected = probabilities(files / "model.pth", [text[s : s + SEQ_SIZE] for s in starts])
    np.testing.assert_allclose(answers(rows), expected, rtol=2e-4)


@pytest.mark.parametrize(
    ("length", "step", "starts"),
    [
        (40, 40, [0]),
        (41, 40, [0, 1]),
        (80, 40, [0, 40]),
        (100, 40, [0, 40, 60]),
        (42, 1, [0, 1, 2]),
    ],
)
def test_tiles_cover_all_and_end_with_it(length, step, starts):
    assert [start - 7 for start in tile(7, 7 + length, 40, step)] == starts
    assert region_starts(Region("c", 7, 7 + length), 40, step) == [s + 7 for s in starts]


def test_regions_in_their_order_centred_or_tiled(files):
    rows, _ = predict_regions(files, "chr2\t100\t110\tb\nchr1\t50\t150\nchr1\t20\t61\tx\t0\t-\n")
    places = [(row["sequence"], int(row["start"])) for row in rows]
    assert places == [("chr2", 85), *(("chr1", s) for s in (50, 90, 110, 20, 21))]
    expected = probabilities(files / "model.pth", [GENOME[c][s : s + SEQ_SIZE] for c, s in places])
    np.testing.assert_allclose(answers(rows), expected, rtol=2e-4)


def test_bases_beyond_a_chromosome_are_unknown(files):
    rows, _ = predict_regions(files, "chr1\t0\t10\nchr2\t195\t200\n")
    assert [int(row["start"]) for row in rows] == [-15, 178]
    texts = ["N" * 15 + GENOME["chr1"][:25], GENOME["chr2"][178:] + "N" * 18]
    np.testing.assert_allclose(answers(rows), probabilities(files / "model.pth", texts), rtol=2e-4)


def test_regions_elsewhere_are_left_out_with_a_warning(files):
    rows, stderr = predict_regions(files, "chr1\t50\t90\nchrUn\t0\t9\n")
    assert len(rows) == 1
    assert "r.bed: 1 lines left out, on chrUn, not in" in stderr


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_lower_case_iupac_letters_and_crlf(files, end):
    text = random_sequence(RNG, SEQ_SIZE)
    mixed = "RyNn" + text[4:20].lower() + text[20:]
    write_fasta(files / "x.fa", {"mixed": mixed}, end=end)
    assert predict(files).code == 0
    rows = read_tsv(files / "out.tsv")
    expected = probabilities(files / "model.pth", ["NNNN" + text[4:]])
    np.testing.assert_allclose(answers(rows), expected, rtol=2e-4)


def test_chosen_targets_by_name_or_number(files):
    assert predict(files, "--targets", "three", "0").code == 0
    rows = read_tsv(files / "out.tsv")
    assert list(rows[0]) == ["sequence", "start", "end", "three", "one"]
    expected = probabilities(files / "model.pth", SEQUENCES.values())[:, [2, 0]]
    np.testing.assert_allclose(answers(rows, ["three", "one"]), expected, rtol=2e-4)


def test_a_name_that_several_targets_have_is_refused(files):
    write_model(files / "model.pth", targets=["one", "two", "one"])
    message = refused(files, predict(files, "--targets", "one"))
    assert message.endswith("has several of that name, 0, 2; say which")
    assert predict(files, "--targets", "2", "two").code == 0


def test_what_is_read_is_not_overwritten(files):
    (files / "r.tsv").write_text(text := "chr1\t0\t40\n")
    other_way = f"../{files.name}/r.tsv"
    outcome = predict(files, f"--bed={files / 'r.tsv'}", fasta=None, out=other_way)
    assert refused(files, outcome).endswith("r.tsv: is read; expected another file for the answers")
    assert (files / "r.tsv").read_text() == text


def test_a_name_of_several_columns_is_one_column(files):
    write_model(files / "model.pth", targets=["0\tREST, on either strand", "1\tb", "c"])
    assert predict(files, "--targets", "0", "c").code == 0
    assert list(read_tsv(files / "out.tsv")[0])[3:] == ["0 REST, on either strand", "c"]


def test_a_baseline_without_names_answers_too(files):
    torch.manual_seed(0)
    size = {"seq_size": 150, "num_targets": 2}
    network = build_baseline("DanQ", **size).eval()
    state = {"baseline": "DanQ", **size, "trained": {}, "weights": network.state_dict()}
    save_weights(files / "model.pth", state)
    text = random_sequence(RNG, 150)
    write_fasta(files / "x.fa", {"s": text})
    assert predict(files).code == 0
    expected = probabilities(files / "model.pth", [text])
    np.testing.assert_allclose(
        answers(read_tsv(files / "out.tsv"), ["0", "1"]), expected, rtol=2e-4
    )


def test_small_probabilities_keep_their_digits(files):
    expected = logits(files / "model.pth", SEQUENCES.values())
    predict(files)
    found = answers(read_tsv(files / "out.tsv"))
    np.testing.assert_allclose(np.log(found / (1 - found)), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("files_changed", "more", "message"),
    [
        ({"x.fa": b""}, [], "x.fa: no sequence in it"),
        ({"x.fa": b">short\nACGT\n"}, [], "x.fa: short has 4 bp; the model takes 40 bp"),
        ({"x.fa": b">a\n" + b"A" * 50 + b"*\n"}, [], "sequence a has a letter that is no base at"),
        ({"x.fa": ">a\nAC€T\n".encode()}, [], "x.fa: sequence a has a letter that is no base at"),
        ({"x.fa": b">a\n\n"}, [], "x.fa: a has 0 bp; the model takes 40 bp"),
        ({"x.fa": gzip.compress(b">a\nA\n", mtime=0)[:12]}, [], "x.fa: compressed by gzip"),
        ({"model.pth": b""}, [], "model.pth: not a file of this project, or damaged"),
        ({}, ["--model=no.pth"], "no.pth: no such file"),
        ({}, ["--targets", "four"], "--targets four: "),
        ({}, ["--targets", "3"], "--targets 3: "),
        ({}, ["--out=out.csv"], "out.csv: unknown suffix; expected one of .tsv, .npz, .h5, .hdf5"),
        ({}, ["--out=/proc/none/out.tsv"], "/proc/none/out.tsv: can't be written"),
        ({}, ["--genome=g.fa"], "expected either --fasta, or --genome and --bed"),
        ({}, ["--fasta="], "expected either --fasta, or --genome and --bed"),
        ({}, ["--fasta=", "--genome=g.fa"], "expected either --fasta, or --genome and --bed"),
        ({}, ["--step=-1"], "--step"),
        ({}, ["--device=abacus"], "--device abacus"),
    ],
)
def test_bad_input_is_one_line(files, files_changed, more, message):
    for name, data in files_changed.items():
        (files / name).write_bytes(data)
    assert message in refused(files, predict(files, *more))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1\t0\t30\n", "chromosome 1, but"),
        ("other\t0\t30\n", "chromosome other is not in"),
        ("chr1\t30\t30\n", "has no length: is the file 1-based?"),
        ("chr1\t30\t301\n", "ends behind the 300 bp in"),
        ("", "no region in it"),
    ],
)
def test_bad_regions_are_one_line(files, text, message):
    (files / "r.bed").write_text(text)
    outcome = predict(files, f"--bed={files / 'r.bed'}", fasta=None)
    assert message in refused(files, outcome)


@pytest.mark.parametrize("out", ["out.tsv", "out.npz", "out.h5"])
def test_a_full_disk_leaves_what_was_there(files, out, monkeypatch):
    (files / out).write_bytes(b"old")

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(atomic_files.os, "fsync", full)
    outcome = predict(files, out=out)
    assert outcome.code == 2
    assert f"{out}: can't be written (No space left on device)" in outcome.stderr
    assert (files / out).read_bytes() == b"old"
    assert not list(files.glob("*.part"))
