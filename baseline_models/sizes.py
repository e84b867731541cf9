"""Checks of the sizes that a baseline network is built for."""


def check_sizes(network: str, *, seq_size: int, num_targets: int, shortest: int) -> None:
    """Refuses sizes that a network's layers can't be built for.

    Args:
        network: the network's name, for the message.
        seq_size: sequence length in bp.
        num_targets: number of outputs.
        shortest: the shortest sequence that leaves every layer something to read, in bp.

    Raises:
        ValueError: the sequence is too short or there is no target.
    """
    if seq_size < shortest:
        raise ValueError(
            f"sequences of {seq_size} bp: {network} needs sequences of at least {shortest} bp"
        )
    if num_targets < 1:
        raise ValueError(f"num_targets {num_targets}: {network} needs at least 1 target")
