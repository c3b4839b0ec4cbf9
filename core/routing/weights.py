"""The router's mathematics: SA-MDKIF eqs. 2-7, STAF-LLM eqs. 2-7."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch

Regulariser = Literal["alpha", "weights"]
FLOOR = 0.02


@dataclass(frozen=True)
class WeightParameterization:
    """How a flat parameter vector becomes skill weights.

    The vector holds a, then b, each of the size of `norms` (shape (K,) or (groups, K)), then, with
    scale "free", the logarithm of the total weight c. With s the norms:
    e = a s + b (eq. 2), R = softmax(e / temperature) (eq. 3), weights = c R, and c = 1 with scale "one".
    """

    norms: torch.Tensor
    temperature: float = 1.0
    scale: Literal["one", "free"] = "one"

    @property
    def size(self) -> int:
        """The number of parameters."""
        return 2 * self.norms.numel() + (self.scale == "free")

    @property
    def directions(self) -> int:
        """The number of directions in which the weights move at all: K - 1 for each group, and the total."""
        return self.norms.numel() - self.norms[..., 0].numel() + (self.scale == "free")

    def expand(self, point: torch.Tensor) -> torch.Tensor:
        """Parameters (..., size) of a point (..., directions): a = 0, and b without the direction softmax ignores.

        Nothing is lost: with fixed norms every energy that some a and b give is given by b alone, and a
        regulariser is never larger for it.
        """
        groups = self.norms[..., 0].numel()
        free = self.norms.numel() - groups
        b = point[..., :free].reshape(*point.shape[:-1], groups, free // groups) @ self._basis.T.to(point)
        b = b.flatten(point.dim() - 1)
        return torch.cat([torch.zeros_like(b), b, point[..., free:]], -1)

    def reduce(self, parameters: torch.Tensor) -> torch.Tensor:
        """The point (..., directions) whose weights are those of parameters (..., size)."""
        a, b = self._a_b(parameters)
        energies = a * self.norms + b
        point = (energies @ self._basis.to(energies)).flatten(parameters.dim() - 1)
        return torch.cat([point, parameters[..., 2 * self.norms.numel() :]], -1)

    @property
    def _basis(self) -> torch.Tensor:
        """Orthonormal columns (K, K - 1), all orthogonal to the vector of ones (Helmert)."""
        count = self.norms.shape[-1]
        columns = torch.triu(torch.ones(count, count - 1, dtype=torch.float64))
        index = torch.arange(1, count, dtype=torch.float64)
        columns[torch.arange(1, count), torch.arange(count - 1)] = -index
        return columns / (index * (index + 1)).sqrt()

    def weights(self, parameters: torch.Tensor) -> torch.Tensor:
        """Weights of shape (..., *norms.shape) for float parameters of shape (..., size)."""
        shares = self.shares(parameters)
        if self.scale == "one":
            return shares
        return shares * parameters[..., -1].exp().reshape(parameters.shape[:-1] + (1,) * self.norms.dim())

    def shares(self, parameters: torch.Tensor) -> torch.Tensor:
        """R of eq. 3: positive, and summing to 1 over the skills."""
        a, b = self._a_b(parameters)
        return torch.softmax((a * self.norms + b) / self.temperature, dim=-1)

    def penalty(self, parameters: torch.Tensor, name: Regulariser) -> torch.Tensor:
        """sum ||a_i||^2 (SA-MDKIF eq. 6, "alpha") or sum R_i^2 (STAF-LLM eq. 7, "weights"), shape (...)."""
        squared = (self._a_b(parameters)[0] if name == "alpha" else self.shares(parameters)) ** 2
        return squared.flatten(parameters.dim() - 1).sum(-1)

    def parameters(self, weights: torch.Tensor) -> torch.Tensor:
        """Parameters whose weights are near `weights`, shape (size,), with a = 0.

        A softmax reaches no zero, so every share is at least 0.02 / K; a total of 0 becomes 0.02.
        """
        total = float(weights.sum() / (weights.numel() / weights.shape[-1]))
        shares = weights / total if total > 0 else torch.full_like(weights, 1 / weights.shape[-1])
        smooth = (1 - FLOOR) * shares.clamp(min=0) + FLOOR / weights.shape[-1]
        b = self.temperature * smooth.log()
        b = (b - b.mean(-1, keepdim=True)).flatten()
        scale = [torch.tensor([math.log(max(total, FLOOR))])] if self.scale == "free" else []
        return torch.cat([torch.zeros_like(b), b, *scale])

    def _a_b(self, parameters: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        count = self.norms.numel()
        shape = parameters.shape[:-1] + self.norms.shape
        return parameters[..., :count].reshape(shape), parameters[..., count : 2 * count].reshape(shape)
