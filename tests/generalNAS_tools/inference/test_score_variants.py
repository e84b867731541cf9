import gzip

import h5py
import numpy as np
import pytest

from data_generators.genome import Genome
from generalNAS_tools.inference.variants import Variant, allele_windows
from tests.data_generators.own_data import random_sequence, write_fasta
from tests.generalNAS_tools.inference.small_model import (
    SEQ_SIZE,
    TARGETS,
    probabilities,
    read_tsv,
    refused,
    run,
    write_model,
)

pysam = pytest.importorskip("pysam")
RNG = np.random.default_rng(0)
GENOME = {"chr1": random_sequence(RNG, 300), "chr2": random_sequence(RNG, 200)}
HEADER = "##fileformat=VCFv4.2\n##contig=<ID=chr1>\n##contig=<ID=chr2>\n"
COLUMNS = "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"
OTHER = {"A": "C", "C": "G", "G": "T", "T": "A"}


def bases(chromosome, position, length=1):
    return GENOME[chromosome][position - 1 : position - 1 + length]


def line(chromosome, position, reference, alternatives, name="."):
    return f"{chromosome}\t{position}\t{name}\t{reference}\t{alternatives}\t.\t.\t.\n"


def substitution(chromosome, position, name="."):
    reference = bases(chromosome, position)
    return line(chromosome, position, reference, OTHER[reference], name)


def window(chromosome, position, reference, allele):
    """The allele in the centre of `SEQ_SIZE` letters, the genome around it, N beyond its ends."""
    padded = "N" * SEQ_SIZE + GENOME[chromosome] + "N" * SEQ_SIZE
    start = SEQ_SIZE + position - 1
    left = (SEQ_SIZE - len(allele)) // 2
    right = SEQ_SIZE - left - len(allele)
    stop = start + len(reference)
    return padded[start - left : start] + allele + padded[stop : stop + right]


@pytest.fixture
def files(tmp_path):
    write_model(tmp_path / "model.pth")
    write_fasta(tmp_path / "genome.fa", GENOME, width=50)
    return tmp_path


def score(folder, text, *more, out="out.tsv", vcf="v.vcf"):
    if text is not None:
        (folder / vcf).write_text(HEADER + COLUMNS + text)
    return run("score_variants", f"--model={folder / 'model.pth'}", f"--vcf={folder / vcf}",
               f"--genome={folder / 'genome.fa'}", f"--out={folder / out}", *more)  # fmt: skip


def scored(folder, text, *more, **options):
    outcome = score(folder, text, *more, **options)
    assert outcome.code == 0, outcome.stderr
    return read_tsv(folder / "out.tsv"), outcome.stderr


def check(rows, folder, windows, *, both=True):
    """Rows of the table against forward passes of letters; `windows` are (before, after)."""
    before, after = (
        probabilities(folder / "model.pth", texts, both=both).ravel()
        for texts in zip(*windows, strict=True)
    )
    odds = np.log(after / (1 - after)) - np.log(before / (1 - before))
    expected = {
        "reference_probability": before,
        "alternative_probability": after,
        "difference": after - before,
        "log_odds_ratio": odds,
    }
    for name, values in expected.items():
        found = [float(row[name]) for row in rows]
        np.testing.assert_allclose(found, values, rtol=1e-3, atol=2e-6, err_msg=name)
    assert np.abs(after - before).max() > 0.05


@pytest.mark.parametrize("both", [True, False])
def test_substitutions_equal_direct_forward_passes(files, both):
    places = [("chr1", 100), ("chr2", 60), ("chr1", 3), ("chr2", 199)]
    text = "".join(substitution(c, p, f"rs{p}") for c, p in places)
    rows, stderr = scored(files, text, f"--average_strands={both}", "--batch_size=3")
    keys = [(r["chromosome"], int(r["position"]), r["name"], r["target"]) for r in rows]
    assert keys == [(c, p, f"rs{p}", target) for c, p in places for target in TARGETS]
    assert {row["ref_match"] for row in rows} == {"True"}
    assert "4 variants; 0 reference alleles are not the genome's" in stderr
    letters = [(c, p, bases(c, p)) for c, p in places]
    windows = [(window(c, p, r, r), window(c, p, r, OTHER[r])) for c, p, r in letters]
    check(rows, files, windows, both=both)


def test_indels_are_centred_anew(files):
    start = 150
    deleted, inserted = bases("chr1", start, 7), bases("chr1", 90) + "GATTACAGG"
    text = line("chr1", start, deleted, deleted[0])
    text += line("chr1", 90, inserted[0], inserted)
    rows, _ = scored(files, text)
    windows = [
        [window("chr1", start, deleted, allele) for allele in (deleted, deleted[0])],
        [window("chr1", 90, inserted[0], allele) for allele in (inserted[0], inserted)],
    ]
    check(rows, files, windows)
    after = windows[0][1]
    assert after[: SEQ_SIZE // 2] == GENOME["chr1"][start - 20 : start]
    assert after[SEQ_SIZE // 2 :] == GENOME["chr1"][start + 6 : start + 26]


def test_alleles_of_a_line_are_scored_as_if_written_alone(files):
    long = bases("chr1", 120, 5)
    start, end = OTHER[long[0]], OTHER[long[4]]
    several = f"{long[0]},{start}{long[1:]},{long[:4]}{end},{long}TT"
    rows, stderr = scored(files, line("chr1", 120, long, several))
    assert "4 variants;" in stderr
    assert [r["alternative"] for r in rows[::3]] == several.split(",")
    alone = line("chr1", 120, long, long[0]) + line("chr1", 120, long[0], start)
    alone += line("chr1", 124, long[4], end) + line("chr1", 124, long[4], f"{long[4]}TT")
    others, _ = scored(files, alone)
    for name in ("reference_probability", "alternative_probability", "log_odds_ratio"):
        assert [r[name] for r in rows] == [r[name] for r in others]


def test_reference_alleles_that_are_not_the_genome_s(files):
    wrong = OTHER[bases("chr2", 50)]
    text = substitution("chr1", 100) + line("chr2", 50, wrong, OTHER[wrong])
    text += substitution("chr1", 140).lower()
    rows, stderr = scored(files, text)
    assert [row["ref_match"] for row in rows] == [
        m for m in ("True", "False", "True") for _ in "123"
    ]
    assert "3 variants; 1 reference alleles are not the genome's" in stderr
    windows = [window("chr2", 50, wrong, allele) for allele in (wrong, OTHER[wrong])]
    check(rows[3:6], files, [windows])


def test_the_summary_has_the_largest_effect_first(files):
    places = [("chr1", position) for position in range(60, 240, 20)]
    rows, _ = scored(files, "".join(substitution(c, p) for c, p in places), "--batch_size=4")
    effects = {}
    for row in rows:
        key = row["position"]
        if key not in effects or abs(float(row["difference"])) > abs(effects[key][0]):
            effects[key] = float(row["difference"]), row["target"]
    summary = read_tsv(files / "out.summary.tsv")
    assert [(r["position"], r["target"]) for r in summary] == [
        (key, target) for key, (_, target) in sorted(effects.items(), key=lambda i: -abs(i[1][0]))
    ]
    assert list(summary[0]) == list(rows[0])
    assert score(files, None, "--batch_size=2", "--top=3").code == 0
    top = read_tsv(files / "out.summary.tsv")
    assert [row["position"] for row in top] == [row["position"] for row in summary[:3]]


def test_other_forms_of_the_file_and_the_table(files):
    text = substitution("chr1", 100) + substitution("chr2", 60)
    rows, _ = scored(files, text)
    with (
        pysam.VariantFile(str(files / "v.vcf")) as source,
        pysam.VariantFile(str(files / "v.bcf"), "wb", header=source.header) as binary,
    ):
        for record in source:
            binary.write(record)
    (files / "crlf.vcf").write_bytes((files / "v.vcf").read_bytes().replace(b"\n", b"\r\n"))
    pysam.tabix_compress(str(files / "v.vcf"), str(files / "bgzip.vcf.gz"))
    for vcf in ("v.bcf", "bgzip.vcf.gz", "crlf.vcf"):
        assert scored(files, None, vcf=vcf)[0] == rows
    for out in ("out.npz", "out.h5"):
        assert score(files, None, out=out).code == 0
    columns = ("reference_probability", "alternative_probability", "difference", "log_odds_ratio")
    with np.load(files / "out.npz") as first, h5py.File(files / "out.h5") as second:
        for name in columns:
            values = [[float(row[name]) for row in rows[i : i + 3]] for i in (0, 3)]
            np.testing.assert_allclose(first[name], values, rtol=1e-5)
            np.testing.assert_array_equal(first[name], second[name][()])
        assert first["position"].tolist() == second["position"][()].tolist() == [100, 60]
        assert first["ref_match"].tolist() == second["ref_match"][()].tolist() == [True, True]
        assert second["reference"].asstr()[()].tolist() == first["reference"].tolist()


def test_what_has_no_sequence_or_is_too_long_is_left_out(files):
    reference = bases("chr1", 80)
    text = "".join(line("chr1", 80, reference, other) for other in ("<DEL>", "*", "."))
    text += line("chr1", 80, reference, f"]chr2:5]{reference}")
    text += line("chr1", 80, bases("chr1", 80, SEQ_SIZE + 1), reference)
    text += line("chr1", 80, reference, f"{OTHER[reference]},<INS>")
    text += line("chr1", 5000, reference, OTHER[reference])
    text += "".join(line("chr1", 80, f"{reference}{odd}", reference) for odd in ("*", "ß", "€"))
    rows, stderr = scored(files, text)
    assert len(rows) == 3
    assert "3 variants left out: no sequence as reference allele" in stderr
    assert "1 variants left out: not within its chromosome" in stderr
    assert "5 variants left out: no sequence as alternative allele" in stderr
    assert f"1 variants left out: an allele longer than the model's {SEQ_SIZE} bp" in stderr


def test_an_allele_as_long_as_the_window_fills_it(files):
    with Genome(str(files / "genome.fa")) as genome:
        long = bases("chr1", 100, SEQ_SIZE)
        before, after = allele_windows(Variant("chr1", 100, ".", long, long[0]), genome, SEQ_SIZE)
    assert "".join("AGCT"[code] for code in before) == long
    assert len(after) == SEQ_SIZE


WRONG = [OTHER[bases("chr1", position)] for position in (50, 60)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (HEADER + COLUMNS, "v.vcf: no variant in it"),
        ("", "v.vcf: not a VCF file"),
        ("chr1 5 A C\n", "v.vcf: not a VCF file"),
        (HEADER + COLUMNS + "chr1\tx\n", "v.vcf: not a VCF file"),
        (HEADER + COLUMNS + line("chr1", 50, WRONG[0], "N") + "chr1\tx\n", "after chr1:50"),
        (HEADER + COLUMNS + line("1", 50, "A", "C"), "chromosome 1, but"),
        (HEADER + COLUMNS + line("Mars", 50, "A", "C"), "chromosome Mars is not in"),
        (
            HEADER + COLUMNS + line("chr1", 50, WRONG[0], "N") + line("chr1", 60, WRONG[1], "N"),
            "2 of 2 reference alleles are not what",
        ),
        (HEADER + COLUMNS + line("chr1", 5000, "A", "C"), "1 of 1 reference alleles are not"),
        (HEADER + COLUMNS + line("chr1", 50, "A", "<DEL>"), "no variant that can be scored in it"),
        (None, "v.vcf: no such file"),
    ],
)
def test_bad_variants_are_one_line(files, content, message):
    if content is not None:
        (files / "v.vcf").write_text(content)
    assert message in refused(files, score(files, None))


def test_damaged_files_are_one_line(files):
    (files / "v.vcf").write_text(
        HEADER + COLUMNS + "".join(substitution("chr1", p) for p in range(30, 270))
    )
    pysam.tabix_compress(str(files / "v.vcf"), str(files / "v.vcf.gz"))
    whole = (files / "v.vcf.gz").read_bytes()
    for kept, message in (
        (whole[: len(whole) // 2], "v.vcf.gz: truncated"),
        (whole[:-28], "v.vcf.gz: truncated"),
        (whole[:200] + b"damaged" + whole[207:], "v.vcf.gz: not a VCF file"),
        (
            gzip.compress(b"##file", mtime=0),
            "v.vcf.gz: compressed by gzip; expected a VCF file",
        ),
    ):
        (files / "v.vcf.gz").write_bytes(kept)
        assert message in refused(files, score(files, None, vcf="v.vcf.gz"))


def test_a_model_of_another_file_is_one_line(files):
    (files / "model.pth").write_bytes((files / "genome.fa").read_bytes())
    outcome = score(files, substitution("chr1", 100))
    assert "model.pth: not a file of this project, or damaged" in refused(files, outcome)


def test_says_when_pysam_is_absent(files, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pysam", None)
    outcome = score(files, substitution("chr1", 100))
    assert "need pysam: pip install" in refused(files, outcome)


def test_the_summary_overwrites_no_variants(files):
    text = HEADER + COLUMNS + line("chr1", 50, WRONG[0], "N")
    (files / "out.summary.tsv").write_text(text)
    outcome = score(files, None, vcf="out.summary.tsv")
    assert outcome.code == 2
    assert "out.summary.tsv: is read; expected another file" in outcome.stderr
    assert (files / "out.summary.tsv").read_text() == text
