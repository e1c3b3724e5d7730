"""Jinja2's code for letters, made for letters: one calls sixty macros and reads a hundred and forty
values of its content, and most of its time went into how.

What is rendered is the same. Three things are written otherwise than Jinja2 writes them:

- a macro is a Python function, called like one, not an object that sorts its arguments;
- a value of a `Section` is read where it stands, without asking the environment;
- what is escaped already is not wrapped once more before it is joined.

In exchange a macro stands at the top level of its template and takes the arguments that it
declares: compiling another fails.
"""

from __future__ import annotations

import re
from typing import Any

from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame, MacroRef, optimizeconst
from markupsafe import Markup, escape

_SIGNATURE = re.compile(r"^( *def macro\()([^)]+)\):$", re.MULTILINE)


def with_defaults(code: str) -> str:
    """Generated code whose macros may be called with fewer arguments: Jinja2 tests each for
    `missing`, which `Macro` would have put there."""
    return _SIGNATURE.sub(
        lambda found: f"{found[1]}{found[2].replace(',', '=missing,')}=missing):", code
    )


def shown(value: object) -> str:
    """`value` escaped for HTML, unless it is."""
    return value if type(value) is Markup else escape(value)


class LetterCode(CodeGenerator):
    """For an `environment` with `section`: the type whose values are its items."""

    def write_commons(self) -> None:
        super().write_commons()
        self.writeline("section = environment.section")
        self.writeline("read = environment.getattr")

    def visit_Template(self, node: nodes.Template, frame: Frame | None = None) -> None:  # noqa: N802 - Jinja2's name
        self.writeline(f"from {__name__} import shown")
        self.writeline("safe = str.__new__")
        super().visit_Template(node, frame)

    def visit_Macro(self, node: nodes.Macro, frame: Frame) -> None:  # noqa: N802 - Jinja2's name
        if not frame.toplevel:
            self.fail("a macro stands at the top level of its template", node.lineno)
        super().visit_Macro(node, frame)

    def macro_def(self, macro_ref: MacroRef, frame: Frame) -> None:
        if macro_ref.accesses_kwargs or macro_ref.accesses_varargs:
            self.fail("a macro declares its arguments", macro_ref.node.lineno)
        self.write("macro")

    def return_buffer_contents(self, frame: Frame, force_unescaped: bool = False) -> None:
        # `Macro` would have marked it as safe.
        if frame.eval_ctx.autoescape and not frame.eval_ctx.volatile:
            self.writeline(f"return safe(Markup, concat({frame.buffer}))")
        else:
            super().return_buffer_contents(frame, force_unescaped)

    def visit_Call(  # noqa: N802 - Jinja2's name
        self, node: nodes.Call, frame: Frame, forward_caller: bool = False
    ) -> None:
        called = node.node
        by_name = isinstance(called, nodes.Name) or (
            isinstance(called, nodes.Getattr) and isinstance(called.node, nodes.Name)
        )
        if not by_name or node.dyn_args or node.dyn_kwargs:
            super().visit_Call(node, frame, forward_caller=forward_caller)
            return
        self.visit(called, frame)
        self.write("(")
        for argument in node.args:
            self.visit(argument, frame)
            self.write(", ")
        # At the top level, Jinja2 puts l_1_ before the arguments' names.
        for named in node.kwargs:
            self.write(f"l_1_{named.key}=")
            self.visit(named.value, frame)
            self.write(", ")
        if forward_caller:
            self.write("l_1_caller=caller")
        self.write(")")

    @optimizeconst
    def visit_Getattr(self, node: nodes.Getattr, frame: Frame) -> None:  # noqa: N802 - Jinja2's name
        name = repr(node.attr)
        self.write(f"(_of[{name}] if type(_of := ")
        self.visit(node.node, frame)
        self.write(f") is section and {name} in _of else read(_of, {name}))")

    def _output_child_pre(self, node: nodes.Expr, frame: Frame, finalize: Any) -> None:
        if frame.eval_ctx.autoescape and not frame.eval_ctx.volatile:
            self.write("shown(")
        else:
            super()._output_child_pre(node, frame, finalize)
