"""Imputation of real tables beside scikit-learn's imputers.

Sections: tables (24 tables, a fifth of the entries missing at random), memory.
`--only` takes parts of section names.
"""

import _harness


def main():
    """Fix the threads, then load numerical packages and run."""
    args = _harness.parse_args(__doc__)
    _harness.fix_threads(1)
    import _imputation_sections

    _imputation_sections.main(args)


if __name__ == "__main__":
    main()
