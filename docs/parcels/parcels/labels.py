"""What stands on the label of a parcel."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Address:
    """Where a parcel goes."""

    name: str
    street: str
    code: str
    town: str
    country: str = ""

    def lines(self):
        """Lines as they are printed; the country only abroad."""
        found = [self.name, self.street, f"{self.code} {self.town}"]
        if self.country:
            found.append(self.country.upper())
        return found


def check_digit(digits):
    """The digit that makes the weighted sum, 3 and 1 in turn from the right, a multiple of ten."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        weight = 3 if place % 2 == 0 else 1
        total += weight * int(digit)
    return str((10 - total % 10) % 10)


def barcode(number, customer):
    """Twelve digits: customer (4), number (7), check digit."""
    if not 0 < number < 10**7:
        raise ValueError(f"no parcel number: {number}")
    digits = f"{customer:04d}{number:07d}"
    return digits + check_digit(digits)


def wrapped(text, width):
    """Words in lines of at most `width` characters; a longer word stands alone."""
    lines = []
    line = ""
    for word in text.split():
        if line and len(line) + 1 + len(word) > width:
            lines.append(line)
            line = word
        else:
            line = f"{line} {word}" if line else word
    if line:
        lines.append(line)
    return lines


class Label:
    """A label of a fixed width."""

    def __init__(self, address, number, customer, width=24):
        self.address = address
        self.code = barcode(number, customer)
        self.width = width

    def text(self):
        """The address, wrapped, and the barcode in groups of four."""
        lines = []
        for line in self.address.lines():
            lines.extend(wrapped(line, self.width))
        groups = [self.code[k : k + 4] for k in range(0, len(self.code), 4)]
        return "\n".join([*lines, " ".join(groups)])
