"""A stand-in for CuPy: NumPy's numbers behind CuPy's manners, for machines without a GPU.

What CuPy refuses is refused here: conversion to NumPy that nobody asked for, NumPy arrays among operands, keyword
arguments that only NumPy has, ufunc methods that CuPy lacks. What CuPy does silently and differently is refused too:
indices out of range (it wraps them), repeated indices in an assignment (it leaves the winner open), NumPy scalars of
another dtype (promotion differs between versions), whole-number functions on integers (it makes floats of them).

What CuPy 14.2 was seen to give on a GPU (H200) where NumPy gives something else, is given here: see `OTHERWISE`. So an
operator agrees with NumPy on this module only behind `gradcli.backends.functions`, which is what a GPU gets, too.

Signatures are those of CuPy 13, https://docs.cupy.dev/en/v13/reference/.
"""

from __future__ import annotations

import inspect
import operator
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np

# ── what CuPy has ───────────────────────────────────────────────────────────────────────────────────────────

_UFUNCS = """
absolute add arccos arccosh arcsin arcsinh arctan arctan2 arctanh bitwise_and bitwise_or bitwise_xor cbrt ceil
copysign cos cosh deg2rad degrees divide equal exp exp2 expm1 fabs float_power floor floor_divide fmax fmin fmod gcd
greater greater_equal heaviside hypot invert isfinite isinf isnan lcm ldexp left_shift less less_equal log log10
log1p log2 logaddexp logaddexp2 logical_and logical_not logical_or logical_xor maximum minimum mod multiply negative
nextafter not_equal positive power rad2deg radians reciprocal remainder right_shift rint sign signbit sin sinh sqrt
square subtract tan tanh true_divide trunc
"""
UFUNCS = frozenset(_UFUNCS.split())

SIGNATURES = {
    "all": "a, axis=None, out=None, keepdims=False",
    "any": "a, axis=None, out=None, keepdims=False",
    "arange": "start, stop=None, step=1, dtype=None",
    "argmax": "a, axis=None, dtype=None, out=None, keepdims=False",
    "argmin": "a, axis=None, dtype=None, out=None, keepdims=False",
    "argsort": "a, axis=-1, kind=None",
    "array": "obj, dtype=None, copy=True, order='K', subok=False, ndmin=0",
    "asarray": "a, dtype=None, order=None",
    "ascontiguousarray": "a, dtype=None",
    "broadcast_to": "array, shape",
    "concatenate": "tup, axis=0, out=None, *, dtype=None, casting='same_kind'",
    "copy": "a, order='K'",
    "copyto": "dst, src, casting='same_kind', where=None",
    "count_nonzero": "a, axis=None",
    "cumprod": "a, axis=None, dtype=None, out=None",
    "cumsum": "a, axis=None, dtype=None, out=None",
    "diff": "a, n=1, axis=-1, prepend=None, append=None",
    "empty": "shape, dtype=float, order='C'",
    "expand_dims": "a, axis",
    "eye": "N, M=None, k=0, dtype=float, order='C'",
    "flip": "a, axis=None",
    "frombuffer": "buffer, dtype=float, count=-1, offset=0",
    "full": "shape, fill_value, dtype=None, order='C'",
    "matmul": "x1, x2, /, out=None",
    "max": "a, axis=None, out=None, keepdims=False",
    "may_share_memory": "a, b, max_work=None",
    "min": "a, axis=None, out=None, keepdims=False",
    "moveaxis": "a, source, destination",
    "nonzero": "a",
    "ones": "shape, dtype=float, order='C'",
    "ones_like": "a, dtype=None, order='K', subok=None, shape=None",
    "prod": "a, axis=None, dtype=None, out=None, keepdims=False",
    "repeat": "a, repeats, axis=None",
    "reshape": "a, newshape, order='C'",
    "roll": "a, shift, axis=None",
    "searchsorted": "a, v, side='left', sorter=None",
    "sort": "a, axis=-1, kind=None",
    "squeeze": "a, axis=None",
    "stack": "tup, axis=0, out=None, *, dtype=None, casting='same_kind'",
    "sum": "a, axis=None, dtype=None, out=None, keepdims=False",
    "swapaxes": "a, axis1, axis2",
    "take": "a, indices, axis=None, out=None",
    "tile": "A, reps",
    "transpose": "a, axes=None",
    "where": "condition, x=None, y=None, /",
    "zeros": "shape, dtype=float, order='C'",
    "zeros_like": "a, dtype=None, order='K', subok=None, shape=None",
}

LINALG = {
    "cholesky": "a",
    "det": "a",
    "inv": "a",
    "qr": "a, mode='reduced'",
    "slogdet": "a",
    "solve": "a, b",
    "svd": "a, full_matrices=True, compute_uv=True",
}

NAMES = UFUNCS | SIGNATURES.keys() | {"lib"} | {f"linalg.{name}" for name in LINALG}
_METHODS = """
T all any astype copy dtype item itemsize max min nbytes ndim prod ravel reshape shape size strides sum transpose view
"""
METHODS = frozenset(_METHODS.split())  # of cupy.ndarray, as far as this stand-in has them
FROM_HOST = ("array", "asarray", "frombuffer", "arange", "full", "eye")  # these take what is not on the device
FLOATS_ONLY = ("floor", "ceil", "rint", "trunc")
STABLE = (None, "stable")


# ── what CuPy gives, and NumPy does not ─────────────────────────────────────────────────────────────────────


def _remainder(x: Any, y: Any, **options: Any) -> Any:
    """Wrong by y where x / y rounds to a whole number, nan for an infinite y."""
    return x - (np.floor(x / y) if np.asarray(x).dtype.kind == "f" else np.floor_divide(x, y)) * y


def _last_nan(name: str) -> Callable[..., Any]:
    """The index of any nan: here that of the last."""

    def function(a: Any, axis: int) -> Any:
        nan = np.isnan(a) if a.dtype.kind == "f" else np.zeros(a.shape, bool)
        last = a.shape[axis] - 1 - np.argmax(np.flip(nan, axis), axis=axis)
        return np.where(nan.any(axis=axis), last, getattr(np, name)(a, axis=axis))

    return function


def _unsigned_zero(a: Any, dtype: Any = None, **options: Any) -> Any:
    """What comes from the host without dims and equals 0 is written as bytes of 0."""
    made = np.asarray(a, dtype, **options)
    return np.zeros_like(made) if not made.ndim and made == 0 else made


def _solve(a: Any, b: Any) -> Any:
    """The bytes of a right side in steps of none; and pivots that pass by a nan."""
    if a.ndim > 2 and a.size and not b.size:
        raise ZeroDivisionError("division by zero")
    return np.linalg.solve(_known(a), b)


def _known(a: Any) -> Any:
    return np.where(np.isnan(a).any(axis=(-2, -1), keepdims=True), np.eye(a.shape[-1], dtype=a.dtype), a)


OTHERWISE: dict[str, Callable[..., Any]] = {
    "remainder": _remainder,
    "argmax": _last_nan("argmax"),
    "argmin": _last_nan("argmin"),
    "asarray": _unsigned_zero,
    "linalg.solve": _solve,
    "linalg.inv": lambda a: np.linalg.inv(_known(a)),
}


# ── arrays ──────────────────────────────────────────────────────────────────────────────────────────────────


class Array:
    """A NumPy array that only `get()` gives away."""

    __slots__ = ("_own",)
    __array_ufunc__ = None  # so that a NumPy scalar on the left leaves the operator to this class

    def __init__(self, own: np.ndarray[Any, Any]) -> None:
        self._own = own

    def get(self) -> np.ndarray[Any, Any]:
        """A copy on the host, as `cupy.asnumpy` gives it."""
        return self._own.copy()

    def set(self, array: np.ndarray[Any, Any]) -> None:
        """Fill it from the host."""
        self._own[...] = array

    @property
    def __cuda_array_interface__(self) -> dict[str, Any]:
        return {"shape": self.shape, "typestr": self.dtype.str, "version": 3}

    @property
    def flags(self) -> Any:
        """CuPy's know of no arrays that are read-only."""
        return SimpleNamespace(c_contiguous=self._own.flags.c_contiguous, owndata=self._own.flags.owndata)

    def __array__(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("implicit conversion to a NumPy array is not allowed")

    def __array_function__(self, function: Any, *rest: Any) -> Any:
        raise TypeError(f"numpy.{function.__name__} on an array of the device; use `xp`")

    def __repr__(self) -> str:
        return f"strict {self._own!r}"

    @property
    def shape(self) -> tuple[int, ...]:
        return self._own.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        return self._own.dtype

    @property
    def ndim(self) -> int:
        return self._own.ndim

    @property
    def size(self) -> int:
        return self._own.size

    @property
    def nbytes(self) -> int:
        return self._own.nbytes

    @property
    def itemsize(self) -> int:
        return self._own.itemsize

    @property
    def strides(self) -> tuple[int, ...]:
        return self._own.strides

    @property
    def T(self) -> Array:
        return Array(self._own.T)

    def astype(self, dtype: Any, order: str = "K", *, copy: bool = True) -> Array:
        return Array(self._own.astype(dtype, order=order, copy=copy))  # type: ignore[call-overload]

    def view(self, dtype: Any) -> Array:
        return Array(self._own.view(dtype))

    def copy(self, order: Any = "C") -> Array:
        return Array(self._own.copy(order))

    def ravel(self, order: Any = "C") -> Array:
        return Array(self._own.ravel(order))

    def item(self) -> Any:
        return self._own.item()

    def reshape(self, *shape: Any, order: Any = "C") -> Array:
        return Array(self._own.reshape(*shape, order=order))

    def transpose(self, *axes: Any) -> Array:
        return Array(self._own.transpose(*axes))

    def all(self, axis: Any = None, out: Any = None, keepdims: bool = False) -> Array:
        return call("all", self, axis, out, keepdims)

    def any(self, axis: Any = None, out: Any = None, keepdims: bool = False) -> Array:
        return call("any", self, axis, out, keepdims)

    def max(self, axis: Any = None, out: Any = None, keepdims: bool = False) -> Array:
        return call("max", self, axis, out, keepdims)

    def min(self, axis: Any = None, out: Any = None, keepdims: bool = False) -> Array:
        return call("min", self, axis, out, keepdims)

    def sum(self, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False) -> Array:
        return call("sum", self, axis, dtype, out, keepdims)

    def prod(self, axis: Any = None, dtype: Any = None, out: Any = None, keepdims: bool = False) -> Array:
        return call("prod", self, axis, dtype, out, keepdims)

    # Each of these waits for the device, and is meant to: a check of the data itself.

    def __bool__(self) -> bool:
        if self.size != 1:
            raise ValueError("the truth value of an array of more or less than one element")
        return bool(self._own)

    def __int__(self) -> int:
        return int(self._own)

    def __float__(self) -> float:
        return float(self._own)

    def __len__(self) -> int:
        return len(self._own)

    def __getitem__(self, key: Any) -> Array:
        where = _places(key)
        parts = where if isinstance(where, tuple) else (where,)
        basic = not any(isinstance(part, np.ndarray) for part in parts)
        return Array(self._own[(*parts, ...)] if basic and Ellipsis not in parts else np.asarray(self._own[where]))

    def __setitem__(self, key: Any, value: Any) -> None:
        where = _places(key)
        written = np.arange(self.size).reshape(self.shape)[where].reshape(-1)
        if len(np.unique(written)) != len(written):
            raise IndexError("an assignment through repeated indices: CuPy leaves open which one wins")
        (own,) = _operands((value,), self.dtype)
        if isinstance(own, np.ndarray) and own.dtype != self.dtype:
            raise TypeError(f"{own.dtype} is written into {self.dtype}")
        self._own[where] = own


def _places(key: Any) -> Any:
    """An index with this module's arrays unwrapped; refused where CuPy would wrap, or copy from the host."""
    if isinstance(key, tuple):
        return tuple(_places(part) for part in key)
    if isinstance(key, Array):
        if key.dtype.kind == "i" and (key._own < 0).any():
            raise IndexError("an index from data is negative: CuPy would wrap it")
        return key._own
    if key is None or key is Ellipsis or isinstance(key, (int, slice)):
        if isinstance(key, slice):
            assert all(part is None or type(part) is int for part in (key.start, key.stop, key.step))
        return key
    raise TypeError(f"an index of type {type(key).__name__}")


def _operands(values: tuple[Any, ...], dtype: Any = None) -> list[Any]:
    """Arrays of this module unwrapped, Python's numbers, and NumPy's scalars of a dtype that an array here has."""
    dtypes = {value.dtype for value in values if isinstance(value, Array)} | ({dtype} if dtype is not None else set())
    found: list[Any] = []
    for value in values:
        if isinstance(value, Array):
            found.append(value._own)
        elif isinstance(value, np.generic):
            if dtypes - {np.dtype(bool)} and value.dtype not in dtypes:
                raise TypeError(f"a NumPy scalar of {value.dtype} among arrays of {dtypes}")
            found.append(value)
        elif isinstance(value, (bool, int, float)):
            found.append(value)
        else:
            raise TypeError(f"unsupported type {type(value).__name__}")
    return found


def _wrapped(made: Any) -> Any:
    """Results are arrays, those without dims too."""
    return tuple(map(_wrapped, made)) if isinstance(made, tuple) else Array(np.asarray(made))


# ── functions ───────────────────────────────────────────────────────────────────────────────────────────────


def _signature(text: str) -> inspect.Signature:
    return inspect.signature(eval(f"lambda {text}: None"))


_BOUND = {name: _signature(text) for name, text in SIGNATURES.items()}


def call(name: str, *args: Any, **kwargs: Any) -> Any:
    """The function `name` of CuPy's signature, on this module's arrays."""
    bound = _BOUND[name].bind(*args, **kwargs)
    if name == "asarray" and isinstance(bound.arguments["a"], Array) and kwargs.get("dtype") is None:
        return bound.arguments["a"]
    positional, keywords = [], {}
    for parameter in _BOUND[name].parameters.values():
        if parameter.name not in bound.arguments:
            continue
        value = _argument(name, parameter.name, bound.arguments[parameter.name])
        if parameter.default is parameter.empty or parameter.kind is parameter.POSITIONAL_ONLY:
            positional.append(value)
        elif value is not parameter.default:
            keywords[parameter.name] = value
    if name in ("argsort", "sort") and keywords.get("kind") not in STABLE:
        raise ValueError("kind can only be None or 'stable'")
    if name == "nonzero" and positional[0].ndim == 0:
        raise ValueError("nonzero of an array without dims")
    return _wrapped((OTHERWISE.get(name) or getattr(np, name))(*positional, **keywords))


def _argument(function: str, name: str, value: Any) -> Any:
    if isinstance(value, Array):
        return value._own
    if isinstance(value, (np.ndarray, np.generic)) and function not in (*FROM_HOST, "where"):
        raise TypeError(f"{function}: {name} is a {type(value).__name__} of NumPy")
    if name == "tup":
        if not all(isinstance(part, Array) for part in value):
            raise TypeError(f"{function}: only arrays of the device can be joined")
        return tuple(part._own for part in value)
    if function == "where":
        if name == "condition":
            raise TypeError("where: the condition is no array")
        return _operands((value,))[0]
    if name in ("a", "x1", "x2") and function not in FROM_HOST:
        raise TypeError(f"{function}: {name} is a {type(value).__name__}, not an array")
    return value


class Ufunc:
    """A ufunc of CuPy: no `where=`, and few methods."""

    def __init__(self, name: str) -> None:
        self._name, self._own = name, OTHERWISE.get(name) or getattr(np, name)

    def __call__(self, *args: Any, out: Any = None, dtype: Any = None, casting: str = "same_kind") -> Array:
        operands = _operands(args)
        if self._name in FLOATS_ONLY and not all(np.asarray(array).dtype.kind == "f" for array in operands):
            raise TypeError(f"{self._name} makes floats of integers in CuPy, and not in NumPy")
        keywords: dict[str, Any] = {} if dtype is None else {"dtype": dtype}
        if out is not None:
            if not isinstance(out, Array):
                raise TypeError(f"{self._name}: out is a {type(out).__name__}")
            keywords["out"] = out._own
        made = self._own(*operands, casting=casting, **keywords)
        return out if out is not None else Array(np.asarray(made))

    def reduceat(self, array: Array, indices: Array, axis: int = 0, dtype: Any = None, out: Any = None) -> Array:
        if self._name != "add":
            raise NotImplementedError(f"{self._name}.reduceat is not supported")
        assert out is None
        own, places = _operands((array, indices))
        return Array(np.asarray(self._own.reduceat(own, places, axis=axis, dtype=dtype)))


def as_strided(x: Array, shape: tuple[int, ...], strides: tuple[int, ...]) -> Array:
    """Of `cupy.lib.stride_tricks`. A view past the end of its array is refused: there it reads what lies behind."""
    if not isinstance(x, Array):
        raise TypeError(f"as_strided: a {type(x).__name__} is no array")
    reach = sum((size - 1) * abs(step) for size, step in zip(shape, strides, strict=True))
    own = sum((size - 1) * abs(step) for size, step in zip(x.shape, x.strides, strict=True))
    if 0 not in shape and reach > own:
        raise IndexError(f"as_strided: {shape} by {strides} ends behind {x.shape} by {x.strides}")
    return Array(np.lib.stride_tricks.as_strided(x._own, shape, strides))


class Namespace:
    """The module. `used` holds every name that was asked for."""

    def __init__(self) -> None:
        self.used: set[str] = set()
        self.linalg = Linalg(self.used)

    def __getattr__(self, name: str) -> Callable[..., Any] | Ufunc | SimpleNamespace:
        self.used.add(name)
        if name == "lib":
            return SimpleNamespace(stride_tricks=SimpleNamespace(as_strided=as_strided))
        if name in UFUNCS:
            return Ufunc(name)
        if name in SIGNATURES:
            return lambda *args, **kwargs: call(name, *args, **kwargs)
        raise AttributeError(f"cupy.{name} is not in the list of names that CuPy 13 has (tests/ops/strict.py)")


class Linalg:
    """`cupy.linalg`: of single and double floats only, leading dims as they are."""

    def __init__(self, used: set[str]) -> None:
        self._used = used

    def __getattr__(self, name: str) -> Callable[..., Any]:
        self._used.add(f"linalg.{name}")
        if name not in LINALG:
            raise AttributeError(f"cupy.linalg.{name} is not in the list of names (tests/ops/strict.py)")

        def function(*arrays: Any, **options: Any) -> Any:
            _signature(LINALG[name]).bind(*arrays, **options)
            if any(not isinstance(array, Array) or array.dtype.char not in "fd" for array in arrays):
                raise TypeError(f"linalg.{name} of {arrays}")
            if name == "solve" and arrays[0].shape[:-1] != arrays[1].shape[: arrays[0].ndim - 1]:
                raise ValueError("a must have (..., M, M) shape and b must have (..., M) or (..., M, K)")
            made = (OTHERWISE.get(f"linalg.{name}") or getattr(np.linalg, name))(*[x._own for x in arrays], **options)
            return _wrapped(tuple(made) if isinstance(made, tuple) else made)

        return function


# ── Python's operators ──────────────────────────────────────────────────────────────────────────────────────


def _binary(function: Callable[[Any, Any], Any], *, swapped: bool = False) -> Callable[[Array, Any], Any]:
    def method(self: Array, other: Any) -> Any:
        left, right = _operands((other, self) if swapped else (self, other))
        return _wrapped(function(left, right))

    return method


def _in_place(function: Callable[[Any, Any], Any]) -> Callable[[Array, Any], Array]:
    def method(self: Array, other: Any) -> Array:
        own, value = _operands((self, other))
        function(own, value)
        return self

    return method


def _unary(function: Callable[[Any], Any]) -> Callable[[Array], Any]:
    return lambda self: _wrapped(function(self._own))


for _name in ("add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "matmul", "and", "or", "xor"):
    _function = getattr(operator, f"__{_name}__")
    setattr(Array, f"__{_name}__", _binary(_function))
    setattr(Array, f"__r{_name}__", _binary(_function, swapped=True))
    if _name != "matmul":
        setattr(Array, f"__i{_name}__", _in_place(getattr(operator, f"__i{_name}__")))
for _name in ("lt", "le", "gt", "ge", "eq", "ne"):
    setattr(Array, f"__{_name}__", _binary(getattr(operator, f"__{_name}__")))
for _name in ("neg", "pos", "abs", "invert"):
    setattr(Array, f"__{_name}__", _unary(getattr(operator, f"__{_name}__")))
