"""How far a product may be from the exact one, by precision. Needs nothing else of the package."""

import math

U = 2.0**-24  # float32's unit roundoff
# Unit roundoff of the inputs as each precision rounds them: 2**-p for p significant bits.
INPUT_ROUNDOFF = {"fp32": 0.0, "tf32": 2.0**-11, "fp16": 2.0**-11, "fp16_acc16": 2.0**-11, "bf16": 2.0**-8}
SUM_ROUNDOFF = {"fp16_acc16": 2.0**-11}  # else float32's


def bound_u(precision: str, K: int) -> float:
    """The published bound of a precision, in units of 2**-24, for sums of K products.

    Inputs rounded by a relative v each and sums by u' per addition are within (1+v)^2 (1 + gamma_K(u')) - 1 of |A||B|,
    gamma_K(u) = K*u / (1 - K*u) (N. J. Higham, Accuracy and Stability of Numerical Algorithms, 2nd ed., section 3.1).
    """
    v, u = INPUT_ROUNDOFF[precision], SUM_ROUNDOFF.get(precision, U)
    gamma = K * u / (1 - K * u) if K * u < 1 else math.inf
    return (v * (2 + v) + (1 + v) ** 2 * gamma) / U  # multiplied out: no 1 from which digits are lost
