import pytest
from parcels import Rate, billed_weight, cheapest, price, surcharge, zone_of

BASIC = Rate("basic", 500, 100)
LONG = Rate("long", 900, 50, longest=200)


def test_volume_counts_when_it_is_more():
    assert billed_weight(1.0, (50, 40, 30)) == 12.0
    assert billed_weight(15.0, (50, 40, 30)) == 15.0


@pytest.mark.parametrize(
    "origin, destination, zone",
    [("10115", "12047", 0), ("10115", "20095", 1), ("90402", "01067", 1), ("10115", "50667", 2), ("80331", "20095", 2)],
)
def test_zones(origin, destination, zone):
    assert zone_of(origin, destination) == zone


def test_surcharges():
    assert surcharge((100, 10, 10)) == 0
    assert surcharge((101, 10, 10)) == 250
    assert surcharge((10, 10, 10), fragile=True) == 150
    assert surcharge((120, 10, 10), fragile=True) == 400


@pytest.mark.parametrize("weight, cents", [(0.5, 500), (1.0, 500), (1.2, 600), (2.0, 600), (3.5, 800)])
def test_each_kilogram_begun_costs_a_step(weight, cents):
    assert price(BASIC, weight, (10, 10, 10)) == cents


def test_zones_cost_a_fifth_each():
    assert price(BASIC, 1, (10, 10, 10), zone=1) == 600
    assert price(BASIC, 1, (10, 10, 10), zone=2) == 700


def test_fragile_is_not_multiplied():
    assert price(BASIC, 1, (10, 10, 10), zone=2, fragile=True) == 850


def test_what_a_tariff_does_not_take():
    assert BASIC.takes(31.5, (120, 10, 10))
    assert not BASIC.takes(32, (10, 10, 10))
    with pytest.raises(ValueError):
        price(BASIC, 1, (121, 10, 10))


def test_the_cheapest_that_takes_it():
    assert cheapest([BASIC, LONG], 1, (10, 10, 10)) == (BASIC, 500)
    assert cheapest([BASIC, LONG], 12, (10, 10, 10)) == (LONG, 1450)
    assert cheapest([BASIC, LONG], 1, (150, 5, 5))[0] is LONG
    assert cheapest([BASIC], 40, (10, 10, 10)) is None


def test_the_first_of_equal_ones():
    twin = Rate("twin", 500, 100)
    assert cheapest([BASIC, twin], 1, (10, 10, 10))[0] is BASIC
