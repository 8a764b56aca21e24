"""How many seeds a difference takes, and how small a difference some seeds can show.

Power is that of the paired two-sided t-test, from the noncentral t distribution (Cohen 1988, Statistical Power
Analysis, chapter 2); of a probability of improvement it is Noether's (1987, JASA 82, 645-647, equation 6).

Differences: none.
"""

from __future__ import annotations

import math

from scipy import optimize, stats

from cellwise.compare.values import finite, share
from cellwise.errors import CellwiseError

# The exact p-value of n differences that are all the same is 2^(1 - n).
_MOST_SEEDS_WITHOUT_SCATTER = 64


def seeds_needed(difference: float, sd: float, power: float = 0.8, alpha: float = 0.05) -> int | None:
    """Return the least number of pairs that shows ``difference``; None where that is zero.

    Args:
        difference: the mean difference to be seen, in the unit of the scores.
        sd: standard deviation of the paired differences; at 0 each pair shows it, and the signs decide.
        power: wanted chance of detection.
        alpha: two-sided level of the test; with k pairs of cells 0.05 / k.

    Raises:
        CellwiseError: a number that is not finite, a negative sd, or a share that is none.
    """
    _checked(sd, power, alpha)
    finite([difference], "difference")
    if difference == 0:
        return None
    if sd == 0:
        return next((n for n in range(2, _MOST_SEEDS_WITHOUT_SCATTER) if 2.0 ** (1 - n) < alpha), None)
    effect = abs(difference) / sd
    normal = ((stats.norm.isf(alpha / 2) + stats.norm.ppf(power)) / effect) ** 2  # t needs more, never less
    if normal > 100_000:  # here t and normal agree to the last digit shown
        return math.ceil(normal)
    n = max(2, math.floor(normal))
    while paired_power(difference, sd, n, alpha) < power:
        n += 1
    return n


def seeds_needed_for_probability(probability: float = 0.75, power: float = 0.95, alpha: float = 0.05) -> int | None:
    """Return the pairs that show a probability of improvement to be above a half, one-sided; None at a half.

    The defaults are those of Bouthillier et al. 2021 (arXiv 2103.03098, section 5): 29 pairs.

    Args:
        probability: that a run of one cell beats a run of the other.
        power: wanted chance of detection.
        alpha: one-sided level of the test.

    Raises:
        CellwiseError: a share that is none.
    """
    share(probability, "probability"), share(power, "power"), share(alpha, "alpha")
    if probability == 0.5:
        return None
    quantiles = float(stats.norm.isf(alpha) + stats.norm.ppf(power))
    return math.ceil((quantiles / (math.sqrt(6) * (probability - 0.5))) ** 2)


def smallest_detectable_difference(sd: float, n: int, power: float = 0.8, alpha: float = 0.05) -> float:
    """Return the smallest mean difference that ``n`` pairs show; infinite below two pairs.

    Args:
        sd: standard deviation of the paired differences.
        n: number of pairs.
        power: wanted chance of detection.
        alpha: two-sided level of the test.

    Raises:
        CellwiseError: as `seeds_needed`.
    """
    _checked(sd, power, alpha)
    if n < 2:
        return math.inf
    critical = float(stats.t.isf(alpha / 2, n - 1))
    upper = critical + 1.0
    while _power(upper, n, alpha) < power:
        upper *= 1.5
    shift = optimize.brentq(lambda delta: _power(float(delta), n, alpha) - power, 0.0, upper, xtol=1e-9)
    return float(shift) * sd / math.sqrt(n)


def paired_power(difference: float, sd: float, n: int, alpha: float = 0.05) -> float:
    """Return the chance that a two-sided paired t-test with ``n`` pairs sees ``difference``."""
    if n < 2:
        return 0.0
    if sd == 0:
        return float(difference != 0)
    return _power(abs(difference) / sd * math.sqrt(n), n, alpha)


def _power(shift: float, n: int, alpha: float) -> float:
    """Power of the two-sided t-test with ``n - 1`` degrees of freedom at noncentrality ``shift``."""
    critical = stats.t.isf(alpha / 2, n - 1)
    upper = float(stats.nct.sf(critical, n - 1, shift))
    # Past 5 the far tail is below 1e-8. Before that scipy 1.17 returns NaN for it where it is below 1e-15.
    far = float(stats.nct.cdf(-critical, n - 1, shift)) if shift < 5 else 0.0
    return upper + (far if math.isfinite(far) else 0.0)


def _checked(sd: float, power: float, alpha: float) -> None:
    finite([sd], "sd")
    if sd < 0:
        raise CellwiseError(f"sd={sd!r} must be 0 or more")
    share(power, "power")
    share(alpha, "alpha")
    if power <= alpha:  # without any difference a test sees one as often as that
        raise CellwiseError(f"power={power!r} must be more than alpha={alpha!r}")
