"""Best subsets beside abess, envelope regression beside Clarabel.

Sections: subset (designs and seeds of the specification), envelope, few-samples,
certificate.  `--only` takes parts of section names.
"""

import _harness


def main():
    """Fix the threads, then load numerical packages and run."""
    args = _harness.parse_args(__doc__)
    _harness.fix_threads(1)
    import _subset_sections

    _subset_sections.main(args)


if __name__ == "__main__":
    main()
