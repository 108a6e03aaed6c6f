"""Sparse linear models beside celer, skglm, adelie and scikit-learn.

Sections: lasso and group (single problems, at equal duality gap), path (a grid of
strengths), first (the first call in a fresh interpreter against a warm one), and those
of `subset.py`.  `--only` takes parts of section or problem names.
"""

import _harness


def main():
    """Fix the threads, then load numerical packages and run."""
    args = _harness.parse_args(__doc__)
    _harness.fix_threads(1)
    import _linear_sections

    _linear_sections.main(args)


if __name__ == "__main__":
    main()
