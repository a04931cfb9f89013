"""The difference between two shares that were measured on the same questions."""

import math

from service.text2sql.evaluation.accuracy import wilson


def difference(both: int, only_a: int, only_b: int, neither: int) -> float:
    """Share of b minus share of a, -1..1; 0 without questions."""
    count = both + only_a + only_b + neither
    return (only_b - only_a) / count if count else 0.0


def newcombe(both: int, only_a: int, only_b: int, neither: int) -> tuple[float, float]:
    """The 95 % interval of that difference, (-1, 1) without questions.

    Wilson's intervals of both shares, squared and added with the correlation φ of the pairs:
    method 10 of R. G. Newcombe, "Improved confidence intervals for the difference between binomial
    proportions based on paired data", Statistics in Medicine 17 (1998). With l, u the limits of
    each share p: low = d - √((p_b - l_b)² - 2φ(p_b - l_b)(u_a - p_a) + (u_a - p_a)²), high likewise
    with (u_b - p_b) and (p_a - l_a).
    """
    count = both + only_a + only_b + neither
    if not count:
        return (-1.0, 1.0)
    right_a, right_b = both + only_a, both + only_b
    (low_a, high_a), (low_b, high_b) = wilson(right_a, count), wilson(right_b, count)
    p_a, p_b = right_a / count, right_b / count
    phi = _phi(both, only_a, only_b, neither)
    down = _joined(p_b - low_b, high_a - p_a, phi)
    up = _joined(high_b - p_b, p_a - low_a, phi)
    return (max(-1.0, p_b - p_a - down), min(1.0, p_b - p_a + up))


def _joined(x: float, y: float, phi: float) -> float:
    return math.sqrt(max(0.0, x * x - 2 * phi * x * y + y * y))


def _phi(both: int, only_a: int, only_b: int, neither: int) -> float:
    """-1..1; 0 where a margin is empty. A positive one is corrected for continuity."""
    count = both + only_a + only_b + neither
    margins = (both + only_a) * (only_b + neither) * (both + only_b) * (only_a + neither)
    if not margins:
        return 0.0
    surplus: float = both * neither - only_a * only_b
    if surplus > 0:
        surplus = max(surplus - count / 2, 0.0)
    return surplus / math.sqrt(margins)
