"""Matrix completion beside cmfrec, fancyimpute and surprise.

Sections: recovery, steps (half-steps and scaling), dense, ratings, large, auto,
success, accuracy (cross-validated ratings).  `--only` takes parts of section names.
"""

import _harness


def main():
    """Fix the threads, then load numerical packages and run."""
    args = _harness.parse_args(__doc__)
    _harness.fix_threads(1)
    import _completion_sections

    _completion_sections.main(args)


if __name__ == "__main__":
    main()
