"""Formulas as text that a person can read and a program can compute: arithmetic over the names of inputs.

A formula is an expression in Python's notation. It may use numbers, names of inputs, + - * / **, comparisons,
`a if condition else b`, and the functions below.
"""

import ast
import math
import operator
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any


def clamp(value: float, low: float, high: float) -> float:
    """Return the value, at least `low` and at most `high`."""
    if value < high:
        return value if value > low else low
    return high


def sign(value: float) -> int:
    """Return +1, -1 or 0."""
    return (value > 0) - (value < 0)


FUNCTIONS: Mapping[str, Callable[..., float]] = {
    "abs": abs,
    "clamp": clamp,
    "exp": math.exp,
    "log10": math.log10,
    "max": max,
    "min": min,
    "sign": sign,
    "sqrt": math.sqrt,
    "tanh": math.tanh,
}
_OPERATORS: Mapping[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Pow: operator.pow,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}


def evaluate(formula: str, inputs: Mapping[str, float]) -> float:
    """Return the value of a formula.

    Raises KeyError for a name that is no input, ValueError for what is no formula, and ArithmeticError where the
    arithmetic has no result, such as a division by zero.
    """
    return float(_value(_parsed(formula), inputs))


def names(formula: str) -> frozenset[str]:
    """Return the names of the inputs that a formula reads."""
    found = {node.id for node in ast.walk(_parsed(formula)) if isinstance(node, ast.Name)}
    return frozenset(found - FUNCTIONS.keys())


@cache
def _parsed(formula: str) -> ast.expr:
    try:
        return ast.parse(formula, mode="eval").body
    except SyntaxError as error:
        raise ValueError(f"{formula!r} is no formula") from error


def _value(node: ast.AST, inputs: Mapping[str, float]) -> Any:
    match node:
        case ast.Constant(value=int() | float() as number):
            return number
        case ast.Name(id=name):
            return inputs[name]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return -_value(operand, inputs)
        case ast.BinOp(left=left, op=op, right=right) | ast.Compare(left=left, ops=[op], comparators=[right]):
            if type(op) in _OPERATORS:
                return _OPERATORS[type(op)](_value(left, inputs), _value(right, inputs))
        case ast.IfExp(test=test, body=body, orelse=otherwise):
            return _value(body if _value(test, inputs) else otherwise, inputs)
        case ast.Call(func=ast.Name(id=name), args=arguments, keywords=[]):
            if name in FUNCTIONS:
                return FUNCTIONS[name](*(_value(argument, inputs) for argument in arguments))
    raise ValueError(f"{ast.unparse(node)!r} has no place in a formula")
