"""The DAT codes: data files that cannot be read, believed or written."""

from __future__ import annotations

from gradcli.syntax.codes import Entry

_ENTRIES = (
    Entry(
        "DAT001",
        "the file does not exist",
        "A path in a model is relative to the folder of the model, a path on the command line to the current folder. "
        "A link that leads nowhere counts as a file that does not exist.",
        'input x: f32[2] = load("mising.npy")',
        'input x: f32[2] = load("missing.npy")',
    ),
    Entry(
        "DAT002",
        "not a regular file",
        "Folders, named pipes and devices are not read as data: a pipe could be waited on for ever. What comes from "
        "another program goes through standard input, as an .npy.",
        "gradcli grad model.net -i x=@folder",
        "gradcli grad model.net -i x=@- < folder/x.npy",
    ),
    Entry(
        "DAT003",
        "the file cannot be read",
        "The system refused: no permission, links that go in a circle, a name that is too long, a disk that fails.",
        'input x: f32[2] = load("private.npy")',
        'input x: f32[2] = load("x.npy")',
    ),
    Entry(
        "DAT004",
        "the file is empty",
        "There is no header and no number in it. Standard input can be read only once in a run.",
        'input x: f32[2] = load("empty.npy")',
        'input x: f32[2] = load("x.npy")',
    ),
    Entry(
        "DAT005",
        "the file is of another kind than its name says, or of none that is known",
        "The suffix says how a file is read: .npy, .npz, .safetensors, .csv, .json. A file with another suffix, given "
        "as `@FILE`, is recognised by its first bytes.",
        'input x: f32[2] = load("archive.npy")  # in truth an .npz',
        'input x: f32[2] = load("archive.npz", "x")',
    ),
    Entry(
        "DAT006",
        "no array of that name",
        "The file was read, and holds no array (or a csv no column) of that name. The message lists those it holds.",
        'input x: f32[2] = load("data.npz", "X")',
        'input x: f32[2] = load("data.npz", "x")',
    ),
    Entry(
        "DAT007",
        "a name is missing, or one too many",
        "A file with several arrays needs the name of one, a file with a single unnamed array takes none. A file for "
        "--inputs or --params must have names: npz, safetensors, a json object, a csv with a line of names.",
        'input x: f32[2] = load("data.npz")',
        'input x: f32[2] = load("data.npz", "x")',
    ),
    Entry(
        "DAT008",
        "a name occurs twice",
        "Two arrays of one file have the same name, so the name says nothing.",
        '{"x": [1, 2], "x": [3, 4]}',
        '{"x": [1, 2], "y": [3, 4]}',
    ),
    Entry(
        "DAT010",
        "the .npy header is broken",
        "An .npy begins with its magic bytes, a version from 1 to 3, and a dict of exactly descr, fortran_order and "
        "shape, in at most 10,000 bytes; sizes are not negative and have a product that memory could hold.",
        'input x: f32[2] = load("forged.npy")',
        'input x: f32[2] = load("x.npy")',
    ),
    Entry(
        "DAT011",
        "the file is cut off, or too long",
        "The header promises another number of bytes than the file has. Nothing is allocated on trust.",
        'input x: f32[1000] = load("partial-download.npy")',
        'input x: f32[1000] = load("whole.npy")',
    ),
    Entry(
        "DAT012",
        "pickled objects are never loaded",
        "Loading a pickle runs code that the file chooses. Save numbers instead: an .npy or .npz of a plain dtype, or "
        "safetensors (for PyTorch, `safetensors.torch.save_file(model.state_dict(), path)`).",
        'input x: f32[2] = load("objects.npy")',
        'input x: f32[2] = load("numbers.npy")',
    ),
    Entry(
        "DAT013",
        "not a dtype of this edition",
        "Arrays are f16, f32, f64, i32, i64 or bool; smaller and unsigned integers and bf16 are widened with a note. "
        "Complex numbers, long doubles, texts, dates and records are refused.",
        'input z: f32[2] = load("complex.npy")',
        'input re: f32[2] = load("real-part.npy")',
    ),
    Entry(
        "DAT014",
        "an unsigned number does not fit",
        "u64 is read as i64, which holds numbers up to 9223372036854775807.",
        'input ids: i64[2] = load("hashes.npy")',
        'input ids: i64[2] = load("small-numbers.npy")',
    ),
    Entry(
        "DAT020",
        "the npz archive is damaged",
        "The zip is cut off, encrypted, compressed in a way that NumPy does not write, claims more bytes than it can "
        "hold, or does not match its checksum.",
        'input x: f32[2] = load("damaged.npz", "x")',
        'input x: f32[2] = load("data.npz", "x")',
    ),
    Entry(
        "DAT021",
        "the safetensors header is broken",
        "The header is a JSON object that gives every array a dtype, a shape and data_offsets; the arrays fill the "
        "rest of the file without overlaps or holes.",
        'param w: f32[2] = load("forged.safetensors", "w")',
        'param w: f32[2] = load("weights.safetensors", "w")',
    ),
    Entry(
        "DAT030",
        "not UTF-8 text",
        "csv and json are UTF-8, without NUL characters.",
        'input x: f32[2] = load("utf-16.csv")',
        'input x: f32[2] = load("utf-8.csv")',
    ),
    Entry(
        "DAT031",
        "not a number",
        "A csv holds numbers, `nan`, `inf` and `-inf`, below at most one line of names; a json holds numbers or the "
        'texts "nan", "inf" and "-inf". Either may hold true and false alone.',
        "1.0,2.o",
        "1.0,2.0",
    ),
    Entry(
        "DAT032",
        "rows of different lengths",
        "An array is rectangular: every row has as many numbers as the first.",
        "[[1, 2], [3]]",
        "[[1, 2], [3, 4]]",
    ),
    Entry(
        "DAT033",
        "not JSON, or not of a form that is read",
        "A json file is a list of lists, an object that names several, or what gradcli printed with --json.",
        '{"x": [1, 2,]}',
        '{"x": [1, 2]}',
    ),
    Entry(
        "DAT034",
        "a number is too large",
        "The number is finite as written and beyond the largest f64, 1.8e308. Infinity is written `inf`.",
        "1e999",
        "inf",
    ),
    Entry(
        "DAT040",
        "the file cannot be written",
        "The folder does not exist, the system refused, or the disk is full. What was there before is untouched: a "
        "file is written whole or not at all.",
        "gradcli grad model.net -o missing/grads.npz",
        "gradcli grad model.net -o grads.npz",
    ),
    Entry(
        "DAT041",
        "the format cannot hold these arrays",
        "An .npy holds one array; a csv one array of at most two axes, or several of one axis and the same length. "
        "npz, safetensors and json hold any.",
        "gradcli grad model.net --get-all -o grads.npy",
        "gradcli grad model.net --get-all -o grads.npz",
    ),
    Entry(
        "DAT050",
        "the file changed while it was read",
        "Its header was read when the model was checked, and was another one when its numbers were needed.",
        "gradcli grad model.net -i x=log.npy  # while another program writes it",
        "cp log.npy x.npy && gradcli grad model.net -i x=x.npy",
    ),
    Entry(
        "DAT051",
        "nothing to read on standard input",
        "`@-` reads an .npy from standard input, which is closed or the terminal.",
        "gradcli grad model.net -i x=@-",
        "gradcli grad model.net -i x=@- < x.npy",
    ),
    Entry(
        "DAT052",
        "the array does not fit into memory",
        "The file is sound, and memory ran out while its numbers were read.",
        'input x: f32[100000000000] = load("huge.npy")',
        'input x: f32[1000] = load("part.npy")',
    ),
)

CODES: dict[str, Entry] = {entry.code: entry for entry in _ENTRIES}
