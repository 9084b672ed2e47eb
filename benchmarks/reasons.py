"""What stands in the way where a suite misses its goal: shown below its table.

The figures are of profiles on the machine of the stored run, most of them on one thread, where nothing waits.
"""

from __future__ import annotations

REASONS: dict[str, str] = {
    "chain": "NumPy's elementary functions take most of the time, on one thread at 1e6: of 26.4 ms in f64 sin and "
    "cos of one angle 10.4, tanh 7.1 and exp 6.0; of 10.9 ms in f32 tanh 2.7, sin and cos 3.4, exp 1.4. On a "
    "processor without AVX-512 NumPy's f64 functions have no vectors, or short ones (its tan, from whose half-angle "
    "sin and cos could be made, takes 15 ns); compilers bring their own. At 1e3 a call of NumPy costs 0.4 µs, and "
    "there are 15.",
    "perceptron": "at 128 rows products take 5.2 ms of 6.2 on one thread, at 53 to 71 Gflop/s, next to what the "
    "processor can do; relu, its mask and sums over rows take 0.4. Each product runs on one thread on rows that the "
    "plan fixed, so that no result depends on threads, where the peers split products as they like.",
    "convolution": "windows are laid out as the rows of a matrix, and added up again behind the products: at 128 "
    "images on one thread products take 20 ms of 46, adding up what overlaps 12, in inner loops of 14 elements, and "
    "laying out, with what lies between, the rest. oneDNN and XLA convolve without the matrix.",
    "pinn": "at 2,000 points on one thread 48 products by 50 columns take 5.4 ms of 12.8, at 45 Gflop/s, as such "
    "narrow ones do; six tanh 1.5, and some 80 passes of mul, add and neg over 1,000 × 50 numbers 2.2: by hand "
    "there are as many. Memory at 2,000 points is that of BLAS and of the modules that are loaded.",
    "force": "with 8 atoms a block is some 400 calls of 2 to 25 µs on arrays of a few thousand numbers: what NumPy "
    "takes to begin each counts as much as the numbers do.",
    "lstm": "a turn takes 177 µs, of which a product is 69, three sigmoids 23 each and two tanh 13 each, of 32 × "
    "128; its adjoint takes 90, of which a product takes 62 and 14 elementwise calls the rest. BLAS runs on one "
    "thread. PyTorch calls a kernel made for this layer.",
    "ode": "nine tenths of the time are the loop forward: a turn is seven calls on 1,000 numbers, and three "
    "quarters of it are tanh, for which NumPy takes 18 µs, more than JAX for the turn and its adjoint. With "
    "--memory each turn runs twice, and its adjoint turn by turn, as slopes are not made for loops within loops.",
    "recurrence": "nine tenths of the time are the loop forward, whose turn is three calls of NumPy (sin, mul, add) "
    "of 0.7 µs each on 8 numbers; the loop backward is one running product of 5,000 slopes, in 0.2 ms. At 500 "
    "steps, what is around the loops counts as well.",
    "mixture": "with 100 points the arrays are of 25 × 50 × 10 numbers: 70 calls of 5 to 40 µs, the largest of "
    "which is products of 25 small matrices (30 µs), one after the other.",
    "banded": "Rosenbrock's terms are cheap: thirteen passes over 3 × 1e5 numbers, of 10 to 18 µs each for 1e5, "
    "where XLA makes one pass of all. Sines are bound by NumPy's f64 sin and cos, as in the chain.",
    "product": "as for the banded Hessians: thirteen passes of mul, add and sub over 1e5 numbers take 0.35 ms, "
    "putting the two halves together 0.09, where XLA makes one pass of all; of the sines 1.15 of 1.8 ms are NumPy's "
    "sin and cos.",
    "deep": "new: 1e4 operators take 0.5 s to parse, 0.4 to elaborate, 0.5 to differentiate, 0.8 to simplify, 0.3 "
    "to plan and 0.2 to run, 10 to 30 µs a node in each; PyTorch and autograd run operators as they come and keep "
    "no program, and JAX traces for longer. again: Python takes 25 to 65 ns for an operator on a number, CasADi's "
    "machine 10 to 20. At 1e5 the step was timed while its 125 functions were being made, 16 in each run; 36 runs "
    "later it takes 23 ms.",
    "cold": "a process that only imports NumPy takes 0.15 to 0.16 s here (see startup), two thirds of ours, so JAX "
    "and PyTorch decide the ratio by how long they take to load.",
    "startup": "check long: each of 200 nets is elaborated three times, by itself, within the net that calls it and "
    "on data; see check mixed. check mixed: a net is proved for all sizes alone, again within each net that calls "
    "it, and the entry net on data, too; so 26,000 operators come of these 2,000 lines, and no part of the work "
    "takes most of the time.",
}
