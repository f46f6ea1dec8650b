"""What runs on a GPU, held to the same on the CPU in float32.

These files are collected only where torch finds a GPU, and so are no part of `make test` elsewhere: run
`pytest tests/cuda` on a machine with one.
"""

import torch

collect_ignore_glob = [] if torch.cuda.is_available() else ["test_*.py"]
