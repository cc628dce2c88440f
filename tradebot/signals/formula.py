"""Formulas as text that a person can read and a program can compute: arithmetic over the names of inputs.

A formula is an expression in Python's notation. It may use numbers, names of inputs, + - * / **, comparisons,
`a if condition else b`, and the functions below.
"""

import ast
from collections.abc import Callable, Mapping
from functools import cache
from math import exp, log10, sqrt, tanh


def clamp(value: float, low: float, high: float) -> float:
    """Return the value, at least `low` and at most `high`."""
    if value < high:
        return value if value > low else low
    return high


def sign(value: float) -> int:
    """Return +1, -1 or 0."""
    return (value > 0) - (value < 0)


FUNCTIONS: Mapping[str, Callable[..., float]] = {
    "abs": abs, "clamp": clamp, "exp": exp, "log10": log10, "max": max, "min": min, "sign": sign, "sqrt": sqrt,
    "tanh": tanh,
}  # fmt: skip
"""What a formula may call, by its word there."""
_ARITHMETIC = (ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow)
_COMPARISONS = (ast.Lt, ast.LtE, ast.Gt, ast.GtE, ast.Eq, ast.NotEq)


def evaluate(formula: str, inputs: Mapping[str, float]) -> float:
    """Return the value of a formula.

    Raises KeyError for a name that is no input, ValueError for what is no formula, and ArithmeticError where the
    arithmetic has no result, such as a division by zero.
    """
    read = names(formula)
    return compile_formula(formula, read)(*(inputs[name] for name in read))


@cache
def names(formula: str) -> tuple[str, ...]:
    """Return the names of the inputs that a formula reads, sorted. Raises ValueError for what is no formula."""
    found = {node.id for node in ast.walk(_checked(formula)) if isinstance(node, ast.Name)}
    return tuple(sorted(found - FUNCTIONS.keys()))


@cache
def compile_formula(formula: str, parameters: tuple[str, ...]) -> Callable[..., float]:
    """Return a formula as a function of its inputs, in the order of `parameters`. Raises ValueError as `names` does."""
    arguments = ast.arguments(
        posonlyargs=[], args=[ast.arg(name) for name in parameters], kwonlyargs=[], kw_defaults=[], defaults=[]
    )
    body = ast.Call(ast.Name("float", ast.Load()), [_checked(formula)], [])
    function = ast.fix_missing_locations(ast.Expression(ast.Lambda(arguments, body)))
    # Only arithmetic gets past the check, and nothing but these functions is in reach.
    scope = {"__builtins__": {}, "float": float, **FUNCTIONS}
    made: Callable[..., float] = eval(compile(function, formula, "eval"), scope)  # noqa: S307
    return made


def _checked(formula: str) -> ast.expr:
    try:
        tree = ast.parse(formula, mode="eval").body
    except SyntaxError as error:
        raise ValueError(f"{formula!r} is no formula") from error
    _check(tree)
    return tree


def _check(node: ast.AST) -> None:
    """Raise ValueError unless a node and all below it are arithmetic over numbers, names and the functions."""
    match node:
        case ast.Constant(value=int() | float()) | ast.Name():
            parts: list[ast.expr] = []
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            parts = [operand]
        case ast.BinOp(left=left, op=op, right=right) if isinstance(op, _ARITHMETIC):
            parts = [left, right]
        case ast.Compare(left=left, ops=[op], comparators=[right]) if isinstance(op, _COMPARISONS):
            parts = [left, right]
        case ast.IfExp(test=test, body=body, orelse=otherwise):
            parts = [test, body, otherwise]
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]) if name in FUNCTIONS:
            parts = arguments
        case _:
            raise ValueError(f"{ast.unparse(node)!r} has no place in a formula")
    for part in parts:
        _check(part)
