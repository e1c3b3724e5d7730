"""Letters are compiled by our own generator: what comes out is what Jinja2 makes of them."""

from __future__ import annotations

from typing import Any

import jinja2
import pytest

from chalicelib.outbox.content import Section
from chalicelib.outbox.rendering import environment

ELEMENTS = """
{% macro p() %}<p>{{ caller() }}</p>{% endmacro %}
{% macro row(first, second="–") %}<b>{{ first }}</b>{{ second }}{% endmacro %}
{% macro cell(name, value) %}{{ name }}={{ value }}|{{ row(value) }}{% endmacro %}
"""
CONTENT: dict[str, Any] = {
    "name": '<Léa> & "fils"',
    "items": [{"n": 1, "keys": "k"}, {"n": 2}],
    "inner": {"deep": {"value": "a'b"}},
}


@pytest.mark.parametrize("html", [True, False])
@pytest.mark.parametrize(
    "source",
    [
        "{{ name }} {{ inner.deep.value }} {{ inner['deep'].value }}",
        "{% call p() %}{{ name }}{% call p() %}{{ inner.deep.value }}{% endcall %}{% endcall %}",
        "{{ row(name) }}{{ row(name, name) }}{{ row(second=name, first=1) }}",
        "{{ cell('x', name) }}{{ row(row(name)) }}{{ 'a' ~ row(name) ~ name }}",
        "{% set kept %}{{ name }}{% endset %}{{ kept }}{{ row(kept) }}",
        "{% for item in inner.list|default([1, 2]) %}{{ loop.index }}{{ row(item) }}{% endfor %}",
        "{{ inner.absent is defined }}{{ absent is defined }}{{ inner.absent|default(name) }}",
        "{{ {'a': name}.get('a') }}{{ {'a': 1}.get('b', row(2)) }}",
    ],
)
def test_a_letter_reads_as_jinja2_itself_renders_it(source: str, html: bool) -> None:
    theirs = jinja2.Environment(autoescape=html, undefined=jinja2.StrictUndefined)
    theirs.trim_blocks = theirs.lstrip_blocks = True
    ours = environment(html=html)

    expected = theirs.from_string(ELEMENTS + source).render(CONTENT)
    assert ours.from_string(ELEMENTS + source).render(Section("", CONTENT)) == expected


def test_a_key_that_is_also_a_methods_name_is_the_contents() -> None:
    source = environment(html=True).from_string("{{ items[0].keys }}{{ items[0].n }}")
    assert source.render(Section("", CONTENT)) == "k1"


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("{% macro m(a) %}{{ a }}{% endmacro %}{{ m() }}", "^a$"),
        ("{{ unknown('x') }}", "^unknown$"),
        ("{{ inner.unknown('x') }}", "^inner.unknown$"),
    ],
)
def test_what_is_missing_is_named(source: str, named: str) -> None:
    letter = environment(html=True).from_string(source)
    with pytest.raises(jinja2.UndefinedError, match=named):
        letter.render(Section("", CONTENT))


@pytest.mark.parametrize(
    "source",
    [
        "{% macro m() %}{{ varargs }}{% endmacro %}",
        "{% macro m() %}{{ kwargs }}{% endmacro %}",
        "{% for _ in items %}{% macro m() %}{% endmacro %}{% endfor %}",
        "{% block b %}{% macro m(a) %}{% endmacro %}{% endblock %}",
    ],
)
def test_a_macro_that_our_code_cannot_call_is_refused_when_it_is_compiled(source: str) -> None:
    with pytest.raises(jinja2.TemplateAssertionError, match="a macro"):
        environment(html=True).from_string(source)
