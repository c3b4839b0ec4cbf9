"""Who is a kind of whom among the terms of an ontology."""

from __future__ import annotations

from dataclasses import dataclass

from mdkif import ConversionReport

from .obo import Term


@dataclass(frozen=True)
class Edge:
    """An `is_a` line between two live terms of the file."""

    child: str
    parent: str
    line: int


class Hierarchy:
    """The live terms of a file and who is a kind of whom."""

    def __init__(self, live: list[Term], conversion: ConversionReport) -> None:
        self.names = {term.id: term.name for term in live}
        self.ids = list(self.names)
        edges: list[Edge] = []
        self._parents: dict[str, list[str]] = {}
        self._children: dict[str, list[str]] = {}
        for term in live:
            for parent, line in term.parents:
                if parent not in self.names:
                    conversion.leave_out("is_a to a term that is obsolete or not in the file")
                    continue
                if parent in self._parents.get(term.id, ()):
                    conversion.leave_out("is_a that the term has twice")
                    continue
                edges.append(Edge(term.id, parent, line))
                self._parents.setdefault(term.id, []).append(parent)
                self._children.setdefault(parent, []).append(term.id)
        # In a circle every term is a kind of every other, so no line of it has a right answer.
        self.edges = [edge for edge in edges if edge.child not in self.above(edge.parent)]
        if circular := len(edges) - len(self.edges):
            conversion.leave_out("is_a within a circle of terms", circular)

    def related(self, one: str, other: str) -> bool:
        """Whether they are the same or one is a kind of the other, at any distance."""
        return one in self.above(other) or other in self.above(one)

    def sibling(self, edge: Edge, key: int) -> str | None:
        """Another child of the edge's parent that is not related to its child."""
        choices = [child for child in self._children[edge.parent] if not self.related(child, edge.child)]
        return choices[key % len(choices)] if choices else None

    def stranger(self, edge: Edge, key: int) -> str | None:
        """Any term that is not related to the edge's child; the search starts at a hashed place."""
        start = key % len(self.ids)
        turned = (self.ids[(start + step) % len(self.ids)] for step in range(len(self.ids)))
        return next((other for other in turned if not self.related(other, edge.child)), None)

    def above(self, term: str) -> set[str]:
        """The term and all its ancestors, even where the file has a cycle."""
        found, waiting = {term}, [term]
        while waiting:
            fresh = [parent for parent in self._parents.get(waiting.pop(), ()) if parent not in found]
            found.update(fresh)
            waiting += fresh
        return found
