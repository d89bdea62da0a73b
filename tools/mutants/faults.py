"""Small faults in a file of Python, of the kinds that numbers suffer: a factor, a sign, a term, a bound, a step."""

from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

SLIP = 0.99
"""Factor of a result that is nearly right."""

SWAPPED: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.Div,
    ast.Div: ast.Mult,
    ast.FloorDiv: ast.Mult,
    ast.Mod: ast.FloorDiv,
    ast.Pow: ast.Mult,
    ast.BitAnd: ast.BitOr,
    ast.BitOr: ast.BitAnd,
    ast.BitXor: ast.BitOr,
    ast.And: ast.Or,
    ast.Or: ast.And,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
BOUNDS: dict[type[ast.AST], tuple[type[ast.cmpop], ...]] = {
    ast.Lt: (ast.LtE, ast.GtE),
    ast.LtE: (ast.Lt, ast.Gt),
    ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt),
}
"""The neighbour and the opposite of an inequality."""

REDUCTIONS = {"sum", "mean", "scatter", "norm", "square", "sqrt", "exp", "log", "std", "var", "max", "min", "abs"}
"""Functions whose result is also tried with the factor `SLIP`."""

UNTOUCHED_KEYWORDS = {"device", "strict", "encoding", "stacklevel"}
"""Left out they change nothing on a machine with one device, of right input, in UTF-8."""


@dataclass(frozen=True)
class Fault:
    """A place in a syntax tree and what is put there.

    Attributes:
        function: qualified name of the function or class around it, or "".
        before, after: the statement, or the head of a compound one, without and with the fault.
        number: of its kind in the function, where several read the same.
    """

    file: str
    function: str
    line: int
    before: str
    after: str
    number: int
    place: tuple[ast.AST, str, int | None]
    content: ast.AST

    @property
    def key(self) -> str:
        """Tells it from all others as long as its statement is not edited."""
        return f"{self.file}:{self.function}: {self.before} -> {self.after} #{self.number}"

    def put(self) -> None:
        """Put it into the tree that it was found in."""
        _put(self.place, self.content)


def _put(place: tuple[ast.AST, str, int | None], content: ast.AST) -> None:
    owner, field, index = place
    if index is None:
        setattr(owner, field, content)
    else:
        getattr(owner, field)[index] = content


def faults_of(file: str, tree: ast.Module) -> list[Fault]:
    """All faults of a file, in the order of its lines; the tree is left as it was."""
    found = []
    seen: Counter[tuple[str, str]] = Counter()
    for statement, function, place, node, content in _sites(tree):
        before = _head(statement)
        _put(place, content)
        # In the place of a statement there is what is put there; else the statement reads otherwise.
        after = _head(content) if node is statement else _head(statement)
        _put(place, node)
        seen[function, after] += 1
        line = getattr(node, "lineno", statement.lineno)
        found.append(Fault(file, function, line, before, after, seen[function, after], place, content))
    return found


Site = tuple[ast.stmt, str, tuple[ast.AST, str, int | None], ast.AST, ast.AST]


def _sites(tree: ast.Module) -> Iterator[Site]:
    """Statement, function, place, what is there and what is put there, of each fault."""

    def walk(node: ast.AST, statement: ast.stmt | None, function: str) -> Iterator[Site]:
        for field, value in ast.iter_fields(node):
            if _is_silent(node, field):
                continue
            children = list(enumerate(value)) if isinstance(value, list) else [(None, value)]
            for index, child in children:
                if not isinstance(child, ast.AST):
                    continue
                inside = child if isinstance(child, ast.stmt) else statement
                name = function
                if isinstance(child, ast.FunctionDef | ast.ClassDef):
                    name = f"{function}.{child.name}" if function else child.name
                for content in _contents(child):
                    assert inside is not None
                    yield inside, name, (node, field, index), child, ast.copy_location(content, child)
                yield from walk(child, inside, name)

    yield from walk(tree, None, "")


def _is_silent(node: ast.AST, field: str) -> bool:
    """Whether a part of a node computes nothing: words, types, what a decorator says."""
    if isinstance(node, ast.JoinedStr | ast.Raise):
        return True
    if isinstance(node, ast.keyword) and node.arg in UNTOUCHED_KEYWORDS:
        return True
    if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
        return True
    return field in ("annotation", "returns", "decorator_list", "type_comment", "ctx")


def _contents(node: ast.AST) -> Iterator[ast.AST]:
    """What may be put in the place of a node."""
    match node:
        case ast.BinOp(left=left, op=op, right=right):
            if type(op) in SWAPPED:
                yield ast.BinOp(left, SWAPPED[type(op)](), right)  # type: ignore[arg-type]
            yield left
            if isinstance(op, ast.Add | ast.Mult):
                yield right
            if isinstance(op, ast.Add | ast.Sub | ast.Mult | ast.Div | ast.MatMult):
                yield _slip(node)
        case ast.UnaryOp(op=ast.USub() | ast.Not() | ast.Invert(), operand=operand):
            yield operand
        case ast.BoolOp(op=op, values=values):
            yield ast.BoolOp(SWAPPED[type(op)](), values)  # type: ignore[arg-type]
        case ast.Compare(left=left, ops=[op], comparators=[_]):
            for other in BOUNDS.get(type(op)) or (SWAPPED[type(op)],):
                yield ast.Compare(left, [other()], node.comparators)  # type: ignore[list-item]
        case ast.Constant(value=bool(value)):
            yield ast.Constant(not value)
        case ast.Constant(value=int(value)):
            yield ast.Constant(value + 1)
        case ast.Constant(value=float(value)):
            yield ast.Constant(value * 1.01 or 1.0)
        case ast.IfExp(test=test, body=body, orelse=orelse):
            yield ast.IfExp(test, orelse, body)
        case ast.comprehension(target=target, iter=source, ifs=[_, *_]):
            yield ast.comprehension(target, source, [], 0)
        case ast.Call():
            yield from _calls(node)
        case ast.If(test=test, body=body, orelse=orelse):
            yield ast.If(ast.UnaryOp(ast.Not(), test), body, orelse)
        case ast.AugAssign(target=target, op=op, value=value) if type(op) in SWAPPED:
            yield ast.AugAssign(target, SWAPPED[type(op)](), value)  # type: ignore[arg-type]
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]) | ast.Expr(value=ast.Call()) | ast.Raise():
            yield ast.Pass()
        case ast.Continue() | ast.Break():
            yield ast.Pass()


def _calls(node: ast.Call) -> Iterator[ast.AST]:
    """A call without one of its keywords, a method left out of a chain, and a sum that is nearly right."""
    for number, keyword in enumerate(node.keywords):
        if keyword.arg is not None and keyword.arg not in UNTOUCHED_KEYWORDS:
            others = [*node.keywords[:number], *node.keywords[number + 1 :]]
            yield ast.Call(node.func, node.args, others)
    name = ""
    if isinstance(node.func, ast.Name):
        name = node.func.id
    elif isinstance(node.func, ast.Attribute):
        name = node.func.attr
        if not isinstance(node.func.value, ast.Name) or not node.args:
            yield node.func.value
    if name in REDUCTIONS:
        yield _slip(node)


def _slip(node: ast.expr) -> ast.BinOp:
    return ast.BinOp(ast.Constant(SLIP), ast.Mult(), node)


def _head(node: ast.AST) -> str:
    """The text of a statement on one line; of a compound one without what is in it."""
    head: Any = copy.copy(node)
    for field in ("body", "orelse", "finalbody", "handlers", "cases", "decorator_list"):
        if isinstance(getattr(head, field, None), list):
            setattr(head, field, [])
    return " ".join(ast.unparse(ast.fix_missing_locations(head)).split())
