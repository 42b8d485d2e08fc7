"""Numbers with units: RL pays for these verdicts, so that a near miss must be a miss."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gym.verifiers.exact import numeric
from gym.verifiers.number import boxed, canonical, numbers, plain_text
from gym.verifiers.result import Status
from gym.verifiers.units import UNITS, read_unit


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("It is 3.5 km", "3500 m"), ("3.5", "3.5"), ("1,234", "1234"), ("-4", "−4"), ("90 minutes", "1.5 h"),
        ("1e3", "1000"),
        ("3 sq km", "3000000 m2"), ("3/4", "0.75"), ("1 1/2 m", "1.5 m"), ("1 000 m", "1 km"),
        ("1\u202f000 m", "1 km"),
        ("5000 µg", "5 mg"), ("5000 μg", "5 mg"), ("68 °F", "20 °C"), ("20 degrees Celsius", "20 °C"),
        ("20 ℃", "20 °C"),
        ("293.15 K", "20 °C"), ("70 km per hour", "70 km/h"), ("72 km/h", "20 m/s"), ("20 m s^-1", "20 m/s"),
        ("5 m^2", "5 m²"),
        ("5 square metres", "5 m^2"), ("5 m³", "5 m^3"), ("5 cubic metres", "5000 l"), ("5 N·m", "5 J"),
        ("1 kWh", "3600 kJ"),
        ("12 m in total", "12 m"), ("5 N m", "5 J"), ("5 km (3.1 miles)", "5 km"),
        ("5 km (about 3.1 miles).", "5 km"), ("12km", "12 km"), ("12 KM", "12 km"),
        ("The answer is **12 km**.", "12 km"),
        ("$70 \\text{ cm}^2$", "70 cm2"), ("\\boxed{5 \\text{ km}}", "5000 m"), ("\\boxed{5}\\text{ km}", "5000 m"),
        ("\\boxed{5} km because 2 + 3 = 5", "5000 m"), ("1 h 30 min", "1.5 h"), ("1 hour and 30 minutes", "1.5 h"),
        ("5 ft 3 in", "63 in"),
        ("12 apples", "12"), ("12 red apples", "12 apples"), ("12 apple", "12 apples"), ("$70", "70"),
        ("\\$70", "70"), ("70°", "70"),
        ("$5", "5 dollars"), ("500 cents", "$5"), ("5 €", "€5"), ("50 %", "50%"), ("50 percent", "50%"),
        ("0 m", "0 km"),
        ("\\dfrac{3}{4} m", "0.75 m"), ("1\\frac{1}{2} m", "1.5 m"), ("½ m", "0.5 m"),
        ("3\\times10^5 m", "300 km"), ("2e3 m", "2 km"),
        ("1{,}000 m", "1 km"), ("1\\,000 m", "1 km"), ("x = -5", "-5"), ("12 - 5 = 7", "7"), ("2 days", "48 h"),
        ("8 bits", "1 byte"),
        ("J/(kg·K) is the unit: 5 J/(kg·K)", "5 J/(kg·K)"), ("5 m/s/s", "5 m/s^2"), ("0.000005 g", "5 µg"),
    ],
)  # fmt: skip
def test_a_right_quantity_is_right_however_it_is_written(answer: str, gold: str) -> None:
    found = numeric(answer, gold)
    assert (found.status, found.score) == (Status.SCORED, 1.0), found


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("-$5", "-5 dollars"), ("−€5", "-5 €"), ("-½ m", "-50 cm"), ("2¾ cups", "2.75 cups"), ("2 ⅞ m", "2.875 m"),
        ("–5 °C", "-5 °C"), ("is – 5 °C", "-5 °C"), ("+5 °C", "5 °C"), ("¥500", "500 yen"), ("₹500", "500 rupees"),
        ("5 million", "5000000"), ("$1.5 million", "1500000 dollars"), ("$5M", "$5000000"), ("5k", "5000"),
        ("3 dozen eggs", "36 eggs"), ("5 x 10^-7 m", "500 nm"), ("20 m/s or 72 km/h", "20 m/s"),
        ("5 km and 6 km make 11 km", "11 km"), ("70\\ \\text{km}\\cdot\\text{h}^{-1}", "70 km/h"),
        ("N \\equiv 204 \\pmod{1000}", "204"), ("x ≡ 204 (mod 1000)", "204"), ("\\boxed{\\textcolor{red}{8}}", "8"),
        ("\\boxed{\\large 8}", "8"), ("Answer: '5'", "5"),
    ],
)  # fmt: skip
def test_signs_scales_and_dress_beside_a_number_are_read(answer: str, gold: str) -> None:
    found = numeric(answer, gold)
    assert (found.status, found.score) == (Status.SCORED, 1.0), found


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("5 million", "5"), ("5 thousand", "5"), ("5k", "5"), ("5 dozen", "5"), ("$5 million", "$5"), ("$5M", "$5"),
        ("5 to 6 m", "6 m"), ("5–6 m", "6 m"), ("5 – 6 m", "6 m"), ("between 5 and 6 m", "6 m"), ("5 or 6", "6"),
        ("3 m or 5 m", "5 m"), ("-$5", "$5"), ("-½", "0.5"), ("0x10", "0"), ("3x", "3"), ("3 x 5", "5"),
        ("3 + 8", "8"), ("3 +8", "8"),
    ],
)  # fmt: skip
def test_a_range_a_scale_or_a_sign_that_is_not_asked_for_is_a_miss(answer: str, gold: str) -> None:
    found = numeric(answer, gold)
    assert (found.status, found.score) == (Status.SCORED, 0.0), found


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("12 kg", "12 m"), ("12", "12 m"), ("999", "1000"), ("5 m/s", "5 m"), ("5 m", "5 m/s"), ("5 m³", "5 m"),
        ("5 m^3", "5 m^2"),
        ("5 m", "5 m^2"), ("5 cubic metres", "5 square metres"), ("5 µg", "5 mg"), ("5 mg", "5 µg"),
        ("5 Mg", "5 mg"), ("5 MG", "5 mg"),
        ("5 °F", "5 °C"), ("5 K", "5 °C"), ("5 mW", "5 MW"), ("5 kWh", "5 kW"), ("5 km/h", "5 km"),
        ("5 km/s", "5 km/h"),
        ("5 kg·m", "5 kg"), ("5 m per day", "5 m"), ("5 m per furlong", "5 m"), ("5 m/foo", "5 m"),
        ("\\boxed{5} km/h", "5 km"),
        ("\\boxed{5 \\frac{m}{s}}", "5 m"), ("12 pears", "12 apples"), ("12", "12 apples"), ("70%", "70"),
        ("3 h", "3"), ("5 bytes", "5 bits"),
        ("5 dollars", "5 euros"), ("5.9 mg", "5 mg"), ("6 µm", "5 µm"), ("(1,2,3)", "3"), ("2,5", "25"),
        ("2,5", "5"), ("10-5", "5"),
        ("2^3", "3"), ("3\\pi", "3"), ("\\sqrt{3}", "3"), ("12 - 5", "5"), ("5!", "5"), ("1:30", "30"),
        ("1/0", "1"), ("1e500", "1"),
        ("5 m^-1", "5 m"), ("5 N m", "5 N"), ("5 m s", "5 m"), ("7 km (5 km)", "5 km"), ("5 ms", "5 m"),
        ("5 min", "5 m"), ("5 Hz", "5 s"), ("5 l", "5 m"), ("0 kg", "0 m"),
        ("1 h 30 min", "30 min"),
    ],
)  # fmt: skip
def test_a_near_miss_is_wrong(answer: str, gold: str) -> None:
    found = numeric(answer, gold)
    assert (found.status, found.score) == (Status.SCORED, 0.0), found


def test_no_number_and_a_bad_gold_are_told_apart() -> None:
    assert numeric("no idea", "3").status is Status.NO_ANSWER
    assert numeric("", "3").status is Status.NO_ANSWER
    assert numeric("3", "none").status is Status.VERIFIER_ERROR
    assert numeric("3", "1,2").status is Status.VERIFIER_ERROR


@pytest.mark.parametrize(
    "answer", ["1e999999999999", "-3e99999999 km", "1" * 5000, "1,2,3,,4", "−", "٣", "1/" * 999, "\ud800 3 m"]
)
def test_strange_numbers_never_break_the_verifier(answer: str) -> None:
    assert numeric(answer, "3 km").score == 0.0


def test_boxed_takes_the_last_whole_box_that_holds_something() -> None:
    assert boxed("\\boxed{a{b}c} and \\boxed{d") == "a{b}c"
    assert boxed("\\boxed{1} \\boxed{} \\boxed{ $ $ }") == "1"
    assert boxed("\\boxed{\\boxed{2}}") == "2"
    assert boxed("} \\boxed {3} {") == "3"
    assert boxed("none") is None


@pytest.mark.parametrize(
    ("text", "written"), [("2.50", "2.5"), ("0.04", "0.04"), ("-1/3", "-1/3"), ("-0.5", "-0.5"), ("7.0", "7")]
)
def test_a_value_is_written_in_its_shortest_form(text: str, written: str) -> None:
    (number,) = numbers(plain_text(text))
    assert number.value is not None
    assert canonical(number.value) == written


@given(
    st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**9), max_value=10**9, places=4),
    st.sampled_from(sorted(UNITS)),
)
@settings(max_examples=300, deadline=None)
def test_every_unit_passes_for_itself_and_reads_whole(value: object, unit: str) -> None:
    assert read_unit(unit) == (UNITS[unit], len(unit))
    assert numeric(f"It is {value} {unit}.", f"{value} {unit}", tolerance=0.0).score == 1.0


PIECES = [
    "1",
    " ",
    "/",
    "m",
    "s",
    "^",
    "{",
    "}",
    "\\boxed{",
    "\\frac",
    "$",
    ",",
    ".",
    "-",
    "°",
    "µ",
    "km",
    "per",
    "e",
    "(",
    ")",
    "\n",
    "½",
]


@settings(max_examples=500, deadline=None)
@given(st.one_of(st.text(max_size=60), st.lists(st.sampled_from(PIECES), max_size=30).map("".join)))
def test_any_answer_gets_a_typed_result(answer: str) -> None:
    for gold in ("12", "3.5 km", "70 apples"):
        found = numeric(answer, gold)
        assert found.status in (Status.SCORED, Status.NO_ANSWER)
        assert found.score in (0.0, 1.0)
    assert numeric("1", answer).status in Status
