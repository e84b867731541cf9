"""Reads the conformance files: what the 2021 system answers."""

import json
from pathlib import Path

import numpy as np

FOLDER = Path(__file__).parent / "conformance"


def load_json(name):
    """One JSON conformance file, by its name without ending."""
    return json.loads((FOLDER / f"{name}.json").read_text())


def load_npz(name):
    """One npz conformance file as a dict of arrays; a genotype stays JSON text."""
    with np.load(FOLDER / f"{name}.npz", allow_pickle=False) as file:
        return {key: file[key] for key in file.files}
