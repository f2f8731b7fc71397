"""The program is read in small pieces whose names mean one thing."""

import ast
from collections import defaultdict

from places import ROOT

SOURCES = [*(ROOT / "inpaint_cli").rglob("*.py"), *(ROOT / "plugins").rglob("*.py")]
FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)


def defined(statement: ast.stmt) -> list[str]:
    """The names that a statement of a module defines."""
    if isinstance(statement, (*FUNCTIONS, ast.ClassDef)):
        return [statement.name]
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    targets = [statement.target] if isinstance(statement, ast.AnnAssign) else targets
    return [target.id for target in targets if isinstance(target, ast.Name)]


def test_few_names_are_defined_at_the_top_of_two_modules():
    """Under 5 % of all definitions; `__getattr__` and `__all__` are Python's."""
    modules = defaultdict(set)
    for path in SOURCES:
        for statement in ast.parse(path.read_text("utf-8")).body:
            for name in defined(statement):
                modules[name].add(path)
    modules = {name: paths for name, paths in modules.items() if not name.startswith("__")}
    doubled = {name: paths for name, paths in modules.items() if len(paths) > 1}
    share = sum(map(len, doubled.values())) / sum(map(len, modules.values()))
    assert share < 0.05, sorted(doubled)


def test_no_function_is_longer_than_50_lines():
    """Its decorators not counted, such as the options of a command, nor its docstring."""
    long = []
    for path in SOURCES:
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, FUNCTIONS):
                continue
            begin = node.body[1 if ast.get_docstring(node) and len(node.body) > 1 else 0].lineno
            lines = (node.end_lineno or 0) - begin + 1
            limit = 40 if path.parent.name == "cli" else 50
            if lines > limit:
                long.append(f"{path.relative_to(ROOT)}:{node.lineno} {node.name}: {lines}")
    assert not long
