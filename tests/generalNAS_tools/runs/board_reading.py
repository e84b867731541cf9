"""What TensorBoard reads of a run."""

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator


def board(folder):
    """All of the run `a`."""
    return EventAccumulator(str(folder / "tensorboard-a")).Reload()


def scalars(folder):
    """Steps and values by name; times left out."""
    found = board(folder)
    return {
        name: [(event.step, event.value) for event in found.Scalars(name)]
        for name in found.Tags()["scalars"]
        if name != "seconds"
    }
