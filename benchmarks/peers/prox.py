"""Proximal operators beside modopt, copt, pyproximal, proxop and np.copyto.

Sections: envelope, envelope peers, simplex (and l1 ball), groups, memory.  `--only`
takes parts of section names.
"""

import _harness


def main():
    """Fix the threads, then load numerical packages and run."""
    args = _harness.parse_args(__doc__)
    _harness.fix_threads(1)
    import _prox_sections

    _prox_sections.main(args)


if __name__ == "__main__":
    main()
