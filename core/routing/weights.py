"""The router's mathematics: SA-MDKIF eqs. 2-7, STAF-LLM eqs. 2-7."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import torch

Regulariser = Literal["alpha", "weights", "shares"]
Scale = Literal["one", "free", "signed"]
FLOOR = 0.02
STEP = 0.5


@dataclass(frozen=True)
class WeightParameterization:
    """How a flat parameter vector becomes skill weights.

    The vector holds a, then b, each of the size of `norms` (shape (K,) or (groups, K)), then, with
    scale "free", the logarithm of the total weight c. With s the norms:
    e = a s + b (eq. 2), R = softmax(e / temperature) (eq. 3), weights = c R, and c = 1 with scale "one".
    Raises ValueError for scale "signed", which `of` makes.
    """

    norms: torch.Tensor
    temperature: float = 1.0
    scale: Scale = "one"

    @classmethod
    def of(cls, norms: torch.Tensor, scale: Scale = "one", temperature: float = 1.0) -> WeightParameterization:
        """The parameterization for a scale: "one" and "free" by a softmax, "signed" without."""
        return SignedWeights(norms) if scale == "signed" else cls(norms, temperature, scale)

    def __post_init__(self) -> None:
        if self.scale == "signed" and not isinstance(self, SignedWeights):
            raise ValueError("signed weights have no softmax: use WeightParameterization.of")

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
        """The regulariser at parameters, shape (...): sum ||a_i||^2 (SA-MDKIF eq. 6) or that of their weights."""
        if name != "alpha":
            return self.weight_penalty(self.weights(parameters), name)
        return self._a_b(parameters)[0].square().flatten(parameters.dim() - 1).sum(-1)

    def weight_penalty(self, weights: torch.Tensor, name: Regulariser) -> torch.Tensor:
        """The regulariser of weights (..., *norms.shape), however they came about, shape (...).

        "weights" is sum w_i^2 (STAF-LLM eq. 7), "shares" the same of w over the sum of magnitudes, which is at its
        least, 1/K, where all weights are 0. "alpha" is 0: weights are reached with a = 0.
        """
        if name == "alpha":
            return weights.new_zeros(weights.shape[: weights.dim() - self.norms.dim()])
        if name == "shares":
            total = weights.abs().sum(-1, keepdim=True)
            even = torch.full_like(weights, 1 / weights.shape[-1])
            weights = torch.where(total > 0, weights / total.clamp(min=torch.finfo(weights.dtype).tiny), even)
        return weights.square().flatten(weights.dim() - self.norms.dim()).sum(-1)

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


@dataclass(frozen=True)
class SignedWeights(WeightParameterization):
    """Weights of either sign and any total, without a softmax: w = p / 2, so that taking a skill away can help.

    The half makes a step about as long as one of the logits. There is no a, and no temperature.
    """

    scale: Scale = "signed"

    @property
    def size(self) -> int:
        """The number of weights."""
        return self.norms.numel()

    @property
    def directions(self) -> int:
        """All of them."""
        return self.norms.numel()

    def expand(self, point: torch.Tensor) -> torch.Tensor:
        """The point itself."""
        return point

    def reduce(self, parameters: torch.Tensor) -> torch.Tensor:
        """The parameters themselves."""
        return parameters

    def weights(self, parameters: torch.Tensor) -> torch.Tensor:
        """Weights of shape (..., *norms.shape) for float parameters of shape (..., size)."""
        return STEP * parameters.reshape(*parameters.shape[:-1], *self.norms.shape)

    def shares(self, parameters: torch.Tensor) -> torch.Tensor:
        """The weights by the sum of their sizes."""
        weights = self.weights(parameters)
        return weights / weights.abs().sum(-1, keepdim=True)

    def penalty(self, parameters: torch.Tensor, name: Regulariser) -> torch.Tensor:
        """The regulariser of the weights, shape (...)."""
        return self.weight_penalty(self.weights(parameters), name)

    def parameters(self, weights: torch.Tensor) -> torch.Tensor:
        """The parameters of the weights, exactly, shape (size,)."""
        return (weights / STEP).flatten()
