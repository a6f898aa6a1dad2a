"""Mutants of a Python file, by rule, from its syntax tree.

A condition is forced each way; a comparison loses or gains its bound, or is turned about; `and` and `or`, `any` and
`all`, `min` and `max`, arithmetic operators are swapped; `not` and a minus are dropped; a number is one more; a truth
value is the other; an identifier in quotes is another; a returned value is None; a statement with an effect is left
out. What only asserts (`assert`, `strict=`), says a type, or is prose for people is left alone.
"""

import ast
from typing import Any, Final, TypeAlias

from tests.mutation.mutant import Mutant

Positioned: TypeAlias = ast.expr | ast.stmt

COMPARED: Final[dict[type[ast.cmpop], tuple[str, str]]] = {
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
}
ORDERS: Final = (ast.Lt, ast.LtE, ast.Gt, ast.GtE)
CALCULATED: Final[dict[type[ast.operator], tuple[str, str]]] = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "//"),
    ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "*"),
    ast.Mod: ("%", "//"),
    ast.Pow: ("**", "*"),
    ast.LShift: ("<<", ">>"),
    ast.RShift: (">>", "<<"),
    ast.BitOr: ("|", "&"),
    ast.BitAnd: ("&", "|"),
    ast.BitXor: ("^", "|"),
}
SWAPPED: Final = {"any": "all", "all": "any", "min": "max", "max": "min"}


def find(path: str, source: bytes) -> list[Mutant]:
    """The mutants of a file, in the order of its lines."""
    finder = _Finder(path, source)
    finder.visit(ast.parse(source))
    return sorted(finder.found, key=lambda mutant: (mutant.start, mutant.end, mutant.after))


class _Finder(ast.NodeVisitor):
    def __init__(self, path: str, source: bytes) -> None:
        self.found: list[Mutant] = []
        self._path = path
        self._source = source
        self._lines = [0]
        for line in source.splitlines(keepends=True):
            self._lines.append(self._lines[-1] + len(line))
        self._in_function = False

    def _start(self, node: Positioned) -> int:
        return self._lines[node.lineno - 1] + node.col_offset

    def _end(self, node: Positioned) -> int:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        return self._lines[node.end_lineno - 1] + node.end_col_offset

    def _text(self, node: Positioned) -> str:
        return self._source[self._start(node) : self._end(node)].decode()

    def _add(self, start: int, end: int, after: str) -> None:
        line = self._source.count(b"\n", 0, start) + 1
        self.found.append(Mutant(self._path, start, end, after, line))

    def _replace(self, node: Positioned, after: str) -> None:
        self._add(self._start(node), self._end(node), after)

    def _swap_between(self, left: Positioned, right: Positioned, operator: str, after: str) -> None:
        at = self._source.index(operator.encode(), self._end(left), self._start(right))
        self._add(at, at + len(operator), after)

    def _force(self, condition: ast.expr, *, both: bool = True) -> None:
        self._replace(condition, f"(({self._text(condition)}) and False)")
        if both:
            self._replace(condition, f"(({self._text(condition)}) or True)")

    def _visit_all(self, nodes: list[Any]) -> None:
        for node in nodes:
            self.visit(node)

    def _visit_function(self, node: ast.FunctionDef | ast.AsyncFunctionDef) -> None:
        was, self._in_function = self._in_function, True
        self._visit_all([default for default in (*node.args.defaults, *node.args.kw_defaults) if default])
        self._visit_all(node.body)
        self._in_function = was

    visit_FunctionDef = _visit_function  # noqa: N815
    visit_AsyncFunctionDef = _visit_function  # noqa: N815

    def visit_ClassDef(self, node: ast.ClassDef) -> None:
        self._visit_all(node.body)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> None:
        for part in ast.walk(node.annotation):
            if isinstance(part, ast.Call):
                self.visit(part)
        if node.value:
            self.visit(node.value)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if not isinstance(node.value, ast.Name) or node.value.id != "Literal":
            self.generic_visit(node)

    def visit_Assert(self, node: ast.Assert) -> None:
        pass

    def visit_JoinedStr(self, node: ast.JoinedStr) -> None:
        # Positions inside are only right from Python 3.12 on.
        pass

    def visit_keyword(self, node: ast.keyword) -> None:
        if node.arg not in {"strict", "description"}:
            self.visit(node.value)

    def visit_If(self, node: ast.If) -> None:
        self._force(node.test)
        self.generic_visit(node)

    def visit_IfExp(self, node: ast.IfExp) -> None:
        self._force(node.test)
        self.generic_visit(node)

    def visit_While(self, node: ast.While) -> None:
        self._force(node.test, both=False)
        self.generic_visit(node)

    def visit_comprehension(self, node: ast.comprehension) -> None:
        for condition in node.ifs:
            self._force(condition)
        self.generic_visit(node)

    def visit_Compare(self, node: ast.Compare) -> None:
        left = node.left
        for operator, right in zip(node.ops, node.comparators, strict=True):
            self._swap_between(left, right, *COMPARED[type(operator)])
            left = right
        self.generic_visit(node)

    def visit_BoolOp(self, node: ast.BoolOp) -> None:
        operator, after = ("and", "or") if isinstance(node.op, ast.And) else ("or", "and")
        for left, right in zip(node.values, node.values[1:], strict=False):
            self._swap_between(left, right, operator, after)
        self.generic_visit(node)

    def visit_UnaryOp(self, node: ast.UnaryOp) -> None:
        if isinstance(node.op, ast.Not | ast.USub):
            self._replace(node, f"({self._text(node.operand)})")
        self.generic_visit(node)

    def visit_BinOp(self, node: ast.BinOp) -> None:
        texts = any(isinstance(each, ast.JoinedStr) or _is_text(each) for each in (node.left, node.right))
        if not texts and (self._in_function or not isinstance(node.op, ast.BitOr)):
            self._swap_between(node.left, node.right, *CALCULATED[type(node.op)])
        self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        value = node.value
        if isinstance(value, bool):
            self._replace(node, str(not value))
        elif isinstance(value, int | float):
            self._replace(node, repr(value + 1))
        elif isinstance(value, str) and value.isascii() and " " not in value:
            self._replace(node, repr(f"{value}XX"))

    def visit_Call(self, node: ast.Call) -> None:
        if isinstance(node.func, ast.Name) and node.func.id in SWAPPED:
            self._replace(node.func, SWAPPED[node.func.id])
        self.generic_visit(node)

    def visit_Return(self, node: ast.Return) -> None:
        if node.value and not isinstance(node.value, ast.Constant):
            self._replace(node.value, "None")
        self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> None:
        if isinstance(node.value, ast.Constant):
            return
        self._replace(node, "pass")
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self._replace(node, "pass")
        self._swap_between(node.target, node.value, *(f"{each}=" for each in CALCULATED[type(node.op)]))
        self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> None:
        if all(isinstance(target, ast.Attribute | ast.Subscript) for target in node.targets):
            self._replace(node, "pass")
        self.generic_visit(node)

    def visit_Delete(self, node: ast.Delete) -> None:
        self._replace(node, "pass")

    def visit_Raise(self, node: ast.Raise) -> None:
        self._replace(node, "pass")

    def visit_Break(self, node: ast.Break) -> None:
        self._replace(node, "continue")

    def visit_Continue(self, node: ast.Continue) -> None:
        self._replace(node, "break")


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def reached_with(source: bytes, line: int) -> list[int]:
    """The lines of the innermost statement of a function that a line is in, without its block; none for a module's own.

    Whoever reaches the statement has run one of them.
    """
    lines: list[int] = []
    for function in ast.walk(ast.parse(source)):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for node in [inner for statement in function.body for inner in ast.walk(statement)]:
            if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or 0):
                lines = list(range(node.lineno, (node.end_lineno or 0) + 1))
    return lines
