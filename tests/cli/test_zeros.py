"""Planted models: what is zero in them and why, as a table and as JSON has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tests.conftest import Cli


class Planted(NamedTuple):
    """A model with the options of `grad`, what is printed below the headline, and what JSON says of zeros."""

    about: str
    model: str
    options: tuple[str, ...]
    page: str
    zeros: dict[str, Any]


PLANTED = {
    "no_path": Planted(
        "The output does not depend on x.",
        """\
net f(x: f64[2], y: f64[2]) = sum(y * y)
input x = [1.0, 2.0]
input y = [3.0, 4.0]
""",
        ("--get-all",),
        """\
  input   shape   dtype   gradient   why zero
  x       2       f64     [0  0]     no path
  y       2       f64     [6  8]
""",
        {"x": {"reason": "no path", "at": []}, "y": None},
    ),
    "stopped": Planted(
        "Every path ends in one of two stops.",
        """\
net f(x: f64[2], y: f64[2]) {
  a = stop_gradient(x * y)
  b = stop_gradient(exp(x))
  return sum(a * b + y)
}
input x = [1.0, 2.0]
input y = [3.0, 4.0]
""",
        ("--get-all",),
        """\
  input   shape   dtype   gradient   why zero
  x       2       f64     [0  0]     stopped at m.net:2, m.net:3
  y       2       f64     [1  1]
""",
        {"x": {"reason": "stopped", "at": ["m.net:2", "m.net:3"]}, "y": None},
    ),
    "flat and stopped": Planted(
        "One path ends in a step, the other in a stop: either would do.",
        """\
net f(w: f64[2]) {
  a = stop_gradient(w * 2)
  b = floor(w)
  return sum(a) + sum(b)
}
input w = [1.5, 2.5]
""",
        ("--why", "w"),
        """\
  input   shape   dtype   gradient   why zero
  w       2       f64     [0  0]     flat at m.net:3
                                     stopped at m.net:2

  zeros of w   why zero
  all          flat at m.net:3
               stopped at m.net:2
""",
        {
            "w": {"reason": "flat", "at": ["m.net:3"], "also": [{"reason": "stopped", "at": ["m.net:2"]}]},
            "why w": [
                {
                    "reason": "flat",
                    "at": ["m.net:3"],
                    "also": [{"reason": "stopped", "at": ["m.net:2"]}],
                    "indices": [[0], [1]],
                }
            ],
        },
    ),
    "flat": Planted(
        "A step, a comparison and an integer.",
        """\
net f(x: f64[3], y: f64[3]) {
  a = floor(x[0]) * y
  b = where(x[1] > 0, y, 2 * y)
  k = i64(x[2])
  return sum(a + b + f64(k) * y)
}
input x = [1.5, 2.5, 3.5]
input y = [1.0, 2.0, 3.0]
""",
        ("--get-all",),
        """\
  input   shape   dtype   gradient    why zero
  x       3       f64     [0  0  0]   flat at m.net:2, m.net:3, m.net:4
  y       3       f64     [5  5  5]
""",
        {"x": {"reason": "flat", "at": ["m.net:2", "m.net:3", "m.net:4"]}, "y": None},
    ),
    "dead_relu": Planted(
        "No unit is active.",
        """\
net f(x: f64[4]) {
  h = relu(x - 10)
  return sum(h * h)
}
input x = [1.0, 2.0, 3.0, 4.0]
""",
        (),
        """\
  input   shape   dtype   gradient       why zero
  x       4       f64     [0  0  0  0]   masked at m.net:2 (100% inactive)
""",
        {"x": {"reason": "masked", "at": ["m.net:2"], "inactive": [1.0]}},
    ),
    "one_dead_unit": Planted(
        "Of four units the first is dead: its weights alone have no gradient.",
        """\
net f(x: f64[3, 2], a: f64[2], b: f64[2, 3]) {
  dead = relu(x @ a - 100)
  live = relu(x @ b + 100)
  return sum(dead) + sum(live)
}
input x = [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]
input a = [1.0, 1.0]
input b = ones([2, 3])
""",
        ("--wrt", "a,b"),
        """\
  input   shape   dtype   gradient         why zero
  a       2       f64     [0  0]           masked at m.net:2 (100% inactive)
  b       2×3     f64     [[ 9   9   9]
                           [12  12  12]]
""",
        {"a": {"reason": "masked", "at": ["m.net:2"], "inactive": [1.0]}, "b": None},
    ),
    "where": Planted(
        "The branch that is not taken.",
        """\
net f(x: f64[3], y: f64[3]) {
  d = x * x
  return sum(where(y > 0, y, d))
}
input x = [1.0, 2.0, 3.0]
input y = [1.0, 2.0, 3.0]
""",
        ("--get-all",),
        """\
  input   shape   dtype   gradient    why zero
  x       3       f64     [0  0  0]   masked at m.net:3 (100% inactive)
  y       3       f64     [1  1  1]
""",
        {"x": {"reason": "masked", "at": ["m.net:3"], "inactive": [1.0]}, "y": None},
    ),
    "clip": Planted(
        "All of it is cut off, above and below.",
        """\
net f(x: f64[3]) {
  h = clip(x, 0, 1)
  return sum(h)
}
input x = [-1.0, 2.0, 3.0]
""",
        (),
        """\
  input   shape   dtype   gradient    why zero
  x       3       f64     [0  0  0]   masked at m.net:2 (100% inactive)
""",
        {"x": {"reason": "masked", "at": ["m.net:2"], "inactive": [1.0]}},
    ),
    "maximum": Planted(
        "Never the larger, and never the largest.",
        """\
net f(x: f64[2], y: f64[2], z: f64[3]) {
  m = maximum(x, y)
  every = concat([m, z])
  return max(every)
}
input x = [1.0, 2.0]
input y = [3.0, 4.0]
input z = [9.0, 1.0, 2.0]
""",
        ("--get-all",),
        """\
  input   shape   dtype   gradient    why zero
  x       2       f64     [0  0]      masked at m.net:4 (80% inactive)
  y       2       f64     [0  0]      masked at m.net:4 (80% inactive)
  z       3       f64     [1  0  0]
""",
        {
            "x": {"reason": "masked", "at": ["m.net:4"], "inactive": [0.8]},
            "y": {"reason": "masked", "at": ["m.net:4"], "inactive": [0.8]},
            "z": None,
        },
    ),
    "sens": Planted(
        "Nothing is asked of the output.",
        """\
net f(x: f64[2]) = x * x
input x = [1.0, 2.0]
""",
        ("--sens", "[0, 0]"),
        """\
  input   shape   dtype   gradient   why zero
  x       2       f64     [0  0]     sens is zero
""",
        {"x": {"reason": "sens is zero", "at": []}},
    ),
    "sens_and_mask": Planted(
        "One element of the output is not weighted, the other is masked.",
        """\
net f(x: f64[2]) {
  h = relu(x)
  return h * h
}
input x = [1.0, -2.0]
""",
        ("--sens", "[0, 1]", "--why", "x"),
        """\
  input   shape   dtype   gradient   why zero
  x       2       f64     [0  0]     masked at m.net:2 (50% inactive)
                                     sens is zero

  zeros of x   why zero
  [0]          sens is zero
  [1]          masked at m.net:2 (50% inactive)
""",
        {
            "x": {
                "reason": "masked",
                "at": ["m.net:2"],
                "inactive": [0.5],
                "also": [{"reason": "sens is zero", "at": []}],
            },
            "why x": [
                {"reason": "sens is zero", "at": [], "indices": [[0]]},
                {"reason": "masked", "at": ["m.net:2"], "inactive": [0.5], "indices": [[1]]},
            ],
        },
    ),
    "multiplied": Planted(
        "A factor that is zero.",
        """\
net f(x: f64[2], g: f64[2]) {
  h = sin(x)
  return sum(h * g)
}
input x = [1.0, 2.0]
input g = [0.0, 0.0]
""",
        (),
        """\
  input   shape   dtype   gradient   why zero
  x       2       f64     [0  -0]    multiplied by zero at m.net:3
""",
        {"x": {"reason": "multiplied by zero", "at": ["m.net:3"]}},
    ),
    "stationary": Planted(
        "The slope itself is zero: x\u00b2 at 0.",
        """\
net f(x: f64[2]) {
  h = x ** 2
  return sum(h)
}
input x = [0.0, 0.0]
""",
        (),
        """\
  input   shape   dtype   gradient   why zero
  x       2       f64     [0  0]     multiplied by zero at m.net:2
""",
        {"x": {"reason": "multiplied by zero", "at": ["m.net:2"]}},
    ),
    "weights_of_zero_data": Planted(
        "Rows of data that are zero, behind a row that is masked.",
        """\
net f(x: f64[3, 2], w: f64[2]) {
  z = x @ w
  h = relu(z)
  return sum(h)
}
input x = [[0.0, 1.0], [0.0, 2.0], [5.0, -9.0]]
input w = [1.0, 1.0]
""",
        ("--wrt", "w", "--why", "w"),
        """\
  input   shape   dtype   gradient
  w       2       f64     [0  3]

  zeros of w   why zero
  [0]          masked at m.net:3 (33.3% inactive)
               multiplied by zero at m.net:2
""",
        {
            "w": None,
            "why w": [
                {
                    "reason": "masked",
                    "at": ["m.net:3"],
                    "inactive": [0.3333],
                    "also": [{"reason": "multiplied by zero", "at": ["m.net:2"]}],
                    "indices": [[0]],
                }
            ],
        },
    ),
    "cancels": Planted(
        "Shares add up to one, whatever x is.",
        """\
net f(x: f64[2]) {
  p = softmax(x)
  return sum(p)
}
input x = [1.0, 1.0]
""",
        (),
        """\
  input   shape   dtype   gradient   why zero
  x       2       f64     [0  0]     cancels at m.net:2
""",
        {"x": {"reason": "cancels", "at": ["m.net:2"]}},
    ),
    "cancels_between_lines": Planted(
        "Two uses, on two lines, that undo each other.",
        """\
net f(x: f64[2]) {
  a = 3 * x
  b = -3 * x
  return sum(a + b)
}
input x = [1.0, 2.0]
""",
        (),
        """\
  input   shape   dtype   gradient   why zero
  x       2       f64     [0  0]     cancels at m.net:2, m.net:3
""",
        {"x": {"reason": "cancels", "at": ["m.net:2", "m.net:3"]}},
    ),
    "centred": Planted(
        "The mean is taken off, then everything is added up.",
        """\
net f(x: f64[4]) {
  c = x - mean(x)
  return sum(c)
}
input x = [1.0, 2.0, 3.0, 4.0]
""",
        (),
        """\
  input   shape   dtype   gradient       why zero
  x       4       f64     [0  0  0  0]   cancels at m.net:2
""",
        {"x": {"reason": "cancels", "at": ["m.net:2"]}},
    ),
    "underflow_value": Planted(
        "exp is smaller than the smallest number.",
        """\
net f(x: f64[2]) {
  h = exp(-x)
  return sum(h)
}
input x = [800.0, 900.0]
""",
        (),
        """\
  input   shape   dtype   gradient   why zero
  x       2       f64     [-0  -0]   underflow at m.net:2
""",
        {"x": {"reason": "underflow", "at": ["m.net:2"]}},
    ),
    "underflow_product": Planted(
        "Factors that are not zero, and whose product is.",
        """\
net f(x: f32[2]) {
  a = x * 1e-30
  b = a * 1e-30
  return sum(b)
}
input x = [1.0, 2.0]
""",
        (),
        """\
  input   shape   dtype   gradient   why zero
  x       2       f32     [0  0]     underflow at m.net:2
""",
        {"x": {"reason": "underflow", "at": ["m.net:2"]}},
    ),
    "saturated": Planted(
        "tanh is 1 to the last digit.",
        """\
net f(x: f64[2]) {
  h = tanh(x)
  return sum(h)
}
input x = [40.0, -50.0]
""",
        (),
        """\
  input   shape   dtype   gradient   why zero
  x       2       f64     [0  0]     underflow at m.net:2
""",
        {"x": {"reason": "underflow", "at": ["m.net:2"]}},
    ),
    "different_reasons": Planted(
        "Each element for a reason of its own.",
        """\
net f(x: f64[7]) {
  a = floor(x[0])
  b = stop_gradient(x[1])
  c = relu(x[2])
  d = x[3] * 0
  e = x[4] - x[4]
  g = exp(-1000 * x[5])
  return a + b + c + d + e + g + 2 * x[6]
}
input x = [1.5, 1.0, -1.0, 1.0, 1.0, 1.0, 1.0]
""",
        ("--why", "x"),
        """\
  input   shape   dtype   gradient
  x       7       f64     [0  0  0  0  0  0  2]

  zeros of x   why zero
  [0]          flat at m.net:2
  [1]          stopped at m.net:3
  [2]          masked at m.net:4 (100% inactive)
  [3]          multiplied by zero at m.net:5
  [4]          cancels at m.net:6
  [5]          underflow at m.net:7
""",
        {
            "x": None,
            "why x": [
                {"reason": "flat", "at": ["m.net:2"], "indices": [[0]]},
                {"reason": "stopped", "at": ["m.net:3"], "indices": [[1]]},
                {"reason": "masked", "at": ["m.net:4"], "inactive": [1.0], "indices": [[2]]},
                {"reason": "multiplied by zero", "at": ["m.net:5"], "indices": [[3]]},
                {"reason": "cancels", "at": ["m.net:6"], "indices": [[4]]},
                {"reason": "underflow", "at": ["m.net:7"], "indices": [[5]]},
            ],
        },
    ),
    "partly": Planted(
        "Masked in one place and multiplied by zero in another.",
        """\
net f(x: f64[4]) {
  h = relu(x)
  g = [1.0, 0.0, 1.0, 0.0] * h
  return sum(g)
}
input x = [-1.0, 2.0, -3.0, 4.0]
""",
        (),
        """\
  input   shape   dtype   gradient       why zero
  x       4       f64     [0  0  0  0]   masked at m.net:2 (50% inactive)
                                         multiplied by zero at m.net:3
""",
        {
            "x": {
                "reason": "masked",
                "at": ["m.net:2"],
                "inactive": [0.5],
                "also": [{"reason": "multiplied by zero", "at": ["m.net:3"]}],
            }
        },
    ),
    "nearest_to_the_output": Planted(
        "Dead twice: the place that is nearest to the output is named.",
        """\
net f(x: f64[2]) {
  a = relu(x)
  b = sin(a) + 1
  c = relu(-b)
  return sum(c)
}
input x = [-1.0, -2.0]
""",
        (),
        """\
  input   shape   dtype   gradient   why zero
  x       2       f64     [0  0]     masked at m.net:4 (100% inactive)
""",
        {"x": {"reason": "masked", "at": ["m.net:4"], "inactive": [1.0]}},
    ),
    "chain": Planted(
        "A long chain, dead at its end.",
        """\
net f(x: f64) {
  h = x
  for i in 0..400 {
    h = sin(h) + 0.1 * cos(h)
  }
  return relu(h - 5)
}
input x = 0.5
""",
        (),
        """\
  input   shape    dtype   gradient   why zero
  x       scalar   f64     0          masked at m.net:6 (100% inactive)
""",
        {"x": {"reason": "masked", "at": ["m.net:6"], "inactive": [1.0]}},
    ),
    "loop": Planted(
        "A loop that stays one node, in which x is masked at every turn.",
        """\
net f(x: f64[2], y: f64[2]) {
  s = y
  for i in 0..300 {
    m = maximum(x - 5, s)
    s = 0.5 * m + 1
  }
  return sum(s)
}
input x = [1.0, 2.0]
input y = [1.0, 2.0]
""",
        ("--get-all",),
        """\
  input   shape   dtype   gradient                                         why zero
  x       2       f64     [0  0]                                           masked at m.net:4 (100% inactive)
  y       2       f64     [4.909093465297727e-91  4.909093465297727e-91]
""",
        {"x": {"reason": "masked", "at": ["m.net:4"], "inactive": [1.0]}, "y": None},
    ),
    "while": Planted(
        "x only says when to stop.",
        """\
net f(x: f64, y: f64) {
  s = y
  for i in 0..300 while s < x {
    s = 2 * s
  }
  return s
}
input x = 100.0
input y = 1.0
""",
        ("--get-all",),
        """\
  input   shape    dtype   gradient   why zero
  x       scalar   f64     0          flat at m.net:3
  y       scalar   f64     128
""",
        {"x": {"reason": "flat", "at": ["m.net:3"]}, "y": None},
    ),
    "checkpoint": Planted(
        "Inside what is computed twice.",
        """\
net part(x: f64[2]) {
  h = relu(x)
  return sum(h * h)
}
net f(x: f64[2]) = checkpoint(part)(x)
input x = [-1.0, -2.0]
""",
        ("--net", "f"),
        """\
  input   shape   dtype   gradient   why zero
  x       2       f64     [0  0]     masked at m.net:2 (100% inactive)
""",
        {"x": {"reason": "masked", "at": ["m.net:2"], "inactive": [1.0]}},
    ),
    "batch": Planted(
        "In every row of a batch.",
        """\
net row(x: f64[2], w: f64[2]) {
  h = relu(sum(x * w))
  return h * h
}
net f(x: f64[3, 2], w: f64[2]) = sum(vmap(row, axes=(0, None))(x, w))
input x = [[-1.0, -2.0], [-3.0, -1.0], [-1.0, -1.0]]
input w = [1.0, 1.0]
""",
        ("--net", "f", "--get-all"),
        """\
  input   shape   dtype   gradient   why zero
  x       3×2     f64     [[0  0]    masked at m.net:2 (100% inactive)
                           [0  0]
                           [0  0]]
  w       2       f64     [0  0]     masked at m.net:2 (100% inactive)
""",
        {
            "x": {"reason": "masked", "at": ["m.net:2"], "inactive": [1.0]},
            "w": {"reason": "masked", "at": ["m.net:2"], "inactive": [1.0]},
        },
    ),
    "layer": Planted(
        "A dead layer is one finding, and so is the layer before it.",
        """\
net Dense[i, o](x: f64[b, i]) -> f64[b, o] {
  param w: f64[i, o] = he_uniform(seed=1)
  param b: f64[o] = full(-50.0)
  return relu(x @ w + b)
}
net f(x: f64[b, 3]) {
  layer l1 = Dense[3, 4]
  layer l2 = Dense[4, 2]
  param scale: f64 = ones()
  h = l2(l1(x))
  return scale * sum(h) + sum(scale * x)
}
input x = ones([5, 3])
""",
        ("--net", "f", "--wrt", "all,params"),
        """\
  by                shape    dtype   gradient       why zero
  x                 5×3      f64     [[1  1  1]
                                      [1  1  1]
                                      [1  1  1]
                                      [1  1  1]
                                      [1  1  1]]
  l1.* (2 params)            f64     0 everywhere   masked at m.net:4 (100% inactive)
  l2.* (2 params)            f64     0 everywhere   masked at m.net:4 (100% inactive)
  scale             scalar   f64     15
""",
        {
            "x": None,
            "l1.w": {"reason": "masked", "at": ["m.net:4"], "inactive": [1.0]},
            "l1.b": {"reason": "masked", "at": ["m.net:4"], "inactive": [1.0]},
            "l2.w": {"reason": "masked", "at": ["m.net:4"], "inactive": [1.0]},
            "l2.b": {"reason": "masked", "at": ["m.net:4"], "inactive": [1.0]},
            "scale": None,
            "findings": [
                {
                    "name": "l1.*",
                    "wrt": [["l1.w"], ["l1.b"]],
                    "zero": {"reason": "masked", "at": ["m.net:4"], "inactive": [1.0]},
                },
                {
                    "name": "l2.*",
                    "wrt": [["l2.w"], ["l2.b"]],
                    "zero": {"reason": "masked", "at": ["m.net:4"], "inactive": [1.0]},
                },
            ],
        },
    ),
    "second_order": Planted(
        "Of order 2: linear in x, and relu has no second derivative.",
        """\
net f(x: f64[2], y: f64[2]) {
  h = relu(x)
  return sum(h * y)
}
input x = [1.0, 2.0]
input y = [3.0, 4.0]
""",
        ("--get-all", "--order", "2"),
        """\
  input   shape   dtype   gradient   why zero
  x,x     2       f64     [0  0]     flat at m.net:2
  x,y     2       f64     [1  1]
  y,x     2       f64     [1  1]
  y,y     2       f64     [0  0]     no path
""",
        {
            "x,x": {"reason": "flat", "at": ["m.net:2"]},
            "x,y": None,
            "y,x": None,
            "y,y": {"reason": "no path", "at": []},
        },
    ),
    "second_order_of_numbers": Planted(
        "Of order 2: x\u00b3 at 0.",
        """\
net f(x: f64) {
  h = x * x
  return h * x
}
input x = 0.0
""",
        ("--order", "2"),
        """\
  input   shape    dtype   gradient   why zero
  x,x     scalar   f64     0          multiplied by zero at m.net:2
""",
        {"x,x": {"reason": "multiplied by zero", "at": ["m.net:2"]}},
    ),
    "at": Planted(
        "By a line in the middle.",
        """\
net f(x: f64[2]) {
  h = x * x
  g = relu(h - 100)
  return sum(g)
}
input x = [1.0, 2.0]
""",
        ("--at", "h"),
        """\
  at   shape   dtype   gradient   why zero
  h    2       f64     [0  0]     masked at m.net:3 (100% inactive)
""",
        {"h": {"reason": "masked", "at": ["m.net:3"], "inactive": [1.0]}},
    ),
}


@pytest.fixture
def planted(tmp_path: Path, request: pytest.FixtureRequest) -> Planted:
    found: Planted = PLANTED[request.param]
    (tmp_path / "m.net").write_text(found.model)
    return found


@pytest.mark.parametrize("planted", PLANTED, indirect=True)
def test_the_page(planted: Planted, cli_inside: Cli, tmp_path: Path) -> None:
    head, _, page = cli_inside("grad", "m.net", *planted.options, cwd=tmp_path).done().out.partition("\n")
    assert head.startswith(" m.net · net ")
    assert page == planted.page


@pytest.mark.parametrize("planted", PLANTED, indirect=True)
def test_the_json(planted: Planted, cli_inside: Cli, tmp_path: Path) -> None:
    document = cli_inside("grad", "m.net", *planted.options, "--json", cwd=tmp_path).done().json()
    found: dict[str, Any] = {}
    for grad in document["grads"]:
        name = ",".join(grad["wrt"])
        found[name] = grad["zero"]
        if "zeros" in grad:
            found[f"why {name}"] = grad["zeros"]
    if "findings" in document:
        found["findings"] = document["findings"]
    assert found == planted.zeros


def test_every_reason_is_planted_alone() -> None:
    alone = [zero for model in PLANTED.values() for zero in model.zeros.values() if isinstance(zero, dict)]
    found = {zero["reason"] for zero in alone if "also" not in zero}
    assert found >= {
        *("no path", "stopped", "flat", "masked", "sens is zero", "multiplied by zero", "cancels", "underflow"),
    }


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (["--why", "q"], "DIF003"),
        (["--get-all", "--why", "q"], "DIF003"),
        (["--wrt", "x", "--why", "y"], "DIF003"),
        (["--why", "x", "-o", "g.npz"], "USE005"),
        (["--why", "x", "--format", "csv"], "USE005"),
        (["--why", "x", "--check", "g.npz"], "USE005"),
    ],
)
def test_what_cannot_be_explained(options: list[str], code: str, cli_inside: Cli) -> None:
    ran = cli_inside("grad", "-e", "x * y", "-i", "x=1", "-i", "y=2", *options)
    assert (ran.code, ran.out) == (2, "")
    assert f"[{code}]" in ran.err


def test_what_is_explained_is_selected(cli_inside: Cli) -> None:
    ran = cli_inside("grad", "-e", "relu(x) * y", "-i", "x=-1", "-i", "y=2", "--why", "y", "--why", "x", "--json")
    found = {grad["wrt"][0]: grad["zeros"] for grad in ran.done().json()["grads"]}
    at = ["<expression>:1"]
    assert found == {
        "y": [{"reason": "multiplied by zero", "at": at, "indices": [[]]}],
        "x": [{"reason": "masked", "at": at, "inactive": [1.0], "indices": [[]]}],
    }


def test_no_element_is_zero(cli_inside: Cli) -> None:
    ran = cli_inside("grad", "-e", "x * y", "-i", "x=1", "-i", "y=2", "--why", "x").done()
    assert ran.out.endswith("\n\n  zeros of x   why zero\n  none\n")
