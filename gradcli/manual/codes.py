"""The USE and ENV codes of the command line, and NUM090: what cannot be asked, and what a machine may lack."""

from __future__ import annotations

from gradcli.syntax.codes import Entry

_ENTRIES = (
    Entry(
        "USE001",
        "no such verb",
        "The first word after `gradcli` says what to do; options follow it. `gradcli --help` lists the verbs.",
        "gradcli gard model.net",
        "gradcli grad model.net",
    ),
    Entry(
        "USE002",
        "no such option",
        "Each verb has its own options, listed by `gradcli VERB --help`. They are not abbreviated, so that a script "
        "keeps its meaning when options are added.",
        "gradcli grad model.net --getall",
        "gradcli grad model.net --get-all",
    ),
    Entry(
        "USE003",
        "an option's value cannot be used",
        "The value is missing, of the wrong kind, or not one of those that the option knows.",
        "gradcli grad model.net -i 4",
        "gradcli grad model.net -i x=4",
    ),
    Entry(
        "USE004",
        "an argument is missing, or there is one too many",
        "A verb that runs a model needs exactly one: a file, `-` for standard input, or `-e` with an expression.",
        "gradcli grad --get-all",
        "gradcli grad model.net --get-all",
    ),
    Entry(
        "USE005",
        "options disagree",
        "Two options ask for different things, or one speaks of another that was not given.",
        "gradcli grad model.net --get-all --wrt x",
        "gradcli grad model.net --wrt x",
    ),
    Entry(
        "USE006",
        "there is nothing to test",
        "No model named holds a case, or none whose title holds the text after `-k`. A test run that tests nothing is "
        "not a success: it exits 1.",
        "gradcli test models/ -k sofmax",
        "gradcli test models/ -k softmax",
    ),
    Entry(
        "USE007",
        "a report cannot be written",
        "The file named by `--junit` cannot be written: its folder does not exist, or may not be written to.",
        "gradcli test models/ --junit no/such/folder/report.xml",
        "gradcli test models/ --junit report.xml",
    ),
    Entry(
        "ENV001",
        "CuPy is missing",
        "`--backend cupy` runs on a GPU through CuPy, which is not installed, or was made for another CUDA than the one "
        "of this machine. `pip install 'gradcli[cupy]'` installs the one for CUDA 12; `pip install cupy-cuda13x` is that "
        "for CUDA 13.",
        "",
        "",
    ),
    Entry(
        "ENV002",
        "there is no GPU",
        "`--backend cupy` needs a GPU with its driver, and none answers. CUDA_VISIBLE_DEVICES may hide it.",
        "",
        "",
    ),
    Entry(
        "ENV003",
        "there is no such GPU",
        "`--device` counts the GPUs that can be used, from 0.",
        "",
        "",
    ),
    Entry(
        "ENV004",
        "git is missing",
        "`gradcli diff HEAD~1:model.net model.net` asks git for the model as it was, and there is no `git` on the path.",
        "",
        "",
    ),
    Entry(
        "ENV005",
        "CuPy failed",
        "CUDA, its compiler or one of its libraries failed while the model was running; the note says what it said. Often a "
        "part of CUDA is not installed: `pip install 'cupy-cuda12x[ctk]'` brings what CuPy needs besides the driver.",
        "",
        "",
    ),
    Entry(
        "ENV006",
        "JAX is missing",
        "`bench --against jax` times the same gradient by JAX, which is not installed, or cannot be imported. gradcli "
        "itself never needs it: `pip install jax` puts it beside.",
        "",
        "",
    ),
    Entry(
        "ENV007",
        "JAX cannot run the program",
        "`bench --against jax` says the model again for JAX, operator by operator, and has JAX differentiate and compile "
        "it. An operator is named that cannot be said for JAX; or JAX refused the whole, with what it said.",
        "",
        "",
    ),
    Entry(
        "ENV090",
        "memory ran out",
        "What a run needs is computed before it starts, and a run that cannot fit is refused then. This one was started "
        "and other programs took what was left, or the data themselves are too large.",
        "",
        "",
    ),
    Entry(
        "ENV091",
        "no space is left",
        "The disk that the output goes to is full.",
        "",
        "",
    ),
    Entry(
        "NUM090",
        "a result is not finite",
        "Some elements are nan or inf. That may be what the model means (the derivative of `sqrt` at 0 is inf), so it is "
        "said in one line and the result is printed. With `--strict` the command exits 1. The line ends with the "
        "`trace` command that tells where the first of them was born, and how to mend it.",
        "gradcli grad -e 'sqrt(x)' -i x=0",
        "gradcli grad -e 'sqrt(x)' -i x=1",
    ),
    Entry(
        "NUM091",
        "the run is on another backend than asked for",
        "`trace` looks at every number of a run on its way, and does so on NumPy also where `--backend cupy` is given. "
        "Both backends run the same steps in the same dtypes; what overflows or is divided by zero on one does so on the "
        "other, but for numbers that are within rounding of a limit.",
        "gradcli trace -e 'sqrt(x)' -i x=0 --backend cupy",
        "gradcli trace -e 'sqrt(x)' -i x=0",
    ),
    Entry(
        "NUM097",
        "two sides of a comparison disagree",
        "`bench` times what gives the same numbers, else a ratio means nothing. The results of one side are further from "
        "gradcli's than rounding takes them. At a kink that is no fault: the derivative of `relu` at 0, or of the largest "
        "of equal ones, is a convention. Elsewhere `gradcli gradcheck` tells who is right.",
        "",
        "",
    ),
    Entry(
        "NUM098",
        "measuring shows",
        "A run is so short, or made of so many small steps, that calling operators and the clock beside each step are a "
        "good part of what `profile` sees. Shares of lines are still right among each other; larger data tell more.",
        "",
        "",
    ),
    Entry(
        "NUM095",
        "a derivative does not agree with differences",
        "`gradcheck` moves what a model is given a little and looks whether its value follows the gradient. Where it does "
        "not, each operator is tried by itself, and the one whose own derivative is off is named. That is a fault of "
        "gradcli, never of a model: please report it.",
        "",
        "",
    ),
)  # fmt: skip

CODES = {entry.code: entry for entry in _ENTRIES}
