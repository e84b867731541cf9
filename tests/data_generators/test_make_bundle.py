import gzip
import os
import re
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest
import scipy.io
import torch

from data_generators import bundle_files, genome_windows
from data_generators import genome as genome_module
from data_generators.peaks import merge
from generalNAS_tools.data.deepsea_data import open_split
from generalNAS_tools.files import atomic_files
from tests.data_generators.own_data import (
    SCRIPT,
    make,
    plain_windows,
    random_sequence,
    write_fasta,
    write_genome,
    write_peaks,
)
from tests.scripts.in_process import ROOT
from tests.scripts.runs import wait_for

pysam = pytest.importorskip("pysam")
PEAKS = ("a.narrowPeak", "b.bed.gz", "c.bed")
CHROMS = {"train": {"chr1", "chr2", "chr3"}, "valid": {"chr4"}, "test": {"chr5"}}
SIZES = ("--window=300", "--bin=100")


def read(folder, name):
    """Sequences (N, 4, L) and labels (N, targets) of a split, by other readers than ours."""
    if name == "train":
        with h5py.File(folder / "train.mat") as file:
            return file["trainxdata"][()].transpose(2, 1, 0), file["traindata"][()].T
    loaded = scipy.io.loadmat(folder / f"{name}.mat")
    return loaded[f"{name}xdata"], loaded[f"{name}data"]


def flags(folder, *more, peaks=PEAKS, genome="genome.fa"):
    paths = [folder / name for name in peaks]
    return [f"--genome={folder / genome}", "--peaks", *paths, "--valid_chroms=chr4",
            "--test_chroms=chr5", f"--directory={folder / 'out'}", *SIZES, *more]  # fmt: skip


def refused(folder, line):
    """The one line that a refusal says; nothing may be written."""
    outcome = make(*line)
    assert outcome.code == 2
    assert not (folder / "out").exists() or not os.listdir(folder / "out")
    return outcome.stderr.splitlines()[-1]


@pytest.fixture
def own(tmp_path):
    genome = write_genome(tmp_path)
    return tmp_path, genome, write_peaks(tmp_path, genome)


def test_a_bundle_made_by_hand(tmp_path):
    one, two, three = "ACGTACGTAC", "TTTTNGGGGA", "CCACCCAAAA"
    write_fasta(tmp_path / "genome.fa", {"chr1": one, "chr4": two, "chr5": three})
    (tmp_path / "p.bed").write_text("chr1\t2\t4\nchr1\t7\t8\nchr4\t4\t6\nchr5\t4\t6\n")
    (tmp_path / "q.bed").write_text("chr1\t4\t6\n")
    line = [*flags(tmp_path, peaks=["p.bed", "q.bed"])[:-2], "--window=6", "--bin=2"]
    assert make(*line, "--max_unknown=0.5").code == 0
    x, y = read(tmp_path / "out", "train")
    assert y.tolist() == [[1, 0], [0, 1]]  # of 7-8 half a bin only is covered
    assert ["".join("AGCT"[i] for i in row.argmax(0)) for row in x] == ["ACGTAC", "GTACGT"]
    x, _ = read(tmp_path / "out", "valid")
    assert x[0].T.tolist()[:3] == [[0, 0, 0, 1], [0, 0, 0, 1], [0, 0, 0, 0]]
    assert x[0].T.tolist()[3:] == [[0, 1, 0, 0]] * 3
    assert (tmp_path / "out" / "targets.txt").read_text() == "p\nq\n"


@pytest.mark.parametrize("overlap", [0, 0.29, 0.5, 0.9])
def test_equals_a_plain_loop_over_bases(own, overlap):
    folder, genome, targets = own
    assert make(*flags(folder, f"--min_overlap={overlap}")).code == 0
    for name, chromosomes in CHROMS.items():
        x, y = plain_windows(genome, targets, chromosomes, window=300, size=100, overlap=overlap)
        found_x, found_y = read(folder / "out", name)
        np.testing.assert_array_equal(found_y, y)
        np.testing.assert_array_equal(found_x, x)
        assert len(x) > 10
        split = open_split(folder / "out" / f"{name}.mat", name)
        np.testing.assert_array_equal(split.all_labels(), y)
        batch = split.batch(torch.arange(len(x)), torch.device("cpu"))
        np.testing.assert_array_equal(batch.x.numpy(), x)


def test_small_blocks_and_v73_for_every_split_hold_the_same(own, monkeypatch):
    folder, _, _ = own
    make(*flags(folder, "--double_strands"))
    expected = [read(folder / "out", name) for name in CHROMS]
    monkeypatch.setattr(genome_windows, "_BLOCK", 7)
    monkeypatch.setattr(genome_module, "_PIECE", 1000)
    monkeypatch.setattr(bundle_files, "_V5_BYTES", 0)
    assert make(*flags(folder, "--double_strands", "--overwrite")).code == 0
    for name, (x, y) in zip(CHROMS, expected, strict=True):
        with h5py.File(folder / "out" / f"{name}.mat") as file:
            np.testing.assert_array_equal(file[f"{name}xdata"][()].transpose(2, 1, 0), x)
            np.testing.assert_array_equal(file[f"{name}data"][()].T, y)
        assert open_split(folder / "out" / f"{name}.mat", name).num_sequences == len(x)


@pytest.mark.parametrize("spare", [0, -1])
def test_what_a_v5_file_takes_counts_the_labels(own, monkeypatch, spare):
    folder, _, targets = own
    make(*flags(folder))
    most = max(len(read(folder / "out", name)[0]) for name in ("valid", "test"))
    monkeypatch.setattr(bundle_files, "_V5_BYTES", most * (4 * 300 + len(targets)) + spare)
    assert make(*flags(folder, "--overwrite")).code == 0
    heads = [(folder / "out" / f"{name}.mat").read_bytes()[:10] for name in ("valid", "test")]
    assert (b"MATLAB 7.3" in heads) == (spare < 0)


@pytest.mark.parametrize("form", ["crlf", "bgzip", "shuffled", "table"])
def test_other_forms_of_the_files_make_the_same_bundle(own, form, tmp_path_factory):
    folder, genome, _ = own
    assert make(*flags(folder)).code == 0
    expected = [read(folder / "out", name) for name in CHROMS]
    other = tmp_path_factory.mktemp("other")
    write_genome(other, end="\r\n" if form == "crlf" else "\n")
    write_peaks(other, genome)
    line, name = flags(other), "genome.fa"
    if form == "crlf":
        text = (other / "c.bed").read_bytes()
        (other / "c.bed").write_bytes(text.replace(b"\n", b"\r\n"))
    if form == "bgzip":
        pysam.tabix_compress(str(other / name), str(other / "genome.fa.gz"))
        line = flags(other, genome="genome.fa.gz")
    if form == "shuffled":
        rows = (other / "c.bed").read_text().splitlines(keepends=True)
        (other / "c.bed").write_text("".join(rows[::-1]))
    if form == "table":
        (other / "t.tsv").write_text("".join(f"{p.split('.')[0]}\t{p}\n" for p in PEAKS))
        line = [w for w in line if w != "--peaks" and w not in [other / p for p in PEAKS]]
        line.append(f"--peaks_table={other / 't.tsv'}")
    outcome = make(*line)
    assert outcome.code == 0, outcome.stderr
    assert ("unsorted" in outcome.stderr) == (form == "shuffled")
    for name, (x, y) in zip(CHROMS, expected, strict=True):
        found = read(other / "out", name)
        np.testing.assert_array_equal(found[0], x)
        np.testing.assert_array_equal(found[1], y)


def test_both_strands_follow_each_other(own):
    folder, _, _ = own
    make(*flags(folder))
    single = {name: read(folder / "out", name) for name in CHROMS}
    assert make(*flags(folder, "--double_strands", "--overwrite")).code == 0
    for name, (x, y) in single.items():
        both, labels = read(folder / "out", name)
        np.testing.assert_array_equal(both[: len(x)], x)
        np.testing.assert_array_equal(both[len(x) :], x[:, ::-1, ::-1])
        np.testing.assert_array_equal(labels, np.concatenate([y, y]))


def test_the_same_data_make_the_same_bytes(own, monkeypatch):
    folder, _, _ = own
    make(*flags(folder))
    before = {path.name: path.read_bytes() for path in (folder / "out").iterdir()}
    monkeypatch.setattr(time, "asctime", lambda *_: "another time")
    assert make(*flags(folder, "--overwrite")).code == 0
    assert {path.name: path.read_bytes() for path in (folder / "out").iterdir()} == before
    header = b"MATLAB 5.0 MAT-file, Platform: GLNXA64, Created by genomeNAS  "
    assert scipy.io.loadmat(folder / "out" / "valid.mat")["__header__"].startswith(header[:-2])
    assert before["test.mat"].startswith(header)


def test_negatives_touch_no_peak_and_match_in_gc(own):
    folder, _, targets = own
    sparse = {name: rows[::6] for name, rows in targets.items()}
    for name, rows in zip(("a.bed", "b.bed", "c.bed"), sparse.values(), strict=True):
        (folder / name).write_text("".join(f"{c}\t{s}\t{e}\n" for c, s, e in rows))
    line = flags(folder, "--negatives=matched", peaks=["a.bed", "b.bed", "c.bed"])
    outcome = make(*line)
    assert outcome.code == 0, outcome.stderr
    x, y = read(folder / "out", "train")
    negative = ~y.any(1)
    assert 0 < negative.sum() <= (~negative).sum()
    classes = (50 * x[:, 1:3].sum((1, 2), dtype=int)) // x.sum((1, 2), dtype=int)
    spare = np.bincount(classes[~negative], minlength=50) - np.bincount(
        classes[negative], minlength=50
    )
    assert (spare >= 0).all()
    missing = (~negative).sum() - negative.sum()
    assert missing == spare.sum()
    make(*line, "--overwrite")
    np.testing.assert_array_equal(read(folder / "out", "train")[0], x)
    make(*line, "--overwrite", "--seed=1")
    other = read(folder / "out", "train")[0]
    assert other.shape != x.shape or (other != x).any()


def test_excluded_regions_and_unknown_bases_are_dropped_and_counted(own):
    folder, _, _ = own
    assert "dropped: too many unknown" in make(*flags(folder)).stderr
    all_windows = len(read(folder / "out", "train")[0])
    (folder / "no.bed").write_text("chr2\t0\t3000\n")
    outcome = make(*flags(folder, f"--exclude={folder / 'no.bed'}", "--overwrite"))
    dropped = next(
        int(line.split()[0])
        for line in outcome.stderr.splitlines()
        if line.endswith("windows dropped: excluded")
    )
    left = len(read(folder / "out", "train")[0])
    assert 0 < all_windows - left <= dropped


def test_a_window_with_the_largest_share_of_unknown_bases_is_kept(tmp_path):
    windows = {"chr1": "N" * 29 + "A" * 71 + "N" * 30 + "A" * 70}
    path = write_fasta(tmp_path / "genome.fa", windows)
    options = genome_windows.WindowOptions(window=100, bin=100, max_unknown=0.29)
    peaks = {"chr1": merge(np.array([0]), np.array([200]))}
    with genome_module.Genome(str(path)) as genome:
        found = genome_windows.choose_windows(genome, "chr1", [peaks], {}, options)
    assert found.starts.tolist() == [0]


def test_files_of_one_name_in_a_table_make_one_target(own):
    folder, genome, targets = own
    rows = "# name\tfile\ntrack\ta.narrowPeak\nbrowser\tb.bed.gz\ntrack\tc.bed\n"
    (folder / "t.tsv").write_text(rows)
    line = [w for w in flags(folder, peaks=[]) if w != "--peaks"]
    assert make(*line, f"--peaks_table={folder / 't.tsv'}").code == 0
    joint = {"track": targets["a"] + targets["c"], "browser": targets["b"]}
    _, y = plain_windows(genome, joint, {"chr5"}, window=300, size=100, overlap=0.5)
    np.testing.assert_array_equal(read(folder / "out", "test")[1], y)
    assert (folder / "out" / "targets.txt").read_text() == "track\nbrowser\n"


def test_rare_targets_are_warned_of(own):
    folder, _, _ = own
    (folder / "rare.bed").write_text("chr1\t400\t600\n")
    stderr = make(*flags(folder, peaks=["c.bed", "rare.bed"])).stderr
    assert "rare: only 0 positives in test, too rare to score" in stderr
    assert "  rare: 2, 0, 0" in stderr
    assert "c: only 0 negatives in test, too rare to score" in stderr
    assert "rare: only 0 negatives" not in stderr


def test_positives_alone_are_refused(own):
    folder, _, _ = own
    line = flags(folder, peaks=["c.bed"])
    assert "nothing can be learned; add negatives (of a genome by --neg" in refused(folder, line)
    assert make(*line, "--negatives=matched").code == 0


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1\t0\t300\n", r"c\.bed: chromosome 1, but .*genome\.fa calls it chr1"),
        ("scaffold\t0\t300\n", r"c\.bed: chromosome scaffold is not in .*which has chr1"),
        ("chr1\t50\t50\n", r"c\.bed: region chr1:50-50 has no length: is the file 1-based"),
        ("chr1\t90\t50\n", r"c\.bed: region chr1:90-50 ends before it starts"),
        ("chr1\t10\t99999\n", r"c\.bed: region chr1:10-99999 ends behind .*6,037 bp"),
        ("chr1\t-1\t5\n", r"c\.bed: line .*expected a BED file"),
        ("chr1 gene exon 5 9\n", r"c\.bed: line .*expected a BED file"),
        ("", r"c\.bed: no region in it"),
        ("chr1\t1001\t1020\n", r"target c: its peaks label no window"),
    ],
)
def test_bad_peaks_are_one_line(own, text, message):
    folder, _, _ = own
    (folder / "c.bed").write_text(text)
    assert re.search(message, refused(folder, flags(folder)))


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--test_chroms=chr4"], "chr4 is in --valid_chroms and in --test_chroms"),
        (["--valid_chroms=4"], "--valid_chroms 4: "),
        (["--valid_chroms="], "no chromosome is left for valid.mat"),
        (["--test_chroms=chr1,chr2,chr3,chr5"], "no chromosome is left for train.mat"),
        (["--window=50"], "--window 50: shorter than --bin 100"),
        (["--window=99999"], "no window of train.mat has a label"),
        (["--fasta", "x.fa"], "expected either --genome or --fasta"),
        (["--labels=x"], "--labels: without effect with --genome"),
        (["--test_share", "0.1"], "--test_share: without effect with --genome"),
        (["--peaks_table=t"], "expected either --peaks or --peaks_table"),
    ],
)
def test_bad_options_are_one_line(own, more, message):
    folder, _, _ = own
    assert message in refused(folder, flags(folder, *more))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "no sequence in it"),
        (b"chr1\nACGT\n", "does not begin with '>'"),
        (gzip.compress(b">chr1\nACGT\n", mtime=0), "compressed by gzip; expected"),
        (b">chr4\nACGT\n>chr5\nAC*T\n", "sequence chr5 has a letter that is no base at position 3"),
        (
            b">chr4\nAC\nACGT\nAC\n",
            "genome.fa: can't be indexed; a sequence's lines differ in length",
        ),
        (b">chr4\nAC\n>chr5\nAC\n>chr4 x\nGG\n", "genome.fa: 2 sequences are called 'chr4'"),
    ],
)
def test_bad_genomes_are_one_line(own, data, message):
    folder, _, _ = own
    if b"*" in data:
        data = b">chr1\n" + b"AC*T" * 1500 + b"\n>chr4\nACGT\n>chr5\nACGT\n"
        message = "sequence chr1 has a letter that is no base at position 3"
        (folder / "c.bed").write_text("chr1\t600\t800\n")
    (folder / "genome.fa").write_bytes(data)
    peaks = ["c.bed"] if b"*" in data else PEAKS
    assert message in refused(folder, flags(folder, peaks=peaks))


def bgzipped(text):
    """A block of bgzip's: gzip with its length in an extra field, and the empty last one."""
    body = gzip.compress(text, mtime=0)[10:]
    head = bytes.fromhex("1f8b08040000000000ff060042430200")
    return (
        head + (len(head) + 1 + len(body)).to_bytes(2, "little") + body + genome_module._BGZIP_END
    )


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: data[:-28], "genome.fa.gz: truncated (bgzip's last block is missing)"),
        (lambda data: data[: len(data) // 2], "genome.fa.gz: truncated"),
        (lambda data: bgzipped(b"chr1\nACGT\n"), "genome.fa.gz: does not begin with '>'"),
        (lambda data: data[:3000] + b"damaged" + data[3007:], "genome.fa.gz: can't be indexed"),
    ],
)
@pytest.mark.parametrize("indexed", [False, True])
def test_damaged_bgzip_is_one_line(own, damage, message, indexed):
    folder, _, _ = own
    genome = folder / "genome.fa.gz"
    pysam.tabix_compress(str(folder / "genome.fa"), str(genome))
    genome_module.Genome(str(genome)).codes("chr5")
    genome.write_bytes(damage(genome.read_bytes()))
    if indexed:
        message = message.replace("genome.fa.gz: can't be indexed", "made anew): not a FASTA file")
        for suffix in (".fai", ".gzi"):
            os.utime(f"{genome}{suffix}")
    assert message in refused(folder, flags(folder, genome=genome.name))
    assert not list(folder.rglob("*.part"))


def test_no_index_and_no_permission_to_write_one(own, monkeypatch):
    folder, _, _ = own

    original = atomic_files._open_temporary

    def deny(path):
        if path.suffix == ".fai":
            raise PermissionError(13, "Permission denied")
        return original(path)

    with monkeypatch.context() as patch:
        patch.setattr(atomic_files, "_open_temporary", deny)
        line = refused(folder, flags(folder))
    assert line.endswith("genome.fa.fai: can't be written (Permission denied)")
    pysam.faidx(str(folder / "genome.fa"))
    with monkeypatch.context() as patch:
        patch.setattr(atomic_files, "_open_temporary", deny)
        assert genome_module.Genome(str(folder / "genome.fa")).lengths["chr5"] == 6185


def test_an_index_older_than_the_genome_is_written_anew(tmp_path):
    path = write_fasta(tmp_path / "x.fa", {"old": "ACGT" * 30})
    genome_module.Genome(str(path))
    write_fasta(path, {"longer": "AAAA", "new": "CCGT"})
    os.utime(f"{path}.fai", (0, 0))
    assert genome_module.Genome(str(path)).codes("new").tolist() == [2, 2, 1, 3]


@pytest.mark.parametrize(
    ("index", "message"),
    [
        (b"\xff\x00garbage", "not a FASTA file"),
        (b"", "no sequence in it"),
        (b"1\t6000\t6\t60\t61\nchr4\t9\t9\t9\t9\nchr5\t9\t9\t9\t9\n", "calls it 1; rename one"),
        (b"other\t6000\t6\t60\t61\n", "has other ..."),
        (
            b"chr1\t70\t6\t60\t61\nchr4\t9\t9\t9\t9\nchr5\t9\t9\t9\t9\n",
            "another genome, or 1-based",
        ),
        (None, "sequence chr1 has a letter that is no base at position 59"),
    ],
)
def test_a_wrong_index_is_named(own, index, message):
    folder, _, _ = own
    fai = folder / "genome.fa.fai"
    pysam.faidx(str(folder / "genome.fa"))
    shifted = fai.read_bytes().replace(b"chr1\t6037\t6\t", b"chr1\t6037\t8\t")
    fai.write_bytes(shifted if index is None else index)
    line = refused(folder, flags(folder))
    assert f"(by {fai}; should that be wrong, delete it: it is made anew)" in line
    assert message in line
    fai.unlink()
    assert make(*flags(folder)).code == 0


def test_a_killed_bundle_leaves_no_half_file_and_the_next_one_cleans_up(own):
    folder, _, _ = own
    line = [str(word) for word in flags(folder)]
    stall = f"""
import runpy, sys, time, scipy.io
scipy.io.savemat = lambda *_, **__: time.sleep(600)
sys.argv = {["make_bundle.py", *line]}
runpy.run_path({str(ROOT / SCRIPT)!r}, run_name="__main__")
"""
    with subprocess.Popen([sys.executable, "-c", stall]) as process:
        wait_for(lambda: list(folder.glob("out/.valid.mat.*.part")), "the second file")
        process.kill()
    assert all(path.suffix == ".part" for path in (folder / "out").iterdir())
    assert make(*line).code == 0
    assert sorted(os.listdir(folder / "out")) == sorted(
        ["train.mat", "valid.mat", "test.mat", "targets.txt"]
    )


def test_says_when_pysam_is_absent(own, monkeypatch):
    folder, _, _ = own
    monkeypatch.setitem(sys.modules, "pysam", None)
    assert refused(folder, flags(folder)).startswith("FASTA files need pysam: pip install")


def test_keeps_what_is_there(own):
    folder, _, _ = own
    make(*flags(folder))
    before = (folder / "out" / "train.mat").read_bytes()
    outcome = make(*flags(folder))
    assert outcome.code == 2
    assert "exists; replace it with --overwrite" in outcome.stderr
    assert (folder / "out" / "train.mat").read_bytes() == before


def test_nothing_is_left_of_a_bundle_that_fails(own, monkeypatch):
    folder, _, _ = own

    def fail(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(scipy.io, "savemat", fail)
    assert "valid.mat: can't be written (No space" in refused(folder, flags(folder))


def write_sequences(folder, *, count=60):
    rng = np.random.default_rng(3)
    for name in ("pos", "neg"):
        write_fasta(
            folder / f"{name}.fa", {f"{name}{i}": random_sequence(rng, 50) for i in range(count)}
        )


FASTA_SHARES = ("--valid_share=0.2", "--test_share=0.2")


def test_positives_and_negatives_out_of_fasta(tmp_path):
    write_sequences(tmp_path)
    line = ["--fasta", tmp_path / "pos.fa", tmp_path / "neg.fa", *FASTA_SHARES]
    outcome = make(*line, f"--directory={tmp_path / 'out'}")
    assert outcome.code == 0, outcome.stderr
    found = {}
    for name in CHROMS:
        for x, y in zip(*read(tmp_path / "out", name), strict=True):
            found["".join("AGCT"[i] for i in x.argmax(0))] = int(y[0])
    expected = {}
    for number, name in enumerate(("neg", "pos")):
        with pysam.FastxFile(str(tmp_path / f"{name}.fa")) as file:
            expected |= {entry.sequence: number for entry in file}
    assert found == expected


def test_labels_of_a_table(tmp_path):
    write_sequences(tmp_path)
    rows = [f"pos{i}\t{i % 2}\t{i % 3 % 2}\n" for i in range(60)]
    (tmp_path / "labels.tsv").write_text("name\tx\ty\n" + "".join(rows))
    line = ["--fasta", tmp_path / "pos.fa", f"--labels={tmp_path / 'labels.tsv'}", *FASTA_SHARES]
    line += [f"--directory={tmp_path / 'out'}", "--double_strands"]
    assert make(*line).code == 0
    with pysam.FastxFile(str(tmp_path / "pos.fa")) as file:
        number = {entry.sequence: int(entry.name[3:]) for entry in file}
    for name in CHROMS:
        x, y = read(tmp_path / "out", name)
        half = len(x) // 2
        np.testing.assert_array_equal(x[half:], x[:half, ::-1, ::-1])
        np.testing.assert_array_equal(y[half:], y[:half])
        for one, label in zip(x[:half], y, strict=False):
            i = number["".join("AGCT"[b] for b in one.argmax(0))]
            assert label.tolist() == [i % 2, i % 3 % 2]
    (tmp_path / "labels.tsv").write_text("name\tx\npos0\t1\n")
    assert "sequence pos1 is not in" in make(*line, "--overwrite").stderr
    (tmp_path / "labels.tsv").write_text("name\tx\npos0\t2\n")
    assert "row pos0; expected 1 labels, 0 or 1" in make(*line, "--overwrite").stderr


def with_labels(folder, header):
    """The command for sequences and a table, some of them called like comments of a BED file."""
    rng = np.random.default_rng(6)
    names = ["#s", "track", "browser", *(f"s{i}" for i in range(57))]
    write_fasta(folder / "x.fa", {name: random_sequence(rng, 50) for name in names})
    rows = [f"{name}\t{i % 2}\t{i // 2 % 2}\n" for i, name in enumerate(names)]
    (folder / "labels.tsv").write_text(header + "".join(rows))
    return ["--fasta", folder / "x.fa", f"--labels={folder / 'labels.tsv'}", *FASTA_SHARES,
            f"--directory={folder / 'out'}"]  # fmt: skip


def test_no_line_of_a_table_of_labels_is_a_comment(tmp_path):
    outcome = make(*with_labels(tmp_path, "#name\tTF1\tTF2\n"))
    assert outcome.code == 0, outcome.stderr
    assert (tmp_path / "out" / "targets.txt").read_text() == "TF1\nTF2\n"
    assert sum(len(read(tmp_path / "out", name)[1]) for name in CHROMS) == 60


@pytest.mark.parametrize(("header", "target"), [("x\tx", "'x'"), ("x\t", "''"), (" \tx", "' '")])
def test_targets_of_a_table_of_labels_have_a_name_each(tmp_path, header, target):
    line = with_labels(tmp_path, f"name\t{header}\n")
    assert f"labels.tsv: target {target} in its header; expected names" in refused(tmp_path, line)


def test_equal_sequences_lie_in_one_split(tmp_path):
    rng = np.random.default_rng(4)
    unique = [random_sequence(rng, 40) for _ in range(60)]
    other = [s[::-1].translate(str.maketrans("ACGT", "TGCA")) for s in unique]
    write_fasta(tmp_path / "pos.fa", {f"p{i}": s for i, s in enumerate(unique)})
    write_fasta(tmp_path / "neg.fa", {f"n{i}": s for i, s in enumerate(other)})
    line = ["--fasta", tmp_path / "pos.fa", tmp_path / "neg.fa", *FASTA_SHARES]
    assert make(*line, f"--directory={tmp_path / 'out'}").code == 0
    for name in CHROMS:
        _, y = read(tmp_path / "out", name)
        assert 2 * y.sum() == len(y) > 0


@pytest.mark.parametrize("more", ["--peaks=a", "--exclude=a", "--negatives=none", "--window=9"])
def test_flags_of_genomes_are_refused_with_fasta(tmp_path, more):
    line = [*with_labels(tmp_path, "name\tx\ty\n"), "--seed=1"]
    name = more.partition("=")[0]
    assert f"{name}: without effect with --fasta" in refused(tmp_path, [*line, more])
    assert make(*line).code == 0


def test_fasta_of_two_lengths_is_refused(tmp_path):
    write_sequences(tmp_path)
    (tmp_path / "neg.fa").write_text(">short\nACGT\n")
    line = ["--fasta", tmp_path / "pos.fa", tmp_path / "neg.fa", f"--directory={tmp_path / 'out'}"]
    assert "neg.fa: short has 4 bp; the first has 50" in refused(tmp_path, line)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_codes_cover_lower_case_the_alphabet_of_iupac_and_crlf(tmp_path, end):
    path = str(write_fasta(tmp_path / "x.fa", {"a": "ACGTacgtNnRYSWKMBDHVryswkmbdhv"}, end=end))
    (record,) = genome_module.read_fasta(path)
    assert record.name == "a"
    assert record.codes.tolist() == [0, 2, 1, 3, 0, 2, 1, 3, *[4] * 22]
    assert genome_module.Genome(path).codes("a").tolist() == record.codes.tolist()


def test_the_yeast_set_comes_out_of_its_own_protocol(tmp_path):
    """Its windows laid end to end, a base of peak for every label: the same sets come out."""
    folder, rng = ROOT / "data/yeast", np.random.default_rng(5)
    targets = (folder / "targets.txt").read_text().split()
    genome, rows, expected = {}, {name: [] for name in targets}, {}
    for split in CHROMS:
        x, y = (values[:600] for values in read(folder, split))
        labelled = y.any(1)
        x, y = x[labelled], y[labelled]
        expected[split] = x, y
        letters = np.where(x.any(1), x.argmax(1), 4).ravel()
        genome[split] = "".join(np.array(list("AGCTN"))[letters])
        for window, target in np.argwhere(y):
            place = 200 * window + int(rng.integers(200))
            rows[targets[target]].append((split, place, place + 1))
    write_fasta(tmp_path / "genome.fa", genome)
    used = [name for name in targets if rows[name]]
    for name in used:
        text = "".join("{}\t{}\t{}\n".format(*row) for row in rows[name])
        (tmp_path / f"{name}.bed").write_text(text)
    line = flags(tmp_path, peaks=[f"{name}.bed" for name in used])
    outcome = make(*line, "--valid_chroms=valid", "--test_chroms=test", "--window=200",
                   "--bin=200", "--min_overlap=0", "--max_unknown=1")  # fmt: skip
    assert outcome.code == 0, outcome.stderr
    columns = [targets.index(name) for name in used]
    for split, (x, y) in expected.items():
        found = read(tmp_path / "out", split)
        np.testing.assert_array_equal(found[0], x)
        np.testing.assert_array_equal(found[1], y[:, columns])
        assert len(x) > 300


def test_runs_as_a_command():
    result = subprocess.run(
        [sys.executable, ROOT / SCRIPT, "--help"], capture_output=True, text=True, check=True
    )
    assert "--min_overlap" in result.stdout
