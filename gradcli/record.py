"""Frozen, slotted classes of named fields: what `dataclasses` makes, at a tenth of its price when a command starts.

`dataclass(frozen=True, slots=True)` writes and compiles six functions for each class and makes the class twice. Here
`__init__` is compiled once for all classes of as many fields; comparing, hashing, printing and refusing to change are
the same functions for all.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from types import CodeType, FunctionType
from typing import Any, TypeVar, dataclass_transform, overload

T = TypeVar("T")


class Field:
    """A default that is made anew for each instance."""

    def __init__(self, factory: Callable[[], Any]) -> None:
        self.factory = factory


def field(*, default_factory: Callable[[], T]) -> T:
    """`names: list[str] = field(default_factory=list)`"""
    made: Any = Field(default_factory)
    return made  # type: ignore[no-any-return]  # as dataclasses has it: a promise to the type checker


@overload
def record(cls: type[T], /) -> type[T]: ...
@overload
def record(*, frozen: bool = True, eq: bool = True) -> Callable[[type[T]], type[T]]: ...
@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(cls: Any = None, /, *, frozen: bool = True, eq: bool = True) -> Any:
    """Make a class of annotated fields. Two are equal when their fields are, and print these; with `eq=False`
    only when they are one."""
    if cls is None:
        return lambda made: _make(made, frozen, eq)
    return _make(cls, frozen, eq)


def replace(instance: T, **changes: Any) -> T:
    """A copy with some fields changed."""
    kind: Any = type(instance)
    return kind(**{name: getattr(instance, name) for name in kind.__match_args__} | changes)  # type: ignore[no-any-return]  # of the class of `instance`


# ── making a class ──────────────────────────────────────────────────────────────────────────────────────────


def _make(cls: type, frozen: bool, eq: bool) -> type:
    names = tuple(cls.__annotations__)
    left_out = {"__dict__", "__weakref__", *names}
    space = {name: value for name, value in cls.__dict__.items() if name not in left_out}
    space |= {"__slots__": names, "__match_args__": names, "__qualname__": cls.__qualname__}
    if frozen:
        space |= {"__setattr__": _frozen, "__delattr__": _frozen}
    if eq:
        space.setdefault("__repr__", _repr)
        space.setdefault("__eq__", _eq)
        space.setdefault("__hash__", _hash if frozen else None)
    scope: dict[str, Any] = {"MISSING": _MISSING}
    made = type(cls.__name__, cls.__bases__, space | {"__init__": _init(cls, names, frozen, scope)})
    if frozen:
        scope.update((f"_f{k}", made.__dict__[name].__set__) for k, name in enumerate(names))
    return made


_MISSING: Any = object()


def _init(cls: type, names: tuple[str, ...], frozen: bool, scope: dict[str, Any]) -> FunctionType:
    """`__init__` of a class. Raises TypeError for a field without a default behind one that has a default."""
    defaults: list[Any] = []
    for k, name in enumerate(names):
        if name not in cls.__dict__:
            if defaults:
                raise TypeError(f"{cls.__name__}.{name} has no default, and a field before it has one")
        elif isinstance(default := cls.__dict__[name], Field):
            scope[f"make_f{k}"] = default.factory
            defaults.append(_MISSING)
        else:
            defaults.append(default)
    code = _code(frozen, tuple(f"make_f{k}" in scope for k in range(len(names))))
    own = {f"f{k}": name for k, name in enumerate(names)}
    code = code.replace(
        co_varnames=tuple([own.get(name, name) for name in code.co_varnames]),
        co_names=tuple([own.get(name, name) for name in code.co_names]),
    )
    return FunctionType(code, scope, "__init__", tuple(defaults))


@cache
def _code(frozen: bool, made: tuple[bool, ...]) -> CodeType:
    """The code of an `__init__` of the fields f0, f1 …, each made by a factory or not."""
    body = ["pass"]
    for k, by_factory in enumerate(made):
        value = f"make_f{k}() if f{k} is MISSING else f{k}" if by_factory else f"f{k}"
        body.append(f"_f{k}(self, {value})" if frozen else f"self.f{k} = {value}")
    scope: dict[str, Any] = {}
    exec(f"def __init__({', '.join(['self', *(f'f{k}' for k in range(len(made)))])}):\n  " + "\n  ".join(body), scope)
    code: CodeType = scope["__init__"].__code__
    return code


# ── what all of them share ──────────────────────────────────────────────────────────────────────────────────


def _frozen(self: object, name: str, value: object = None) -> None:
    raise AttributeError(f"{type(self).__name__} is frozen: {name} cannot be changed")


def _values(self: Any) -> tuple[Any, ...]:
    return tuple(getattr(self, name) for name in self.__match_args__)


def _repr(self: Any) -> str:
    inside = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__match_args__)
    return f"{type(self).__qualname__}({inside})"


def _eq(self: object, other: object) -> Any:
    return _values(self) == _values(other) if type(self) is type(other) else NotImplemented


def _hash(self: object) -> int:
    return hash(_values(self))
