"""What a plugin's code is run in while it is checked: without a network, or quietly on one thread."""

from __future__ import annotations

import socket
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

CONNECTING = ("connect", "connect_ex", "sendto")


@contextmanager
def offline() -> Iterator[list[str]]:
    """No connection is made to another machine; the list says what was tried."""
    tried: list[str] = []

    def refuse(what: str) -> NoReturn:
        tried.append(what)
        raise ConnectionRefusedError("there is no network while a plugin is checked")

    def guarded(usual: Any) -> Any:
        def connecting(self: socket.socket, *arguments: Any) -> Any:
            if self.family in (socket.AF_INET, socket.AF_INET6):
                refuse(str(arguments[-1]))
            return usual(self, *arguments)

        return connecting

    usual = {name: getattr(socket.socket, name) for name in CONNECTING}
    resolved = socket.getaddrinfo
    try:
        for name, method in usual.items():
            setattr(socket.socket, name, guarded(method))
        socket.getaddrinfo = lambda host, *_, **__: refuse(str(host))
        yield tried
    finally:
        for name, method in usual.items():
            setattr(socket.socket, name, method)
        socket.getaddrinfo = resolved


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
