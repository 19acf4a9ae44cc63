"""Exact sums of products that may have more than 64 bits, for event engines.

A sum is kept as two integers: the whole part, and the rest in units of 2⁻ᵇ. So it does not depend on the order of its terms.
"""

from __future__ import annotations

from typing import Any

from sim.jit import compiled


@compiled
def add_product(sums: Any, a: Any, b: Any, bits: Any) -> None:
    """Add a b to a sum (whole, rest) in units of 2 ** -bits; a and b are integers, and `bits` is even and at most 40.

    Each factor is taken apart at half of the bits. Exact while the high parts, and the product of a high and a low part, stay
    below 2⁶².
    """
    half = bits >> 1
    low = (1 << half) - 1
    a_high, a_low, b_high, b_low = a >> half, a & low, b >> half, b & low
    between = a_high * b_low + a_low * b_high
    rest = sums[1] + ((between & low) << half) + a_low * b_low
    sums[0] += a_high * b_high + (between >> half) + (rest >> bits)
    sums[1] = rest & ((1 << bits) - 1)
