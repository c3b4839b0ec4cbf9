"""Completion of the command line by the shell: commands, options, and the names of what is installed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import click
from click.shell_completion import CompletionItem, get_completion_class

from ..contract.declarations import Baseline, Declaration, Skill
from ..contract.discovery import D
from ..store.layout import Store
from .app import state_of

Completer = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def names_of(*kinds: type[Declaration], end: str = "") -> Completer:
    """A completer for the names of what is installed, of some kinds, each with `end` behind it.

    Of several with commas between them it completes the last.
    """

    def complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        before, comma, begun = incomplete.rpartition(",")
        return [
            CompletionItem(f"{before}{comma}{name}{end}", help=title)
            for name, title in _installed(ctx, *kinds).items()
            if name.startswith(begun)
        ]

    return complete


def targets(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete what `--with` takes: base, skill:NAME and the compositions of the store."""
    return _targets(ctx, incomplete)


def measured(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete what `--with` of an evaluation takes: these, and baseline:NAME."""
    baselines = {f"baseline:{name}": title for name, title in _installed(ctx, Baseline).items()}
    return _targets(ctx, incomplete, baselines)


def _targets(
    ctx: click.Context, incomplete: str, others: Mapping[str, str] = MappingProxyType({})
) -> list[CompletionItem]:
    skills = {f"skill:{name}": title for name, title in _installed(ctx, Skill).items()}
    found = {"base": "The model alone", **skills, **others, **_compositions(ctx)}
    return [CompletionItem(name, help=title) for name, title in found.items() if name.startswith(incomplete)]


def compositions(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the name of a composition of the store."""
    found = _compositions(ctx)
    return [CompletionItem(name, help=title) for name, title in found.items() if name.startswith(incomplete)]


def _installed(ctx: click.Context, *kinds: type[D]) -> dict[str, str]:
    plugins = state_of(ctx).kit().plugins
    return {declared.name: declared.title for kind in kinds for declared, _ in plugins.all(kind)}


def _compositions(ctx: click.Context) -> dict[str, str]:
    store = Store(ctx.find_root().params.get("store"))
    files = sorted((store.root / "compositions").glob("*/*.json"))
    return {file.stem: f"A composition on {file.parent.name}" for file in files}


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print what makes a shell complete names and options.

    \b
    bash  add to ~/.bashrc:  eval "$(mdkif completion bash)"
    zsh   add to ~/.zshrc:   eval "$(mdkif completion zsh)"
    fish  mdkif completion fish > ~/.config/fish/completions/mdkif.fish
    """
    made = get_completion_class(shell)
    assert made is not None
    click.echo(made(ctx.find_root().command, {}, "mdkif", "_MDKIF_COMPLETE").source())
