"""What a plugin's code is run in while it is checked: without a network, or quietly on one thread."""

from __future__ import annotations

import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch


@contextmanager
def offline() -> Iterator[None]:
    """No connection is made; one that is tried is refused."""

    def refuse(*_: Any) -> None:
        raise ConnectionRefusedError("a converter may not use the network")

    with patch.object(socket.socket, "connect", refuse):
        yield


@contextmanager
def one_thread() -> Iterator[None]:
    """PyTorch on one thread, which is fastest for models this small, and libraries' warnings unheard."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        torch.set_num_threads(before)
