"""What the body of a loop does, as far as its text tells: which names it binds, and whether it tests anything."""

from __future__ import annotations

from typing import Any

from gradcli.syntax import ast


def bound_names(statements: tuple[ast.Statement, ...]) -> list[str]:
    found: dict[str, None] = {}
    work: list[Any] = list(reversed(statements))
    while work:
        item = work.pop()
        match item:
            case ast.Assign():
                work.append(item.target)
            case ast.TupleTarget():
                work.extend(reversed(item.items))
            case ast.Index():
                work.append(item.value)
            case ast.For():
                work.extend(reversed(item.body))
            case ast.Name():
                found.setdefault(item.id)
    return list(found)


def tests_something(statements: tuple[ast.Statement, ...]) -> bool:
    """Whether a body tests something: that happens at every turn."""
    work = list(statements)
    while work:
        statement = work.pop()
        if isinstance(statement, ast.ExpectClose | ast.ExpectTrue | ast.ExpectError):
            return True
        if isinstance(statement, ast.For):
            work.extend(statement.body)
    return False
