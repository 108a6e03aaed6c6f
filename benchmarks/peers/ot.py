"""Entropic optimal transport beside regot, POT, ott-jax and MDOT-TNT.

Sections: regot (every problem, marginal error 1e-10), pot (error 1e-9, reg 1e-3),
kernels, threads, memory, import.  `--only` takes parts of section or problem names.
"""

import sys

import _harness


def main():
    """Fix the threads, then load numerical packages and run."""
    args = _harness.parse_args(__doc__)
    _harness.fix_threads(1)
    import _ot_sections

    # POT is imported as `ot`: this script, of the same name, must not be found for it
    sys.path[:] = [entry for entry in sys.path if entry != str(_harness.HERE)]
    _ot_sections.main(args)


if __name__ == "__main__":
    main()
