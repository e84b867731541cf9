"""One thread for every test: the workers share the machine's cores, and sums are repeatable."""

import torch

torch.set_num_threads(1)
