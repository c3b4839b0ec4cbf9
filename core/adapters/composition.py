"""Compositions: named blends of trained skills, in the store as one JSON file each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from ..errors import BadInput, unknown
from ..store.documents import read_json, write_json
from ..workspace import Workspace
from .library import load_skills, trained_skills

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch

    from .bank import SkillBank

Weights = float | dict[str, float]


@dataclass(frozen=True, kw_only=True)
class Composition:
    """Weights of skills on one base model, and where they came from.

    `weights` maps each skill to its weight or, for a finer granularity, to the weight in each layer
    or module. `adapters` holds the hash of every skill's weights, `origin` how the weights were found.
    """

    name: str
    base: str
    fingerprint: str
    weights: Mapping[str, Weights]
    adapters: Mapping[str, str]
    granularity: str = "skill"
    origin: Mapping[str, Any] = field(default_factory=dict)

    def tensor(self, bank: SkillBank) -> torch.Tensor:
        """The weights in the order and shape of a bank of the same skills, float32."""
        import torch

        rows = [self.weights[name] for name in bank.names]
        if self.granularity == "skill":
            return torch.tensor([float(w) for w in rows if not isinstance(w, dict)])
        return torch.tensor([[w[group] for w in rows if isinstance(w, dict)] for group in bank.group_names])

    def summary(self) -> dict[str, float]:
        """One weight per skill: the mean over groups where there are several."""
        return {n: sum(w.values()) / len(w) if isinstance(w, dict) else float(w) for n, w in self.weights.items()}


def new_composition(
    workspace: Workspace, name: str, bank: SkillBank, weights: torch.Tensor, origin: Mapping[str, Any]
) -> Composition:
    """A composition of the bank's skills, saved in the store; an older one of that name is replaced."""
    known = trained_skills(workspace, workspace.base.name)
    named: dict[str, Weights] = {}
    for i, skill in enumerate(bank.names):
        column = weights[..., i].tolist()
        named[skill] = column if isinstance(column, float) else dict(zip(bank.group_names, column, strict=True))
    made = Composition(
        name=validate_name(name),
        base=workspace.base.name,
        fingerprint=workspace.base.fingerprint,
        weights=named,
        adapters={skill: known[skill].card["adapter"] for skill in bank.names},
        granularity=bank.granularity,
        origin=origin,
    )
    write_json(workspace.store.composition(made.base, made.name), asdict(made))
    return made


def compose(workspace: Workspace, name: str, weights: Mapping[str, float]) -> Composition:
    """A composition with weights given by hand. Raises BadInput for skills that are not trained on the base."""
    import torch

    bank = bank_of(workspace, list(weights))
    return new_composition(workspace, name, bank, torch.tensor(list(weights.values())), {"by": "hand"})


def load_composition(workspace: Workspace, name: str) -> Composition:
    """A composition from the store.

    Raises BadInput for an unknown name, another base model, or a skill that was trained anew since.
    """
    base = workspace.base
    folder = workspace.store.composition(base.name, name).parent
    if not (folder / f"{name}.json").exists():
        raise unknown("composition", name, (f.stem for f in folder.glob("*.json")), "Make one with 'mdkif adapt'.")
    try:
        made = Composition(**read_json(folder / f"{name}.json", "composition"))
    except TypeError:
        raise BadInput(f"{folder / name}.json is not a composition of mdkif: adapt or compose it again.") from None
    if made.fingerprint != base.fingerprint:
        raise BadInput(
            f"The composition '{name}' belongs to '{made.base}' ({made.fingerprint}), not to this '{base.name}'."
        )
    known = trained_skills(workspace, base.name)
    for skill, adapter in made.adapters.items():
        if skill not in known or known[skill].card["adapter"] != adapter:
            raise BadInput(
                f"The composition '{name}' was made with another training of '{skill}': adapt or compose it again."
            )
    return made


def bank_of(workspace: Workspace, skills: Sequence[str] | None, granularity: str = "skill") -> SkillBank:
    """A bank of the named trained skills, or of all, on the workspace's base."""
    from .bank import SkillBank

    return SkillBank(workspace.base.model, load_skills(workspace, skills), granularity)


def blend(workspace: Workspace, target: str) -> tuple[SkillBank, torch.Tensor] | None:
    """The bank and weights of "base" (None), "skill:NAME" or a composition's name."""
    import torch

    if target == "base":
        return None
    if target.startswith("skill:"):
        return bank_of(workspace, [target.removeprefix("skill:")]), torch.ones(1)
    made = load_composition(workspace, target)
    bank = bank_of(workspace, list(made.weights), made.granularity)
    return bank, made.tensor(bank)


def provenance(workspace: Workspace, target: str, task: str, datasets: set[str]) -> dict[str, str]:
    """The split policy under which every part of a target learnt from these data sets or for this task.

    Raises BadInput for a target that does not exist, or does not fit the base.
    """
    blended = blend(workspace, target)
    if blended is None:
        return {}
    known = trained_skills(workspace, workspace.base.name)
    cards = {f"the skill '{name}'": known[name].card for name in blended[0].names}
    found = {
        what: card.get("settings", {}).get("split_policy", "official")
        for what, card in cards.items()
        if datasets & set(card.get("data", {}).get("datasets", ()))
    }
    origin = {} if target.startswith("skill:") else load_composition(workspace, target).origin
    if origin.get("task") == task:
        found["its router"] = origin.get("settings", {}).get("split_policy", "official")
    return found


@contextmanager
def applied(workspace: Workspace, target: str) -> Iterator[None]:
    """Within the block the base model computes "base", "skill:NAME" or a composition, merged into its weights."""
    chosen = blend(workspace, target)
    with nullcontext() if chosen is None else chosen[0].merged(chosen[1]):
        yield


def validate_name(name: str) -> str:
    """The name, if a composition can have it. Raises BadInput if not."""
    if not name or name == "base" or name.startswith(("skill:", ".")) or "/" in name or "\\" in name:
        raise BadInput(f"A composition cannot be named '{name}': use letters, digits and hyphens, and not 'base'.")
    return name
