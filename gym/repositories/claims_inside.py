"""Runs inside a sandbox: what a failing statement of a test asserts, of pytest's and of unittest's kind."""

import ast
from collections.abc import Iterator

OPERATORS = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Is: "is",
    ast.IsNot: "is not",
    ast.In: "in",
    ast.NotIn: "not in",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}
PAIRS = {
    "assertequal": "value == want",
    "assertequals": "value == want",
    "assert_equal": "value == want",
    "assertlistequal": "value == want",
    "assertdictequal": "value == want",
    "asserttupleequal": "value == want",
    "assertsetequal": "value == want",
    "assertsequenceequal": "value == want",
    "assertmultilineequal": "value == want",
    "assertcountequal": "sorted(value) == sorted(want)",
    "assertalmostequal": "round(value - want, 7) == 0",
    "assertnotequal": "value != want",
    "assertis": "value is want",
    "assertisnot": "value is not want",
    "assertin": "value in want",
    "assertnotin": "value not in want",
    "assertgreater": "value > want",
    "assertgreaterequal": "value >= want",
    "assertless": "value < want",
    "assertlessequal": "value <= want",
    "assertisinstance": "isinstance(value, want)",
    "assertregex": "__import__('re').search(want, value)",
    "eq": "value == want",
    "eq_": "value == want",
}
SINGLES = {
    "asserttrue": "value",
    "assert_": "value",
    "assertfalse": "not value",
    "assertisnone": "value is None",
    "assertisnotnone": "value is not None",
}
# (expression, relation, condition over `value` and `want`, expression of `want`)
Claim = tuple[ast.expr, str, str, ast.expr | None]


def raising(node: ast.expr) -> tuple[ast.Call, ast.expr] | None:
    """`pytest.raises(E, …)` and `self.assertRaises(E, …)`: (the call, E)."""
    names = ("raises", "assertRaises", "assertRaisesRegex")
    if isinstance(node, ast.Call) and node.args and ast.unparse(node.func).rsplit(".", 1)[-1] in names:
        return node, node.args[0]
    return None


def claims_of(statement: ast.stmt, guards: list[ast.With]) -> Iterator[Claim]:
    """What a statement of a test asserts, the likeliest reading first."""
    for guard in [*reversed(guards), *([statement] if isinstance(statement, ast.With) else [])]:
        found = raising(guard.items[0].context_expr)
        if found is not None:
            last = guard.body[-1]
            value = getattr(last, "value", None)
            match last:
                case ast.Assign(targets=[ast.Attribute(value=owner, attr=name)], value=given):
                    value = ast.Call(ast.Name("setattr", ast.Load()), [owner, ast.Constant(name), given], [])
                case ast.Delete(targets=[ast.Attribute(value=owner, attr=name)]):
                    value = ast.Call(ast.Name("delattr", ast.Load()), [owner, ast.Constant(name)], [])
            if isinstance(last, ast.For):
                value = ast.Call(ast.Name("list", ast.Load()), [last.iter], [])
            if isinstance(value, ast.expr):
                yield value, "raises", "isinstance(value, want)", found[1]
            return
    match statement:
        case ast.Assert(test=test):
            yield from of_condition(test)
        case ast.Expr(value=ast.Call(func=func, args=args) as call):
            name = ast.unparse(func).rsplit(".", 1)[-1].lower()
            if raising(call) is not None:
                yield from of_raising(call)
            elif name in PAIRS and len(args) >= 2:
                relation = "equal" if "==" in PAIRS[name] else "condition"
                yield args[0], relation, PAIRS[name], args[1]
                if relation == "equal":
                    yield args[1], relation, PAIRS[name], args[0]
            elif name in SINGLES and args:
                if SINGLES[name] == "value":
                    yield from of_condition(args[0])
                else:
                    yield args[0], "condition", SINGLES[name], None
            elif not name.startswith("assert"):
                yield call, "works", "True", None
                for part in args:  # what failed may have been made for a helper that judges
                    if any(isinstance(below, ast.Call) for below in ast.walk(part)):
                        yield part, "works", "True", None
        case ast.Assign(value=value) | ast.Return(value=ast.expr() as value) | ast.Expr(value=value):
            yield value, "works", "True", None
        case ast.For(iter=value):
            yield ast.Call(ast.Name("list", ast.Load()), [value], []), "works", "True", None


def of_raising(call: ast.Call) -> Iterator[Claim]:
    """`assertRaises(E, f, x)`: f(x) raises E."""
    start = 2 if ast.unparse(call.func).lower().endswith("regex") else 1
    if len(call.args) > start:
        target, *rest = call.args[start:]
        value = target.body if isinstance(target, ast.Lambda) and not rest else ast.Call(target, rest, call.keywords)
        yield value, "raises", "isinstance(value, want)", call.args[0]


def of_condition(test: ast.expr) -> Iterator[Claim]:
    match test:
        case ast.BoolOp(op=ast.And(), values=values):
            for value in values:
                yield from of_condition(value)
        case ast.Compare(left=left, ops=[operator], comparators=[right]):
            sign = OPERATORS[type(operator)]
            relation = "equal" if sign in ("==", "is") else "condition"
            yield left, relation, f"value {sign} want", right
            yield right, relation, f"want {sign} value", left
            yield test, "condition", "value", None
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            yield operand, "condition", "not value", None
        case ast.Call(func=ast.Name(id="isinstance"), args=[value, kind]):
            yield value, "condition", "isinstance(value, want)", kind
            yield test, "condition", "value", None
        case ast.Call(args=[_, _, *_]) if raising(test) is not None:
            yield from of_raising(test)
        case _:
            yield test, "condition", "value", None
