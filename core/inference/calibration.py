"""How strongly scores speak: a temperature, and for labels that do not compete an offset, fitted to right answers."""

from __future__ import annotations

import math

import torch
from torch.nn import functional

ROUNDS, HALVINGS, CONVERGED, LEAST = 100, 40, 1e-13, 1e-12


def choice_loss(scores: torch.Tensor, right: torch.Tensor, listed: torch.Tensor, multi_label: bool) -> torch.Tensor:
    """The cross-entropy of right labels at the temperature, and offset, that make it least, float64 (...).

    `scores` (..., records, options) may take a gradient; `right` and `listed` (records, options) say which
    options are right, and which there are. One right label a record: nats per record of
    softmax(scores / T). `multi_label`: nats per label of sigmoid((scores - their mean) / T + c).

    T and c are fitted for each leading place by itself, with a prior worth one decision that has its least
    at T = 1 and c = 0, so that they are finite where every answer is right. The prior is part of the loss,
    and its gradient that of the fitted loss: at the least T and c do not move it.
    """
    gaps = _label_gaps(scores, right, listed) if multi_label else _option_gaps(scores, right, listed)
    return _loss(gaps, _fitted(gaps.detach()))


def temperature(scores: torch.Tensor, right: torch.Tensor, listed: torch.Tensor, multi_label: bool) -> torch.Tensor:
    """The T of `choice_loss`, float64 (...)."""
    gaps = _label_gaps(scores, right, listed) if multi_label else _option_gaps(scores, right, listed)
    return 1 / _fitted(gaps.detach())[..., 0]


def _option_gaps(scores: torch.Tensor, right: torch.Tensor, listed: torch.Tensor) -> torch.Tensor:
    """How far each option is above the right one, (..., records, options, 1); what is not listed is below all."""
    scores = scores.double()
    own = scores.masked_fill(~right, 0).sum(-1, keepdim=True)
    return (scores - own).masked_fill(~listed, -torch.inf)[..., None]


def _label_gaps(scores: torch.Tensor, right: torch.Tensor, listed: torch.Tensor) -> torch.Tensor:
    """Each listed label's two answers against the right one, (..., labels, 2, 2): 0, and the sign that is wrong."""
    each = scores.double()[..., listed]
    each = each - each.mean(-1, keepdim=True)
    wrong = torch.stack([each, torch.ones_like(each)], -1) * (1 - 2 * right[listed].double())[:, None]
    return torch.stack([torch.zeros_like(wrong), wrong], -2)


def _loss(gaps: torch.Tensor, fit: torch.Tensor) -> torch.Tensor:
    """Mean of log sum exp(gaps . fit) over the decisions, and the prior; fit (..., 1 or 2) is 1 / T, and c."""
    slope = fit[..., 0]
    prior = slope - 1 - slope.log()
    if fit.shape[-1] == 2:
        prior = prior + (functional.softplus(fit[..., 1]) + functional.softplus(-fit[..., 1]) - 2 * math.log(2))
    return _logits(gaps, fit).logsumexp(-1).mean(-1) + prior / gaps.shape[-3]


def _logits(gaps: torch.Tensor, fit: torch.Tensor) -> torch.Tensor:
    return (gaps * fit[..., None, None, :]).sum(-1)


@torch.no_grad()
def _fitted(gaps: torch.Tensor) -> torch.Tensor:
    """Where `_loss`, which is convex, is least: Newton's method with shortened steps, for every leading place."""
    count, size = gaps.shape[-3], gaps.shape[-1]
    fit = torch.zeros(*gaps.shape[:-3], size, dtype=torch.float64, device=gaps.device)
    fit[..., 0] = 1
    finite = gaps.masked_fill(gaps == -torch.inf, 0)
    for _ in range(ROUNDS):
        shares = _logits(gaps, fit).softmax(-1)[..., None]
        mean = (shares * finite).sum(-2)
        apart = finite - mean[..., None, :]  # before it is squared: a difference of large squares may come out as 0
        first = mean.sum(-2)
        second = (shares[..., None] * apart[..., :, None] * apart[..., None, :]).sum(-3).sum(-3)
        first[..., 0] += 1 - 1 / fit[..., 0]
        second[..., 0, 0] += fit[..., 0] ** -2
        if size == 2:
            first[..., 1] += (fit[..., 1] / 2).tanh()
            second[..., 1, 1] += ((1 - (fit[..., 1] / 2).tanh() ** 2) / 2).clamp(min=LEAST)
        solved, failed = torch.linalg.solve_ex(second, first[..., None])
        step = -solved[..., 0]
        if failed.any():  # scores too far apart for any temperature, as a search may ask for in passing
            break
        gain = -(first * step).sum(-1)
        if gain.max() < CONVERGED * count:
            break
        fit = _stepped(gaps, fit, step, gain / count)
    return fit


def _stepped(gaps: torch.Tensor, fit: torch.Tensor, step: torch.Tensor, gain: torch.Tensor) -> torch.Tensor:
    """The fit after as much of the step as keeps 1 / T positive and lowers the loss."""
    before, length = _loss(gaps, fit), torch.ones_like(gain)
    for _ in range(HALVINGS):
        after = fit + length[..., None] * step
        good = _loss(gaps, after) <= before - 1e-4 * length * gain  # never where 1 / T is not positive: that is NaN
        if good.all():
            break
        length = torch.where(good, length, length / 2)
    return after
