"""What a parcel costs, in cents."""

from dataclasses import dataclass

VOLUME_DIVISOR = 5000  # cubic centimetres that count as a kilogram
FREE_STEPS = 2


@dataclass(frozen=True)
class Rate:
    """A tariff: `base` cents up to a kilogram, `step` for each further one begun, by zone."""

    name: str
    base: int
    step: int
    longest: int = 120
    heaviest: float = 31.5

    def takes(self, weight, sides):
        """Whether a parcel is small and light enough."""
        if max(sides) > self.longest:
            return False
        return weight <= self.heaviest


def billed_weight(weight, sides):
    """The larger of the real and the volume weight, in kilograms."""
    length, width, height = sides
    volume = length * width * height / VOLUME_DIVISOR
    return max(weight, volume)


def zone_of(origin, destination):
    """0 within a region, 1 to a neighbour, 2 elsewhere; regions are the first digit of a postal code."""
    start, end = int(origin[0]), int(destination[0])
    distance = abs(start - end)
    distance = min(distance, 10 - distance)
    if distance == 0:
        return 0
    return 1 if distance == 1 else 2


def surcharge(sides, fragile=False):
    """Extra cents: 250 for a longest side above 100 cm, 150 for what is fragile."""
    extra = 0
    if max(sides) > 100:
        extra += 250
    if fragile:
        extra += 150
    return extra


def price(rate, weight, sides, zone=0, fragile=False):
    """Cents for a parcel.

    Raises ValueError when the tariff does not take it.
    """
    if not rate.takes(weight, sides):
        raise ValueError(f"{rate.name} does not take this parcel")
    billed = billed_weight(weight, sides)
    steps = 0
    while billed > 1 + steps:
        steps += 1
    total = rate.base + steps * rate.step
    if zone:
        total += total * 20 * zone // 100
    return total + surcharge(sides, fragile)


def cheapest(rates, weight, sides, zone=0):
    """The cheapest tariff that takes a parcel and its price, the first of equal ones; None when none does."""
    best = None
    for rate in rates:
        if not rate.takes(weight, sides):
            continue
        cents = price(rate, weight, sides, zone)
        if best is None or cents < best[1]:
            best = (rate, cents)
    return best
