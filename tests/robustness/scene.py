"""A folder with one good file of every kind that a script reads, each made by what writes it."""

import pickle
from pathlib import Path

import numpy as np

from data_generators.random_graphs import random_architecture
from opendomain_utils.archive import Archive, ScoredArchitecture
from tests.scripts.in_process import run_script
from tests.scripts.runs import FINAL, GENOTYPE, Toy
from tests.toy_bundle import toy_arrays, write_v5, write_v73

SEQ_SIZE = 40
"""What the baselines need, in bp."""


class Scene:
    """The files, by kind; `out` is where the scripts write, `nowhere` a file that isn't there."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.out, self.nowhere = self.folder / "out", self.folder / "nowhere.mat"
        self.file = self.folder / "text.txt"
        self.file.write_text("no file of this project\n")
        self.toy = Toy.make(self.folder, seq_size=SEQ_SIZE)
        self.run = self.folder / "run"
        done = run_script(FINAL, self._line())
        assert done.code == 0, done.stderr
        arrays = toy_arrays(12, SEQ_SIZE, 5)
        self.good = {
            "genotype": self.folder / "genotype.npy",
            "genotype of 2021": self.folder / "old.npy",
            "model": self.run / "model-a.pth",
            "checkpoint": self.run / "checkpoint-a.pt",
            "archive": self._archive(),
            "v5": write_v5(self.folder / "v5.mat", "train", *arrays, compressed=False),
            "v5, compressed": write_v5(self.folder / "v5c.mat", "train", *arrays),
            "v7.3": write_v73(self.folder / "v73.mat", "train", *arrays),
            "v7.3, compressed": write_v73(
                self.folder / "v73c.mat", "train", *arrays, chunks=(8, 4, 4), compression=1
            ),
        }
        old = np.array((*GENOTYPE._asdict().values(),), dtype=object)
        self.good["genotype of 2021"].write_bytes(pickle.dumps(old.tolist(), protocol=2))

    def files(self):
        """The flags of the good files, and of where results go."""
        return self.toy.data_flags() | {
            "genotype_file": self.good["genotype"],
            "model": self.good["model"],
            "save_dir": self.out,
            "directory": self.out,
            "fasta": [self._fasta(label) for label in ("positives", "negatives")],
        }

    def network_files(self):
        """Of the scripts that use a trained network."""
        return {
            "out": self.folder / "out.npz",
            "genome": self._fasta("chromosomes"),
            "vcf": self._variants(),
        }

    def _line(self):
        small = {"epochs": 1, "num_steps": 1, "layers": 1, "seq_size": SEQ_SIZE}
        return self.toy.final(self.run, **small)

    def _fasta(self, label):
        path, rng = self.folder / f"{label}.fa", np.random.default_rng(len(label))
        records = (f">{n}\n{''.join(rng.choice(list('ACGT'), 40))}\n" for n in range(60))
        path.write_text("".join(records))
        return path

    def _variants(self):
        path = self.folder / "variants.vcf"
        path.write_text(
            "##fileformat=VCFv4.2\n##contig=<ID=0,length=40>\n"
            "#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n0\t20\t.\tN\tA\t.\t.\t.\n"
        )
        return path

    def _archive(self):
        path, rng = self.folder / "archive.jsonl", np.random.default_rng(0)
        archive = Archive(path)
        for number in range(4):
            archive.append(ScoredArchitecture(random_architecture(rng), number / 10, 1.0, 0))
        return path
