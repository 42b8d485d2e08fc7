"""Prices and labels of parcels."""

from parcels.labels import Address, Label, barcode, check_digit, wrapped
from parcels.rates import Rate, billed_weight, cheapest, price, surcharge, zone_of

__all__ = [
    "Address",
    "Label",
    "Rate",
    "barcode",
    "billed_weight",
    "cheapest",
    "check_digit",
    "price",
    "surcharge",
    "wrapped",
    "zone_of",
]
