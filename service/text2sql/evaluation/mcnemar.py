"""McNemar's test in its exact form, for two runs on the same questions."""

from math import comb


def exact_p(only_a: int, only_b: int) -> float:
    """The two-sided p-value, 0..1, of so many discordant questions on either side.

    If neither run is better, each question that only one of them has right is a fair coin:
    p = min(1, 2·Σ C(m, i) / 2^m, i = 0..min(a, b), m = a + b). 1 where no question is discordant.
    Q. McNemar, "Note on the sampling error of the difference between correlated proportions or
    percentages", Psychometrika 12 (1947); exact as in M. W. Fagerland, S. Lydersen, P. Laake, "The
    McNemar test for binary matched-pairs data", BMC Med. Res. Methodol. 13:91 (2013).
    """
    count = only_a + only_b
    tail = sum(comb(count, i) for i in range(min(only_a, only_b) + 1))
    return min(1.0, 2 * tail / (1 << count))
