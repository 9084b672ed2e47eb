"""The pages of `gradcli rule` for names, shapes, derivatives, numbers and editions.

`broken` is a file that shows the code when it is checked, `repaired` the same file mended; tests run both.
"""

from __future__ import annotations

from gradcli.syntax.codes import Entry

_PAGES = (
    Entry("NAM001", "unknown name", "A net sees its inputs, params and layers, what encloses it, and the file's consts, "
          "dims and nets. Inputs of the file feed the entry net only.",
          "net f(x: f64) = sinn(x)\n", "net f(x: f64) = sin(x)\n"),
    Entry("NAM002", "recursion", "A net that calls itself, directly or through others, has no finite graph; the message "
          "shows the whole cycle. The same holds for consts, dims and layers.",
          "net f(x: f64) = g(x)\nnet g(x: f64) = f(x)\n", "net f(x: f64) = g(x)\nnet g(x: f64) = x\n"),
    Entry("NAM003", "a net or an operator cannot be hidden", "A name inside a net may hide any value outside it, never a "
          "net or an operator: a reader must know what `sum(x)` is.",
          "net f(x: f64[n]) -> f64 {\n  sum = x[0]\n  return sum\n}\n",
          "net f(x: f64[n]) -> f64 {\n  total = x[0]\n  return total\n}\n"),
    Entry("NAM004", "defined twice", "A file has one item of a name.",
          "const a = 1\nconst a = 2\nnet f(x: f64) = a * x\n", "const a = 1\nnet f(x: f64) = a * x\n"),
    Entry("NAM005", "imports form a cycle", "Two files import each other; the message shows the whole cycle.",
          'import "self.net" as own\nnet f(x: f64) = x\n', "net f(x: f64) = x\n"),
    Entry("NAM006", "cannot import", "Paths are relative to the importing file.",
          'import "nowhere.net" as nowhere\nnet f(x: f64) = x\n', "net f(x: f64) = x\n"),
    Entry("NAM007", "no such member", "After a dot stands a member of an import, a param or layer of a layer, or `.T` and "
          "`.shape` of an array.",
          "net f(x: f64[m, n]) = x.t\n", "net f(x: f64[m, n]) = x.T\n"),
    Entry("NAM008", "which net?", "The entry net is the one named by `--net`, else `main`, else the only net of the file.",
          "const a = 1\n", "const a = 1\nnet f(x: f64) = a * x\n"),
    Entry("NAM009", "no such net", "`--net` names a net that the file does not have.",
          "gradcli grad model.net --net Nte",
          "gradcli grad model.net --net Net"),
    Entry("NAM010", "bound again after the net was defined", "A local net uses a name as it was when the net was "
          "defined. Calling it after that name was bound again could mean either value.",
          "net f(x: f64) -> f64 {\n  a = x\n  net g(y) = a * y\n  a = a + 1\n  return g(x)\n}\n",
          "net f(x: f64) -> f64 {\n  a = x\n  net g(y) = a * y\n  b = a + 1\n  return g(b)\n}\n"),
    Entry("NAM011", "no such line", "`--at` names a line that binds a name in the net: `h`, or `l1/h` inside a layer.",
          "gradcli grad model.net --at hh",
          "gradcli grad model.net --at h"),
    Entry("NAM014", "a layer is made from a net", "`layer l1 = Dense[2, 16]` makes a fresh instance of a net with its own "
          "params; a net with params and static parameters is used only so.",
          "net f(x: f64) -> f64 {\n  layer l = 3\n  return x\n}\n",
          "net scale(x: f64) -> f64 {\n  param w: f64 = 3.0\n  return w * x\n}\nnet f(x: f64) -> f64 {\n  layer l = scale\n"
          "  return l(x)\n}\nnet main(x: f64) = f(x)\n"),
    Entry("NAM015", "a case expects nothing", "A case holds when every `expect` in it holds; without one it says nothing.",
          'net f(x: f64) = x\ncase "empty" {\n  y = f(1.0)\n}\n', 'net f(x: f64) = x\ncase "one" {\n  expect f(1.0) == 1.0\n}\n'),
    Entry("NAM016", "no such page", "`gradcli rule` and `gradcli ops` list what there is.",
          "gradcli ops tnah",
          "gradcli ops tanh"),
    Entry("NAM017", "no name for a net", "A net's name has letters, digits and `_`, begins with a letter and is no word of "
          "the language.",
          "gradcli new 2fast",
          "gradcli new fast2"),
    Entry("NAM020", "too many arguments, or wrong ones", "Calls take positional and named arguments, as in Python.",
          "net f(x: f64) = x\nnet main(x: f64) = f(x, 2.0)\n", "net f(x: f64) = x\nnet main(x: f64) = f(x)\n"),
    Entry("NAM021", "an argument is missing", "Inputs without a default must be given.",
          "net f(x: f64, y: f64) = x * y\nnet main(x: f64) = f(x)\n", "net f(x: f64, y: f64) = x * y\nnet main(x: f64) = f(x, 2.0)\n"),
    Entry("NAM022", "no such argument", "A named argument is an input of the net, or an argument of the operator.",
          "net f(x: f64[n]) = sum(x, axes=0)\n", "net f(x: f64[n]) = sum(x, axis=0)\n"),
    Entry("SHP101", "shapes do not broadcast", "Aligned from the right, sizes are equal or one of them is 1.",
          "net f(x: f64[2, 3], y: f64[2]) = x + y\n", "net f(x: f64[2, 3], y: f64[2]) = x + y[:, None]\n"),
    Entry("SHP102", "would silently grow to every pair", "Both operands grow and bring the same dim on different axes, like "
          "`(n, 1)` with `(n,)`, which gives `(n, n)`: the classic silent bug of losses.",
          "net loss(p: f64[n, 1], t: f64[n]) = mean((p - t) ** 2)\n",
          "net loss(p: f64[n, 1], t: f64[n]) = mean((p[:, 0] - t) ** 2)\n"),
    Entry("SHP103", "a dtype is refused", "Where a dtype is declared, values have it already, unless they are weak "
          "(literals); conditions are bools; integers must fit.",
          "net f(x: f32) -> f64 {\n  return x\n}\n", "net f(x: f32) -> f64 {\n  return f64(x)\n}\n"),
    Entry("SHP104", "ragged rows", "The rows of a nested list have one length, the members of a list of arrays one shape.",
          "const a = [[1, 2], [3]]\nnet f(x: f64) = x * a\n", "const a = [[1, 2], [3, 4]]\nnet f(x: f64) = x * a\n"),
    Entry("SHP105", "not the declared shape", "Types are optional; where they are given they are checked.",
          "net f(x: f64[3]) -> f64 {\n  return x\n}\n", "net f(x: f64[3]) -> f64[3] {\n  return x\n}\n"),
    Entry("SHP106", "a dim does not agree", "A named dim is bound at the call and must agree everywhere.",
          "net f(x: f64[n], y: f64[n]) = x * y\nnet main(x: f64[2], y: f64[3]) = f(x, y)\n",
          "net f(x: f64[n], y: f64[n]) = x * y\nnet main(x: f64[3], y: f64[3]) = f(x, y)\n"),
    Entry("SHP107", "the wrong number of dims", "An operator wants arrays of another rank.",
          "net f(x: f64, y: f64) = x @ y\n", "net f(x: f64, y: f64) = x * y\n"),
    Entry("SHP108", "an index is out of range", "Constant indices are checked before anything runs, indices from data when "
          "they are met.",
          "net f(x: f64[3]) = x[3]\n", "net f(x: f64[3]) = x[2]\n"),
    Entry("SHP109", "too many indices", "An index has at most one item for each dim, and one `...`.",
          "net f(x: f64[3]) = x[0, 0]\n", "net f(x: f64[3]) = x[0]\n"),
    Entry("SHP110", "not a known integer", "Shapes, bounds of loops and slices, static parameters and constant indices are "
          "integers that are known before data.",
          "net f(x: f64[3], k: f64) = x[0:k]\n", "net f(x: f64[3], k: f64) = k * x[0:2]\n"),
    Entry("SHP111", "no such axis", "An axis is a number, or the name of a dim of that array.",
          "net f(x: f64[batch, 3]) = sum(x, axis=2)\n", "net f(x: f64[batch, 3]) = sum(x, axis=batch)\n"),
    Entry("SHP112", "the elements do not fit", "`reshape` keeps the number of elements, `split` makes equal parts.",
          "net f(x: f64[2, 3]) = reshape(x, [4])\n", "net f(x: f64[2, 3]) = reshape(x, [6])\n"),
    Entry("SHP113", "not an array", "An operator wants an array, a number or a list of numbers.",
          'net f(x: f64) = x + "one"\n', "net f(x: f64) = x + 1\n"),
    Entry("SHP114", "a loop index below 0", "An index that holds a loop variable counts from 0: `x[i - 1]` in the first "
          "turn would silently read the end.",
          "net f(x: f64[3]) -> f64 {\n  s = 0.0\n  for i in 0..3 {\n    s = s + x[i - 1]\n  }\n  return s\n}\n",
          "net f(x: f64[3]) -> f64 {\n  s = 0.0\n  for i in 1..3 {\n    s = s + x[i - 1]\n  }\n  return s\n}\n"),
    Entry("SHP115", "the number of values differs", "A tuple is taken apart into as many names as it has members.",
          "net f(x: f64) -> f64 {\n  a, b = (x, x, x)\n  return a\n}\n", "net f(x: f64) -> f64 {\n  a, b = (x, x)\n  return a\n}\n"),
    Entry("SHP116", "unknown type", "Types are f16, f32, f64, i32, i64 and bool.",
          "net f(x: float) = x\n", "net f(x: f64) = x\n"),
    Entry("SHP117", "nothing to choose from", "The largest or smallest of no elements does not exist.",
          "net f(x: f64[0]) = max(x)\n", "net f(x: f64[1]) = max(x)\n"),
    Entry("SHP119", "known only when the dims have sizes", "A loop is written out and a shape is made, so their numbers "
          "are known before data. `check` looks at a net for all sizes, and leaves such a net to where it is used.", "", ""),
    Entry("SHP120", "nothing, or too much, to map over", "`vmap` runs a net for each element along one axis of its inputs: at "
          "least one input has that axis, and all that have it are of one size along it.",
          "net f(x: f64[2], w: f64[2]) = sum(x * w)\nnet main(x: f64[5, 2], w: f64[2]) = vmap(f)(x, w)\n",
          "net f(x: f64[2], w: f64[2]) = sum(x * w)\nnet main(x: f64[5, 2], w: f64[2]) = vmap(f, axes=(0, None))(x, w)\n"),
    Entry("SHP121", "no condition", "What stands after `while` is one bool, computed before each turn.",
          "net f(x: f64[3]) -> f64[3] {\n  for i in 0..99 while x > 1 {\n    x = x / 2\n  }\n  return x\n}\n",
          "net f(x: f64[3]) -> f64[3] {\n  for i in 0..99 while any(x > 1) {\n    x = x / 2\n  }\n  return x\n}\n"),
    Entry("SHP122", "a loop changes what it carries", "With `while`, a name that a loop carries from turn to turn keeps its shape "
          "and dtype: nobody knows how many turns there are.",
          "net f(x: f64[3]) -> f64[3] {\n  h = 0.0\n  for i in 0..99 while sum(h) < 9 {\n    h = h + x\n  }\n  return h\n}\n",
          "net f(x: f64[3]) -> f64[3] {\n  h = zeros([3])\n  for i in 0..99 while sum(h) < 9 {\n    h = h + x\n  }\n  return h\n}\n"),
    Entry("SHP201", "matmul inner sizes differ", "The last dim of the left operand meets the last but one of the right.",
          "net f(x: f64[2, 3], y: f64[2, 3]) = x @ y\n", "net f(x: f64[2, 3], y: f64[2, 3]) = x @ y.T\n"),
    Entry("SHP202", "not a square matrix", "Systems of equations, inverses and determinants are of square matrices, the last two "
          "dims of an array.",
          "net f(x: f64[2, 3]) = det(x)\n", "net f(x: f64[2, 3]) = det(x @ x.T)\n"),
    Entry("SHP203", "a spec of einsum that cannot be read", "It has a letter for each dim, a comma between operands and, if it "
          "is given, `->` before the letters of the result; `...` stands for leading dims. Letters of the result are "
          "letters of operands, each once.",
          'net f(x: f64[2, 3], y: f64[3]) = einsum("ij,j->k", x, y)\n',
          'net f(x: f64[2, 3], y: f64[3]) = einsum("ij,j->i", x, y)\n'),
    Entry("SHP204", "sizes under one letter differ", "In `einsum` a letter is one dim, with one size wherever it stands.",
          'net f(x: f64[2, 3], y: f64[2]) = einsum("ij,j->i", x, y)\n',
          'net f(x: f64[2, 3], y: f64[2]) = einsum("ij,i->j", x, y)\n'),
    Entry("SHP205", "a window does not fit", "A kernel lies in the padded input as a whole, and padding is at most half of a "
          "pool's kernel.",
          "net f(x: f64[1, 1, 2, 2], w: f64[1, 1, 3, 3]) = conv2d(x, w)\n",
          "net f(x: f64[1, 1, 2, 2], w: f64[1, 1, 3, 3]) = conv2d(x, w, padding=1)\n"),
    Entry("SHP206", "channels do not agree", "The weight of a convolution is [O, C / groups, K...] for an input [N, C, ...], and "
          "`groups` divides O.",
          "net f(x: f64[1, 4, 5], w: f64[2, 2, 3]) = conv1d(x, w)\n",
          "net f(x: f64[1, 4, 5], w: f64[2, 2, 3]) = conv1d(x, w, groups=2)\n"),
    Entry("SHP207", "operands of an operator do not fit", "What an operator takes beside its first operand has a shape that "
          "follows from it: a label for each item, a weight for each class, a value for each key.",
          "net f(x: f64[5, 3], y: i64[5, 1]) = cross_entropy(x, y)\n",
          "net f(x: f64[5, 3], y: i64[5, 1]) = cross_entropy(x, y[:, 0])\n"),
    Entry("DIF001", "no derivative by an integer", "Integers and bools have no derivative; defaults and `all` leave them "
          "out with a note.",
          "net f(k: i64, x: f64) = k * x\nnet main(x: f64) = grad(f, wrt=k)(i64(2), x)\n",
          "net f(k: i64, x: f64) = k * x\nnet main(x: f64) = grad(f, wrt=x)(i64(2), x)\n"),
    Entry("DIF002", "no float result", "What is differentiated has at least one float result.",
          "net f(x: f64) = x > 0\nnet main(x: f64) = grad(f)(x)\n", "net f(x: f64) = x * x\nnet main(x: f64) = grad(f)(x)\n"),
    Entry("DIF003", "nothing of that name to differentiate by", "After `wrt` stand inputs, params (`w`, `l1.w`, `h.0.w`), "
          "layers, `all` or `params`.",
          "net f(x: f64) = x * x\nnet main(x: f64) = grad(f, wrt=y)(x)\n", "net f(x: f64) = x * x\nnet main(x: f64) = grad(f, wrt=x)(x)\n"),
    Entry("DIF004", "a sensitivity or direction of another shape", "A sensitivity has the shape and dtype of the output "
          "exactly; a tangent or vector, those of its input.",
          "net f(x: f64[2]) = x * x\nnet main(x: f64[2]) = grad(f, sens=[1.0])(x)\n",
          "net f(x: f64[2]) = x * x\nnet main(x: f64[2]) = grad(f, sens=[1.0, 2.0])(x)\n"),
    Entry("DIF005", "one sensitivity for each output", "With several outputs the sensitivity has the nesting of the "
          "result; of several inputs, a tangent or vector says which it belongs to.",
          "net f(x: f64) -> (f64, f64) {\n  return x, x * x\n}\nnet main(x: f64) = grad(f, sens=1.0)(x)\n",
          "net f(x: f64) -> (f64, f64) {\n  return x, x * x\n}\nnet main(x: f64) = grad(f, sens=(1.0, 0.0))(x)\n"),
    Entry("DIF006", "not a net", "Transformations take a net, or the result of another transformation.",
          "net main(x: f64) = grad(sin)(x)\n", "net f(x: f64) = sin(x)\nnet main(x: f64) = grad(f)(x)\n"),
    Entry("DIF007", "the order of a derivative", "`--order` is 1 to 10.",
          "gradcli grad -e 'sin(x)' -i x=1 --order 11",
          "gradcli grad -e 'sin(x)' -i x=1 --order 10"),
    Entry("DIF008", "an operator without a derivative rule", "Nearly every operator has one; for one that has not, "
          "`stop_gradient` around it keeps its value and lets no derivative through.", "", ""),
    Entry("DIF009", "a direction by what is not selected", "`--vec` and `--tangent` name what the derivative is by: "
          "without a selection, `hess` is by the first input.",
          "gradcli hess -e 'x**2 * y' -i x=4 -i y=5 --vec y=1",
          "gradcli hess -e 'x**2 * y' -i x=4 -i y=5 --wrt x,y --vec y=1"),
    Entry("NUM001", "does not fit into memory", "Refused before anything is allocated: what takes more "
          "than the machine has (exit 3), or than `--memory BYTES` allows (exit 2).",
          "gradcli eval -e 'ones([1000000, 1000000]) + x' -i x=1",
          "gradcli eval -e 'ones([1000, 1000]) + x' -i x=1"),
    Entry("NUM002", "a remainder by zero", "An integer has no remainder by zero; for floats it is nan.",
          "const a = 5 % 0\nnet f(x: f64) = a * x\n", "const a = 5 % 2\nnet f(x: f64) = a * x\n"),
    Entry("NUM003", "too long when written out", "Loops are written out, up to 100,000 turns and 5,000,000 operations.",
          "net f(x: f64) -> f64 {\n  for i in 0..1_000_000_000_000 {\n    x = x / 2\n  }\n  return x\n}\n",
          "net f(x: f64) -> f64 {\n  for i in 0..10 {\n    x = x / 2\n  }\n  return x\n}\n"),
    Entry("NUM004", "an integer to a negative power", "Integers have no fractions; a float has.",
          "gradcli eval -e 'x ** y' -i x='i64(2)' -i y='i64(-1)'",
          "gradcli eval -e 'f64(x) ** y' -i x='i64(2)' -i y='i64(-1)'"),
    Entry("NUM005", "a singular matrix", "A matrix whose determinant is exactly 0 has no inverse, and a system of equations "
          "with it no solution, or many.",
          "gradcli eval -e 'inv(x)' -i x='[[1, 2], [2, 4]]'",
          "gradcli eval -e 'inv(x)' -i x='[[1, 2], [2, 5]]'"),
    Entry("NUM006", "a matrix that is not positive definite", "Only a matrix whose eigenvalues are all above 0 has a Cholesky "
          "factor. Where rounding alone has made one negative, a small multiple of `eye(n)` mends it.",
          "gradcli eval -e 'cholesky(x)' -i x='[[1, 2], [2, 1]]'",
          "gradcli eval -e 'cholesky(x)' -i x='[[2, 1], [1, 2]]'"),
    Entry("NUM008", "the pattern is dense", "A sparse matrix stores every element that can be other than zero, up to "
          "50,000,000. Where nearly every output depends on nearly every input there is nothing to save: a product with a "
          "vector needs no matrix.", "", ""),
    Entry("NUM010", "an expectation does not hold", "The message gives the worst element, both values and the tolerance.", "", ""),
    Entry("NUM040", "a result is not the one that is stored",
          "`--check` and `diff` name the worst element, how far it is off (absolutely, relative to the stored number, and "
          "in units in the last place) and the line that it belongs to. An array that only one side has, and one of "
          "another shape or dtype, differ too.",
          "gradcli grad model.net --check golden.npz",
          "gradcli grad model.net --check golden.npz --rtol 1e-2"),
    Entry("NUM041", "the text of a model is not what it was",
          "`diff` names each line, input, param, net and const that one model has and the other has not, or has otherwise. "
          "Formatting, comments and local names do not count. Where only numbers matter, `--numbers` compares these.",
          "gradcli diff old.net model.net --structure --format oneline",
          "gradcli diff old.net model.net --numbers"),
    Entry("DAT101", "data is missing", "An input is fed by `-i`, `--inputs`, an `input` item with `= …`, or its default.",
          "gradcli grad -e 'x * y' -i x=1",
          "gradcli grad -e 'x * y' -i x=1 -i y=2"),
    Entry("DAT102", "data for no input", "What is given must be an input of the entry net.",
          "gradcli grad -e 'x * y' -i x=1 -i y=2 -i z=3",
          "gradcli grad -e 'x * y' -i x=1 -i y=2"),
    Entry("DAT103", "params are missing", "`--params` holds every param, unless `--partial` is given.",
          "gradcli grad model.net --params some.npz",
          "gradcli grad model.net --params some.npz --partial"),
    Entry("DAT104", "params that the net does not have", "Names are dotted: `l1.w`, `h.0.w`.",
          "gradcli grad model.net --params other.npz",
          "gradcli grad model.net --params model.npz"),
    Entry("DAT105", "data would be narrowed", "Ints and narrower floats are widened with a note; nothing is narrowed "
          "silently. Cast, or run the model in the wider type with `--dtype`.",
          "gradcli grad model.net -i x=x64.npy",
          "gradcli grad model.net -i x=x64.npy --dtype f64"),
    Entry("DAT106", "data are widened", "A note: the data have a narrower type than the model declares.", "", ""),
    Entry("DAT107", "an argument is no array", "The Python API takes arrays of numbers or bools.", "", ""),
    Entry("DAT110", "the model cannot be read", "A model is a text file.",
          "gradcli grad modle.net",
          "gradcli grad model.net"),
    Entry("DAT111", "not UTF-8 text", "A model is text in UTF-8.", "", ""),
    Entry("DAT112", "no such revision", "`REV:model.net` is a model at a revision of the git repository that this folder "
          "lies in: a commit, a branch, a tag, `HEAD~3`.",
          "gradcli diff HAED:model.net model.net",
          "gradcli diff HEAD:model.net model.net"),
)  # fmt: skip

CODES: dict[str, Entry] = {page.code: page for page in _PAGES}
