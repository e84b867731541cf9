"""A small run of every script in which each of its features shows: several stages, rounds, drops.

All flags that shape a run are given, so that a changed default is no changed trajectory.
"""

import json
from types import MappingProxyType
from typing import NamedTuple

import numpy as np

from tests.scripts.in_process import command_line
from tests.toy_bundle import write_toy_bundle

SAVE = "a"
SEQ_SIZE = 24
CONCAT = [1, 2, 3, 4, 5, 6, 7, 8]
GENOTYPE = {
    "normal": [["max_pool_5", 0], ["skip_connect", 1], ["sep_conv_9", 0], ["skip_connect", 2]] * 2,
    "normal_concat": [2, 3, 4, 5],
    "reduce": [["skip_connect", 0], ["avg_pool_5", 1], ["dil_conv_9", 2], ["max_pool_5", 0]] * 2,
    "reduce_concat": [2, 3, 4, 5],
    "rnn": [["tanh", 0], ["relu", 1], ["sigmoid", 0], ["identity", 2]] * 2,
    "rnn_concat": CONCAT,
}
DATA = {"num_train": 40, "num_valid": 28, "num_test": 20, "num_targets": 3}
LOOP = {
    "batch_size": 8,
    "num_steps": 2,
    "seed": 3,
    "validation": True,
    "report_validation": 1,
    "report_freq": 1,
    "device": "cpu",
    "amp": False,
}
WEIGHTS = {
    "cnn_lr": 0.1,
    "rhn_lr": 1.0,
    "learning_rate_min": 0.01,
    "cnn_weight_decay": 0.01,
    "rhn_weight_decay": 0.001,
    "momentum": 0.9,
    "beta": 0.5,
}
TOGETHER = {"one_clip": True, "clip": 0.2, "conv_clip": 0.05, "rhn_clip": 0.02}
APART = {"one_clip": False, "clip": 0.2, "conv_clip": 0.3, "rhn_clip": 0.02}
NETWORK = {"init_channels": 2, "layers": 3, "dropoutx": 0.2, "dropouth": 0.1, "head_dropout": 0.1}
SEARCHED = LOOP | WEIGHTS | NETWORK
ALPHAS = {"arch_lr": 0.02, "arch_weight_decay": 0.01}
STAGES = ALPHAS | {
    "epochs": [2, 2, 2],
    "frozen_epochs": [1, 1, 0],
    "dropout_rate": [0.4, 0.3, 0.2],
    "num_keep_cnn": [5, 3, 1],
    "num_keep_rnn": [4, 2, 1],
    "max_skip_connects": 0,
}
TIGHT = {"clip": 0.02}
"""Also clips the alphas' gradients, whose norm is between 0.03 and 0.05 here."""
SAMPLED = {"epochs": 3, "drop_path_prob": 0.3}
BASELINE = LOOP | {"seq_size": 38, "epochs": 3, "patience": 0, "average_reverse_complement": False}


class Run(NamedTuple):
    """A script and its flags; `bundle` are options of the toy bundle."""

    script: str
    flags: dict
    bundle: dict = MappingProxyType({})

    def line(self, folder):
        """Writes the run's data into `folder`; gives the command line of a run into folder/run."""
        flags = {"seq_size": SEQ_SIZE} | self.flags
        options = DATA | {"seq_size": flags["seq_size"]} | self.bundle
        bundle = write_toy_bundle(folder / "data", **options)._asdict()
        flags |= {f"{name}_directory": path for name, path in bundle.items()}
        if self.script.endswith("train_finalArchitecture.py"):
            flags["genotype_file"] = folder / "genotype.npy"
            np.save(flags["genotype_file"], np.array(json.dumps(GENOTYPE)))
        return command_line(flags | {"save": SAVE, "save_dir": folder / "run"})


def _baseline(model, flags, **bundle):
    return Run("baseline_models/train_baseline.py", BASELINE | {"model": model} | flags, bundle)


_DARTS = SEARCHED | ALPHAS | {"epochs": 3, "frozen_epochs": 1}
RUNS = {
    "darts": Run("train_genomicDARTS.py", _DARTS | APART | {"unrolled": False}),
    "darts_unrolled": Run(
        "train_genomicDARTS.py", _DARTS | TOGETHER | {"unrolled": True, "epochs": 2}
    ),
    "pdarts": Run("train_genomicPDARTS.py", SEARCHED | STAGES | TOGETHER | TIGHT | {"seed": 0}),
    "cwp_darts": Run(
        "train_genomicCWP_DARTS.py", SEARCHED | STAGES | TOGETHER | TIGHT | {"num_steps": 1}
    ),
    "dep_darts": Run(
        "train_genomicDEP_DARTS.py",
        SEARCHED
        | STAGES
        | APART
        | TIGHT
        | {"num_keep_cnn_edges": [4, 3], "num_keep_rnn_edges": [5, 3]}
        | {"num_steps": 1, "report_validation": 2},
    ),
    "osp": Run(
        "train_genomicOSP_NAS.py",
        SEARCHED
        | TOGETHER
        | {"num_init_archs": 17, "num_ops": 5, "budget": 2, "pretrain_epochs": 3, "epochs": 5}
        | {"cnn_lr_decay": 0.02, "rhn_lr_decay": 0.3, "head_dropout": 0.4},
    ),
    "bonas": Run(
        "train_genomicBONAS.py",
        SEARCHED
        | TOGETHER
        | {"epochs": 3, "train_supernet_epochs": 2, "super_batch_size": 8, "sub_batch_size": 10}
        | {"init_num": 4, "bo_sample_num": 2, "iterations": 1, "recalibration_steps": 2}
        | {"predictor": "gcn", "gcn_epochs": 2, "gcn_lr": 0.001, "loss_num": 3}
        | {"sample_method": "ea", "generate_num": 12, "acquisition": "ucb"},
    ),
    "random": Run("train_genomicRandom.py", SEARCHED | APART | SAMPLED | {"num_samples": 3}),
    "hyperband": Run(
        "train_genomicHyperbandNAS.py",
        SEARCHED
        | TOGETHER
        | SAMPLED
        | {"num_samples": 8, "budget": 1, "iterations": 2, "brackets": 2},
    ),
    "final": Run(
        "generalNAS_tools/train_finalArchitecture.py",
        SEARCHED | APART | {"cnn_lr": 3.0, "epochs": 6, "patience": 2, "drop_path_prob": 0.3},
    ),
    "deepsea": _baseline(
        "DeepSEA", {"seq_size": 163, "epochs": 6, "patience": 1, "learning_rate": 0.3}
    ),
    "danq": _baseline("DanQ", {"learning_rate": 0.003}),
    "ncnet_rr": _baseline(
        "NCNet_RR", {"learning_rate": 0.001, "validation": False, "epochs": 2, "batch_size": 4}
    ),
    "ncnet_brr": _baseline(
        "NCNet_bRR",
        {"learning_rate": 0.002, "average_reverse_complement": True, "report_validation": 2},
        reverse_complement_doubled=True,
    ),
}
