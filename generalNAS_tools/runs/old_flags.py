"""Flags of the 2021 system's parsers that are accepted so that its commands still run."""

OLD_NAMES = {
    "arch_learning_rate": "arch_lr",
    "arch_wdecay": "arch_weight_decay",
    "wdecay": "rhn_weight_decay",
}
"""Today's name by the old one; where a script has no such flag, the old one is inert."""
INERT = (
    *("add_layers", "add_width", "alpha", "arch", "arch_lr", "cifar100", "continue_train", "cuda"),
    *("cutout", "cutout_length", "data", "drop_path_prob", "genotype_file", "gpu", "grad_clip"),
    *("improv", "log-interval", "max_seq_len_delta", "nonmono", "note", "num_classes"),
    *("num_super_subnets", "pdarts", "search", "single_gpu", "small_batch_size", "steps"),
    *("tmp_data_dir", "train_portion", "unrolled", "weight_decay", "workers"),
    # Data of other tasks than TF_bindings.
    *("next_character_predict_character", "next_character_predict_sequence"),
    *("next_character_prediction", "num_files"),
    *("train_input_directory", "valid_input_directory", "test_input_directory"),
    *("train_target_directory", "valid_target_directory", "test_target_directory"),
)
"""Flags without effect on TF_bindings. A script's own flag of that name goes first."""
