import pytest
from parcels import Address, Label, barcode, check_digit, wrapped

HOME = Address("Mira Sand", "Lindenweg 4", "50667", "Koeln")


def test_lines_of_an_address():
    assert HOME.lines() == ["Mira Sand", "Lindenweg 4", "50667 Koeln"]


def test_abroad_the_country_stands_below():
    assert Address("A", "B 1", "1010", "Wien", "Austria").lines()[-1] == "AUSTRIA"


@pytest.mark.parametrize("digits, check", [("400638133393", "1"), ("00000000000", "0"), ("5", "5"), ("12", "3")])
def test_check_digits(digits, check):
    assert check_digit(digits) == check


def test_barcodes_have_twelve_digits():
    assert barcode(42, 7) == "000700000423"
    assert len(barcode(9999999, 9999)) == 12


@pytest.mark.parametrize("number", [0, -1, 10**7])
def test_numbers_that_are_none(number):
    with pytest.raises(ValueError):
        barcode(number, 1)


def test_words_are_wrapped():
    assert wrapped("one two three", 7) == ["one two", "three"]
    assert wrapped("one two three", 13) == ["one two three"]
    assert wrapped("extraordinary way", 5) == ["extraordinary", "way"]
    assert wrapped("", 5) == []


def test_a_label():
    text = Label(HOME, 42, 7, width=10).text()
    assert text.split("\n") == ["Mira Sand", "Lindenweg", "4", "50667", "Koeln", "0007 0000 0423"]


def test_a_wide_label():
    assert Label(HOME, 42, 7).text().split("\n")[1] == "Lindenweg 4"
