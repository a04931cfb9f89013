"""The named and versioned forms of a prompt."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import product
from typing import Literal, get_args

from service.errors import UnsupportedValue
from service.text2sql.schema import Schema
from service.text2sql.templates import ddl, light, m_schema
from service.text2sql.untrusted import without_tokens

TemplateName = Literal["ddl", "m_schema", "light"]

Render = Callable[[Schema, bool, bool], str]
_FORMS: dict[TemplateName, tuple[int, Render]] = {
    "ddl": (ddl.VERSION, ddl.render),
    "m_schema": (m_schema.VERSION, m_schema.render),
    "light": (light.VERSION, light.render),
}
_LONGEST_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Template:
    """A form, with or without example values and descriptions.

    `str(template)` is the versioned name, as in `m_schema-v1+examples+descriptions`. A version
    grows whenever the same schema, question and options would give another text.
    """

    name: TemplateName
    examples: bool = True
    descriptions: bool = True

    def __str__(self) -> str:
        options = [*["examples"] * self.examples, *["descriptions"] * self.descriptions]
        return "+".join([f"{self.name}-v{_FORMS[self.name][0]}", *options])

    @classmethod
    def parse(cls, text: str) -> "Template":
        """The template of that name; without a version (`ddl+examples`) it is the present one.

        Raises UnsupportedValue, which names those that there are.
        """
        found = _BY_NAME.get(text.strip())
        if found is None:
            raise UnsupportedValue(
                f"{text[:_LONGEST_SHOWN]!r} is not a prompt template; known: "
                f"{', '.join(TEMPLATES)} (the version may be left out)",
                param="template",
            )
        return found

    def render(self, schema: Schema) -> str:
        """The schema's text, of any number of lines, harmless by text2sql/untrusted.py."""
        _, render = _FORMS[self.name]
        return without_tokens(render(schema, self.examples, self.descriptions))

    def shorter(self) -> "list[Template]":
        """This template, then without descriptions, then without example values too."""
        steps = [self, replace(self, descriptions=False)]
        steps.append(replace(steps[1], examples=False))
        return list(dict.fromkeys(steps))


_ALL = [Template(*parts) for parts in product(get_args(TemplateName), (False, True), (False, True))]
TEMPLATES = tuple(str(template) for template in _ALL)
"""Every versioned name."""
_BY_NAME = {str(template): template for template in _ALL} | {
    str(template).replace(f"-v{_FORMS[template.name][0]}", "", 1): template for template in _ALL
}
DEFAULT = Template("ddl")
