"""The three searches that sample, as small command lines, and what they must leave."""

import csv
import shlex
from pathlib import Path

from tests.scripts.runs import SEQ_SIZE, result

RANDOM = "train_genomicRandom.py"
HYPERBAND = "train_genomicHyperbandNAS.py"
OSP = "train_genomicOSP_NAS.py"
FLAGS = {
    RANDOM: {"num_samples": 3, "epochs": 2},
    HYPERBAND: {"num_samples": 5, "iterations": 2, "budget": 1, "epochs": 2},
    OSP: {"num_init_archs": 17, "num_ops": 4, "budget": 1, "pretrain_epochs": 2, "epochs": 4},
}
PATHS = """ --train_directory='/home/ascheppa/deepsea/train.mat' \
--valid_directory='/home/ascheppa/deepsea/valid.mat' \
--test_directory='/home/ascheppa/deepsea/test.mat' """
SEED_COMMANDS = {
    HYPERBAND: """train_genomicHyperbandNAS.py --num_steps=2000 --seq_size=1000 --batch_size=64"""
    + PATHS
    + """--report_freq=1000 --epochs=20 --dropouth=0.05 --dropoutx=0.1 --rhn_lr=8 --one_clip=True \
--clip=0.25 --validation=True --report_validation=1 --budget=3 --num_samples=25 --iterations=3 \
--task='TF_bindings'  --save='hb_1' --save_dir=results/hb_search""",
    RANDOM: """train_genomicRandom.py --num_steps=2000 --seq_size=1000 --batch_size=64"""
    + PATHS
    + """--report_freq=1000 --dropouth=0.05 --dropoutx=0.1 --rhn_lr=8 --one_clip=True --clip=0.25 \
--validation=True --report_validation=1 --num_samples=20 --epochs=7 --task='TF_bindings' \
--save='random_1' --save_dir=results/random_search""",
    OSP: """train_genomicOSP_NAS.py --num_steps=2000 --seq_size=1000 --batch_size=64"""
    + PATHS
    + """--report_freq=1000 --dropouth=0.05 --dropoutx=0.1 --rhn_lr=8 --epochs=60 --one_clip=True \
--clip=0.25 --validation=True --report_validation=1 --budget=5 --pretrain_epochs=10 \
--num_init_archs=108 --num_ops=7 --task='TF_bindings' --save='osp_1' \
--save_dir=results/osp_search""",
}
SMALL = {"num_steps": 1, "seq_size": SEQ_SIZE, "batch_size": 8}


def seed_command(script, toy, **budgets):
    """The words of the user's command with this test's paths and budgets, a small network."""
    words = shlex.split(SEED_COMMANDS[script])[1:]
    for i, word in enumerate(words):
        flag, _, value = word.partition("=")
        name = flag.removeprefix("--")
        if name in SMALL | budgets:
            words[i] = f"{flag}={(SMALL | budgets)[name]}"
        elif value.startswith("/home"):
            words[i] = f"{flag}={toy.folder / 'data' / Path(value).name}"
    return [*words, "--init_channels=2", "--layers=2", "--device=cpu"]


def table(folder, name, save="a"):
    """Rows of one of the run's tables."""
    with (Path(folder) / f"{name}-{save}.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def everything(folder):
    """What must not depend on interruptions: arrays, histories, tables, names of the files."""
    rows = {
        path.name: [
            {key: value for key, value in row.items() if key != "seconds"}
            for row in table(folder, path.name.partition("-")[0])
        ]
        for path in Path(folder).glob("*.csv")
    }
    names = sorted(path.name for path in Path(folder).iterdir())
    return result(folder) | rows | {"names": names}


def outcome(folder):
    """Everything but times; the candidates' own folders are beside it."""
    found = everything(folder)
    apart = {"candidates-a", "genotype-a.png", "scores-a.png"}  # pictures: not in all tests
    return found | {"names": [name for name in found["names"] if name not in apart]}
