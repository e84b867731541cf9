"""The options that several scripts share, each with its default and a sentence."""

import argparse
from dataclasses import dataclass
from typing import ClassVar

from generalNAS_tools.runs.criterion import CRITERIA
from generalNAS_tools.runs.flags import SEED, flag, real, switch, whole
from generalNAS_tools.runs.frame_options import FrameOptions
from generalNAS_tools.runs.run_files import check_name

SGD_CLIP, ADAMW_CLIP = 0.25, 1.0
"""The largest total norm of the gradients where --clip doesn't say another."""


def _task(text: str) -> str:
    """Reads the task; 2021's second one is refused with a sentence."""
    if text == "next_character_prediction":
        raise argparse.ArgumentTypeError(
            f"{text!r} was never finished in the 2021 system and is not built here; "
            "expected TF_bindings"
        )
    return text


@dataclass(frozen=True, kw_only=True)
class DataOptions:
    """Where the data are and how a batch is taken."""

    title: ClassVar = "data"
    old_flags: ClassVar = True
    train_directory: str = flag(str, "data/deepsea_train/train.mat", "train.mat of the bundle")
    valid_directory: str = flag(str, "data/deepsea_train/valid.mat", "valid.mat of the bundle")
    test_directory: str = flag(str, "data/deepsea_train/test.mat", "test.mat of the bundle")
    cache_dir: str | None = flag(str, None, "folder for packed caches (default: beside each .mat)")
    seq_size: int | None = flag(whole(1), None, "sequence length in bp; checked")
    batch_size: int = flag(whole(2), 64, "sequences a step")
    num_steps: int = flag(whole(1), 2000, "steps an epoch, at most the whole set")
    rc_augment: bool = switch(False, "read each training sequence on a random strand")
    task: str = flag(_task, "TF_bindings", "what is predicted", choices=["TF_bindings"])


@dataclass(frozen=True, kw_only=True)
class LengthOptions:
    """How long to train, where that is one number."""

    title: ClassVar = "weights"
    epochs: int = flag(whole(1), 50, "epochs to train")


@dataclass(frozen=True)
class Clipping:
    """Largest gradient norms.

    Attributes:
        together: for all weights as one vector; None to clip CNN and RHN apart.
        others: for all but the RHN.
        rhn: for the RHN.
    """

    together: float | None
    others: float
    rhn: float


@dataclass(frozen=True, kw_only=True)
class AdamWOptions:
    """AdamW in place of a network's own optimizer (Loshchilov & Hutter, ICLR 2019)."""

    title: ClassVar[str | None] = "weights"
    adamw_lr: float = flag(real(0.0), 1e-3, "AdamW's learning rate, of all weights")
    adamw_weight_decay: float = flag(real(0.0), 0.01, "AdamW's weight decay")


@dataclass(frozen=True, kw_only=True)
class WeightOptions(AdamWOptions):
    """How the weights of a searched network are trained."""

    optimizer: str = flag(
        str,
        "sgd",
        "sgd, as in 2021, or adamw, which learns a small data set in far fewer steps",
        choices=["sgd", "adamw"],
    )
    cnn_lr: float = flag(real(0.0), 0.025, "learning rate of all but the RHN")
    rhn_lr: float = flag(real(0.0), 8.0, "learning rate of the RHN")
    learning_rate_min: float = flag(
        real(0.0), 0.0, "where the cosine of SGD ends; AdamW's ends at 0"
    )
    cnn_weight_decay: float = flag(real(0.0), 3e-4, "weight decay of all but the RHN")
    rhn_weight_decay: float = flag(real(0.0), 5e-7, "weight decay of the RHN")
    momentum: float = flag(real(0.0, 1.0), 0.9, "momentum of all but the RHN")
    beta: float = flag(real(0.0), 1e-3, "weight of the RHN's slowness penalty")
    one_clip: bool = switch(True, "clip all gradients together to --clip")
    clip: float | None = flag(
        real(0.0), None, "largest total norm with --one_clip (default: 0.25, for adamw 1)"
    )
    conv_clip: float = flag(real(0.0), 5.0, "else: largest norm of CNN and head")
    rhn_clip: float = flag(real(0.0), 0.25, "else: largest norm of the RHN")

    @property
    def clipping(self) -> Clipping:
        """The clipping that the flags ask for."""
        clip = self.clip
        if clip is None:
            clip = ADAMW_CLIP if self.optimizer == "adamw" else SGD_CLIP
        return Clipping(clip if self.one_clip else None, self.conv_clip, self.rhn_clip)


@dataclass(frozen=True, kw_only=True)
class SupernetOptions:
    """How a supernet is evaluated."""

    title: ClassVar = "network"
    rhn_statistics: str = flag(
        str,
        "batch",
        "what normalises the RHN's states in evaluation: the evaluated batch, or averages over "
        "training that fit none of the states (as in 2021)",
        choices=["batch", "running"],
    )


@dataclass(frozen=True, kw_only=True)
class ScoreOptions:
    """What picks the winner among trained or scored architectures."""

    title: ClassVar = "score"
    criterion: str = flag(
        str,
        "auprc",
        "mean validation AUPRC or AUROC of the targets, validation loss, or weighted F1 at 0.5",
        choices=CRITERIA,
    )


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """Where results go, seeds, resuming and reports."""

    title: ClassVar = "run"
    save_dir: str = flag(str, "results", "folder for everything the run writes")
    save: str = flag(str, "run", "the run's name within --save_dir")
    seed: int = flag(SEED, 0, "seed of everything random")
    restart: bool = switch(False, "start over where a run was interrupted")
    allow_changed_rates: bool = switch(False, "go on with other learning rates or clipping")
    device: str = flag(str, "auto", "cpu, cuda, cuda:1 ...; auto takes a GPU if there is one")
    amp: bool = switch(False, "bfloat16 matrix work")
    compile: str = flag(
        str,
        "auto",
        "fuse the RHN's time steps by torch.compile, a minute once; auto: on a GPU",
        choices=["auto", "on", "off"],
    )
    cuda_graph: str = flag(
        str,
        "auto",
        "capture every kind of step as a CUDA graph; auto: on a GPU",
        choices=["auto", "off"],
    )
    tf32: bool = switch(False, "on a GPU, TensorFloat-32 for float32 products and convolutions")
    report_freq: int = flag(whole(1, point=True), 1000, "steps between progress lines")
    validation: bool = switch(True, "validate during training")
    report_validation: int = flag(whole(1), 1, "epochs between validations")
    tensorboard: bool = switch(False, "also write a log for TensorBoard, where it is installed")

    def __post_init__(self) -> None:
        """Checks the name of the run, of which those of its files are made."""
        check_name(self.save)


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """What every script that trains searched networks takes."""

    data: DataOptions
    network: FrameOptions
    weights: WeightOptions
    run: RunOptions


@dataclass(frozen=True, kw_only=True)
class TrainingOptions(SearchOptions):
    """`SearchOptions` where the length of training is one number."""

    length: LengthOptions


@dataclass(frozen=True, kw_only=True)
class ModelOptions:
    """The model file of a network trained to the end, and early stopping."""

    title: ClassVar = "model"
    model_path: str | None = flag(str, None, "the model file (default: in --save_dir)")
    patience: int = flag(
        whole(0), 0, "epochs without a better validation loss to stop after; 0: off"
    )


@dataclass(frozen=True, kw_only=True)
class StrandOptions:
    """How the test set is predicted."""

    title: ClassVar = "test"
    average_reverse_complement: bool = switch(
        False, "average the predictions of both strands of each sequence"
    )
