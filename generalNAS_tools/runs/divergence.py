"""Losses and weights that are not finite: what is said of them, and how a run goes on."""

from collections.abc import Mapping
from typing import Any


class Diverged(ValueError):  # noqa: N818 - said of a network
    """A loss or a weight is not finite.

    Attributes:
        what: which one, and when; the message also says how to go on.
    """

    def __init__(self, what: str, advice: str) -> None:
        super().__init__(f"{what}; {advice}")
        self.what = what


def how_to_go_on(config: Mapping[str, Any], checkpoint: object, kept: str | None) -> str:
    """What to do after a loss or a weight that is not finite.

    Args:
        config: of the run.
        checkpoint: its file.
        kept: after what the file holds the state; None if there is none.
    """
    sgd = ("rhn_lr", "cnn_lr", "learning_rate", "clip")
    names = ("adamw_lr", "clip") if config.get("optimizer") == "adamw" else sgd
    flags = " or ".join(f"--{name}" for name in names if name in config)
    lower = f"a lower {flags or 'learning rate'}"
    if not kept:
        return f"no state was saved before; try {lower}"
    return (
        f"{checkpoint} holds the state after {kept}; go on from there with "
        f"--allow_changed_rates and {lower}, or start over with --restart"
    )
