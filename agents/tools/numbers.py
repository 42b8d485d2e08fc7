"""Numbers as people and JSON write them."""


def whole(value: float) -> float | int:
    """A whole number as an int, any other as it is."""
    return int(value) if float(value).is_integer() else value
