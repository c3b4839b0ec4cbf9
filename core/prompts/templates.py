"""Instruction templates: sandboxed, strict Jinja that turns a record into query, context and answer."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import jinja2
from jinja2.meta import find_referenced_templates

from ..contract.declarations import PromptedSpec, TruncationSide
from ..data.records import Record
from ..errors import BadInput
from ..hashing import json_digest
from .sandbox import Sandbox

SHARED = Path(__file__).resolve().parents[2] / "templates"
BLOCKS = ("query", "context", "answer")
ANSWER = "\ue000"  # stands for the answer where the wording around it is wanted; of private use, so no text has it


@dataclass(frozen=True)
class Instruction:
    """A rendered record, as in Figure 3 of SA-MDKIF."""

    query: str
    context: str
    answer: str

    @property
    def prompt(self) -> str:
        """What the model reads: the query and, where there is one, the context."""
        return f"{self.query}\n\n{self.context}" if self.context else self.query


class Template:
    """A template file, looked up in `folders` first, then in its plugin `package`, then in `templates/`.

    `truncation_side` is where a context too long is cut, `owner` whose template it is, for errors.

    Raises BadInput, naming template, line and reason, if it is missing or cannot be compiled.
    """

    def __init__(
        self,
        name: str,
        package: str = "",
        folders: Sequence[Path] = (),
        truncation_side: TruncationSide = "right",
        owner: str = "mdkif",
    ) -> None:
        self.name, self.truncation_side = name, truncation_side
        places = [*folders, *_plugin_folder(package), SHARED]
        self._environment = environment = Sandbox(places)
        try:
            self._blocks = [self._block(environment, name) for name in BLOCKS]
        except jinja2.TemplateNotFound as error:
            looked = ", ".join(map(str, places))
            raise BadInput(f"The template '{error.name}' of {owner} was not found in {looked}.") from None
        except jinja2.TemplateSyntaxError as error:
            raise BadInput(
                f"The template {error.filename or self.name}:{error.lineno} is wrong: {error.message}."
            ) from None

    @classmethod
    def of(cls, declared: PromptedSpec, folders: Sequence[Path] = ()) -> Template:
        """The template of a skill or task."""
        owner = f"the {declared.kind} '{declared.name}'"
        return cls(declared.template, declared.package, folders, declared.truncation_side, owner)

    @property
    def digest(self) -> str:
        """What tells its wording from any other: a hash of the texts of `source`."""
        return json_digest([self.source()])

    def render(self, record: Record) -> Instruction:
        """Render one record. Raises BadInput with template, line and variable, never with the record's text."""
        return Instruction(*(block.strip() for block in self._render(self._blocks, record, record.answer)))

    def answer_affixes(self, record: Record) -> tuple[str, str]:
        """What the template writes before and after a record's answer.

        Raises BadInput if it does not write the answer itself, once: then none could be read back.
        """
        [text] = self._render(self._blocks[-1:], record, ANSWER)
        before, found, after = text.strip().partition(ANSWER)
        if not found or ANSWER in after:
            raise BadInput(
                f"The block 'answer' of the template '{self.name}' must write {{{{ answer }}}} once and unchanged: "
                "otherwise no answer can be read back from what a model writes."
            )
        return before, after

    def parse_answer(self, text: str, record: Record) -> str:
        """The answer in a text that was written as the template writes answers: the inverse of `render`."""
        before, after = (part.strip() for part in self.answer_affixes(record))
        return text.strip().removeprefix(before).removesuffix(after).strip()

    def _render(self, blocks: Sequence[jinja2.Template], record: Record, answer: str) -> list[str]:
        values = {
            "query": record.query,
            "context": record.context,
            "answer": answer,
            "options": record.options,
            "labels": record.labels,
        }
        try:
            return [self._environment.text(block, values) for block in blocks]
        except jinja2.UndefinedError as error:
            known = ", ".join(values)
            # only a variable's name is certain to come from the template; an index may be the record's text
            missing = str(error) if str(error).endswith("' is undefined") else "a part of one is undefined"
            raise BadInput(
                f"The template {self._place(error)} uses a variable that is not there: {missing}; known are {known}."
            ) from None
        except jinja2.TemplateNotFound as error:
            # a name the template computes may be the record's text
            what = f"'{error.name}'" if str(error.name) in self.source() else "a template"
            raise BadInput(f"The template {self._place(error)} uses {what} that was not found.") from None
        except Exception as error:  # whatever a user's template does, the place is what helps
            raise BadInput(
                f"The template {self._place(error)} failed with {type(error).__name__}: mend that line."
            ) from None

    def source(self) -> str:
        """The text of the template and of all it extends or includes: a hash of it tells one wording from another."""
        assert self._environment.loader is not None
        texts: list[str] = []
        names = [self.name]
        for name in names:  # grows while it is read
            with suppress(jinja2.TemplateError):  # what is absent or wrong is told of where it is rendered
                texts.append(self._environment.loader.get_source(self._environment, name)[0])
                named = find_referenced_templates(self._environment.parse(texts[-1]))
                names += dict.fromkeys(other for other in named if other and other not in names)
        return "\n".join(texts)

    def _block(self, environment: jinja2.Environment, name: str) -> jinja2.Template:
        """A template that renders one block: the same lookup and inheritance, the other blocks left out."""
        environment.get_template(self.name)
        others = "".join(f"{{% block {other} %}}{{% endblock %}}" for other in BLOCKS if other != name)
        return environment.from_string(f"{{% extends {self.name!r} %}}{others}")

    def _place(self, error: BaseException) -> str:
        place, trace = self.name, error.__traceback__
        while trace is not None:
            file = trace.tb_frame.f_code.co_filename
            if file.endswith((".jinja", "<template>")) and Path(file).exists():
                place = f"{file}:{trace.tb_lineno}"
            trace = trace.tb_next
        return place


def _plugin_folder(package: str) -> list[Path]:
    spec = find_spec(package) if package else None
    return [Path(spec.origin).parent / "templates"] if spec and spec.origin else []
