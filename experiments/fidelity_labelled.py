# ruff: noqa: E501 — texts
"""A labelled set: sources, good rephrasings written by hand, and corrupted ones made from them or written by hand.

The corruptions know nothing about the check: they work on the raw text.
"""

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Pair:
    source: str
    output: str
    title: str
    kind: str  # good, or the corruption

    @property
    def good(self) -> bool:
        return self.kind == "good"


# title | source | good rephrasings
GOOD: list[tuple[str, str, tuple[str, ...]]] = [
    (
        "San Juan",
        "San Juan was founded by Spanish colonists in 1521, who called it Ciudad de Puerto Rico. It has 342,259"
        " inhabitants and lies 3 km from the sea. The city is an important harbour for cruise ships.",
        (
            "In 1521, Spanish colonists founded San Juan and called it Ciudad de Puerto Rico. The city, which lies 3 km"
            " from the sea, has 342,259 inhabitants. For cruise ships it is an important harbour.",
            "Q: Who founded San Juan?\nA: It was founded by Spanish colonists in 1521, who called it Ciudad de Puerto"
            " Rico.\nQ: How large is the city?\nA: It has 342,259 inhabitants and lies 3 km from the sea.\nQ: What is"
            " its harbour used for?\nA: The city is an important harbour for cruise ships.",
        ),
    ),
    (
        "Bertolt Brecht",
        "Bertolt Brecht was a German playwright and poet. He was born in Augsburg in 1898 and died in East Berlin in"
        " 1956. With Elisabeth Hauptmann and Kurt Weill he wrote The Threepenny Opera.",
        (
            "A German poet and playwright, Bertolt Brecht was born in Augsburg in 1898; he died in East Berlin in 1956."
            " Together with Kurt Weill and Elisabeth Hauptmann, he was the writer of The Threepenny Opera.",
            "| Topic | Fact |\n|---|---|\n| Who he was | Bertolt Brecht was a German playwright and poet. |\n| Life | He"
            " was born in Augsburg in 1898 and died in East Berlin in 1956. |\n| Work | With Elisabeth Hauptmann and"
            " Kurt Weill he wrote The Threepenny Opera. |",
        ),
    ),
    (
        "Photosynthesis",
        "Photosynthesis is the process by which plants turn light into chemical energy. It takes place in chloroplasts,"
        " which contain the green pigment chlorophyll. Water and carbon dioxide are used up, and oxygen is released.",
        (
            "Plants turn light into chemical energy by the process of photosynthesis. This takes place in the"
            " chloroplasts, where the green pigment chlorophyll is contained. It uses up carbon dioxide and water and"
            " releases oxygen.",
            "Student: What does photosynthesis do?\nTeacher: By this process plants turn light into chemical energy.\n"
            "Student: Where does it take place?\nTeacher: In chloroplasts, which contain the green pigment"
            " chlorophyll.\nStudent: What is used up?\nTeacher: Water and carbon dioxide are used up, and oxygen is"
            " released.",
        ),
    ),
    (
        "Mount Fuji",
        "Mount Fuji is an active stratovolcano on the Japanese island of Honshu, with a summit elevation of 3,776 m."
        " It last erupted from 1707 to 1708. The volcano is not visible from Tokyo on hazy days.",
        (
            "On the Japanese island of Honshu stands Mount Fuji, an active stratovolcano whose summit has an elevation"
            " of 3,776 m. Its last eruption was from 1707 to 1708. On hazy days the volcano is not visible from Tokyo.",
            "- Mount Fuji: an active stratovolcano on the Japanese island of Honshu\n- summit elevation: 3,776 m\n"
            "- It last erupted from 1707 to 1708.\n- From Tokyo the volcano is not visible on hazy days.",
        ),
    ),
    (
        "Marie Curie",
        "Marie Curie was a physicist and chemist who conducted pioneering research on radioactivity. She won the Nobel"
        " Prize in Physics in 1903 and the Nobel Prize in Chemistry in 1911. Her husband Pierre Curie shared the first"
        " prize with her.",
        (
            "The chemist and physicist Marie Curie conducted research on radioactivity that was pioneering. In 1903 she"
            " won the Nobel Prize in Physics, and in 1911 the Nobel Prize in Chemistry. The first prize was shared with"
            " her by her husband, Pierre Curie.",
            "What did Marie Curie research? She was a physicist and chemist whose pioneering research was conducted on"
            " radioactivity. Which prizes did she win? The Nobel Prize in Physics in 1903 and the Nobel Prize in"
            " Chemistry in 1911. Who shared one? Her husband Pierre Curie shared the first prize with her.",
        ),
    ),
    (
        "Danube",
        "The Danube is the second-longest river in Europe, after the Volga. It rises in the Black Forest and flows"
        " 2,850 km before it empties into the Black Sea. Ten countries lie along the river.",
        (
            "After the Volga, the Danube is the second-longest river of Europe. Rising in the Black Forest, it flows"
            " for 2,850 km before emptying into the Black Sea. Along the river lie ten countries.",
            "## Rank\nThe Danube is Europe's second-longest river, after the Volga.\n## Course\nThe river rises in the"
            " Black Forest and flows 2,850 km before it empties into the Black Sea.\n## Countries\nTen countries lie"
            " along it.",
        ),
    ),
    (
        "Honey bee",
        "A honey bee colony has a single queen, several hundred drones and up to 60,000 workers. Workers gather nectar"
        " and pollen within 5 km of the hive. They tell each other the way to flowers by dancing.",
        (
            "In a colony of honey bees there is a single queen, along with several hundred drones and up to 60,000"
            " workers. Nectar and pollen are gathered by the workers within 5 km of the hive. By dancing, they tell"
            " each other the way to flowers.",
        ),
    ),
    (
        "Apollo 11",
        "Apollo 11 was the spaceflight that first landed humans on the Moon. Neil Armstrong and Buzz Aldrin landed on"
        " July 20, 1969, while Michael Collins stayed in orbit. They collected 21.5 kg of lunar material.",
        (
            "The first spaceflight to land humans on the Moon was Apollo 11. On July 20, 1969, Neil Armstrong and Buzz"
            " Aldrin landed, while in orbit stayed Michael Collins. The lunar material they collected was 21.5 kg.",
            "Interviewer: What was Apollo 11?\nExpert: It was the spaceflight that first landed humans on the Moon.\n"
            "Interviewer: Who landed, and when?\nExpert: Neil Armstrong and Buzz Aldrin landed on July 20, 1969, while"
            " Michael Collins stayed in orbit.\nInterviewer: What was collected?\nExpert: They collected 21.5 kg of"
            " lunar material.",
        ),
    ),
    (
        "Prime number",
        "A prime number is a natural number greater than 1 that is not a product of two smaller natural numbers. The"
        " first five primes are 2, 3, 5, 7 and 11. Euclid proved that there are infinitely many primes.",
        (
            "A natural number greater than 1 is prime when it is not a product of two smaller natural numbers. The"
            " first five prime numbers are 2, 3, 5, 7 and 11. That there are infinitely many primes was proved by"
            " Euclid.",
            "Learning note: prime numbers.\n- Definition: a natural number greater than 1 that is not a product of two"
            " smaller natural numbers.\n- Examples: the first five primes are 2, 3, 5, 7 and 11.\n- Euclid proved:"
            " there are infinitely many primes.",
        ),
    ),
    (
        "Yaoundé",
        "Yaoundé is the capital of Cameroon and has more than 2.8 million inhabitants. It lies in the Centre Region at"
        " an elevation of about 750 metres. Douala is the country's largest city.",
        (
            "The capital of Cameroon is Yaoundé, a city with more than 2.8 million inhabitants. At an elevation of"
            " about 750 metres, it lies in the Centre Region. The largest city of the country is Douala.",
        ),
    ),
    (
        "Cello",
        "The cello is a string instrument that is played sitting down with a bow. Its four strings are tuned in perfect"
        " fifths. Antonio Stradivari built about 60 cellos that survive today.",
        (
            "Played with a bow while sitting down, the cello is a string instrument. It has four strings, which are"
            " tuned in perfect fifths. About 60 cellos built by Antonio Stradivari survive today.",
            "What kind of instrument is the cello?\nThe cello is a string instrument; one plays it sitting down with a"
            " bow.\nHow is it tuned?\nIts four strings are tuned in perfect fifths.\nWhat did Antonio Stradivari"
            " build?\nAbout 60 of the cellos that he built survive today.",
        ),
    ),
    (
        "Great Wall",
        "The Great Wall was built by several Chinese dynasties to protect the country from nomads of the steppe. The"
        " best-preserved parts date from the Ming dynasty, between 1368 and 1644. The Ming walls are 8,850 km long.",
        (
            "To protect the country from nomads of the steppe, several Chinese dynasties built the Great Wall. Its"
            " best-preserved parts are from the Ming dynasty, dating between 1368 and 1644. In length the Ming walls"
            " are 8,850 km.",
        ),
    ),
    (
        "Rwanda",
        "Rwanda: Geography\nArea: 26,338 sq km\nBorder countries: Burundi 315 km; Tanzania 222 km; Uganda 172 km\n"
        "Climate: temperate with two rainy seasons\nTerrain: mostly grassy uplands and hills",
        (
            "Geography of Rwanda: the area is 26,338 sq km. Its border countries are Burundi (315 km), Tanzania (222"
            " km) and Uganda (172 km). The climate is temperate with two rainy seasons. The terrain is mostly hills"
            " and grassy uplands.",
        ),
    ),
    (
        "Leap year",
        "In the Gregorian calendar a year has 365 days, and a leap year has 366. A year that is divisible by 4 is a"
        " leap year, unless it is divisible by 100. Pope Gregory XIII introduced the calendar in October 1582.",
        (
            "A year of the Gregorian calendar has 365 days, while a leap year has 366 days. A leap year is a year"
            " divisible by 4, unless it is divisible by 100. The calendar was introduced in October 1582 by Pope"
            " Gregory XIII.",
        ),
    ),
    (
        "Iceland",
        "Iceland is an island country between Europe and North America with about 390,000 inhabitants. Its capital,"
        " Reykjavík, is home to a third of them. Glaciers cover 11 percent of the land.",
        (
            "Between North America and Europe lies Iceland, an island country that has about 390,000 inhabitants. A"
            " third of them live in the capital, Reykjavík. Of the land, 11 percent is covered by glaciers.",
            "Traveller: Where is Iceland?\nGuide: It is an island country between Europe and North America with about"
            " 390,000 inhabitants.\nTraveller: What about the capital?\nGuide: Its capital, Reykjavík, is home to a"
            " third of them.\nTraveller: Are there glaciers?\nGuide: They cover 11 percent of the land.",
        ),
    ),
    (
        "The while statement",
        "The while statement is used for repeated execution as long as an expression is true. If the expression is"
        " false, the suite of the else clause is executed and the loop terminates. A break statement terminates the"
        " loop without executing the else clause.",
        (
            "For repeated execution as long as an expression is true, the while statement is used. When the expression"
            " is false, the loop executes the suite of the else clause and terminates. Without executing the else"
            " clause, a break statement terminates the loop.",
        ),
    ),
]

NAMES = {
    "Spanish": "Dutch", "Puerto Rico": "Costa Rica", "Augsburg": "Hamburg", "Kurt Weill": "Paul Hindemith",
    "Elisabeth Hauptmann": "Helene Weigel", "Honshu": "Kyushu", "Tokyo": "Osaka", "Physics": "Literature",
    "Pierre": "Jacques", "Volga": "Rhine", "Black Sea": "Baltic Sea", "Michael Collins": "Jim Lovell",
    "Euclid": "Gauss", "Cameroon": "Gabon", "Douala": "Libreville", "Antonio Stradivari": "Andrea Amati",
    "Ming": "Qing", "Tanzania": "Kenya", "Gregory XIII": "Pius V", "Reykjavík": "Akureyri", "October": "August",
    "Berlin": "Leipzig", "Europe": "Asia",
}  # fmt: skip
INVENTED = (
    "Critics regard it as a masterpiece of timeless beauty and elegance.",
    "Thousands of tourists visit every spring to admire the spectacular scenery.",
    "Local legends tell of a dragon that sleeps beneath the surface.",
    "The government recently announced plans to restore damaged sections.",
)
CLAUSES = (", which later caused a serious political scandal", ", making breakfast cheaper for poor families")
# title, source, output, kind
BY_HAND: list[tuple[str, str, str, str]] = [
    ("Danube", GOOD[5][1], "The Danube is the longest river in Europe. It rises in the Black Forest and flows 2,850"
     " km before it empties into the Black Sea, after the Volga. Ten countries lie along the river.", "turned"),
    ("Mount Fuji", GOOD[3][1], "On Honshu, a Japanese island, stands Mount Fuji, an active stratovolcano with a summit"
     " elevation of 3,776 m. It last erupted from 1707 to 1708. On hazy days the volcano is visible from Tokyo.",
     "turned"),
    ("Mount Fuji", GOOD[3][1], "On Honshu, a Japanese island, stands Mount Fuji, an active stratovolcano with a summit"
     " elevation of 3,776 km. It last erupted from 1707 to 1708. On hazy days it is not visible from Tokyo.", "unit"),
    ("Iceland", GOOD[14][1], "Iceland is an island country. Iceland is an island country. Iceland is an island country"
     " between Europe and North America with about 390,000 inhabitants. Its capital, Reykjavík, is home to a third of"
     " them. Glaciers cover 11 percent of the land.", "loop"),
    ("Iceland", GOOD[14][1], GOOD[14][1], "copy"),
    ("Cello", GOOD[10][1], "The cello is a wonderful instrument.", "dropped"),
    ("Photosynthesis", GOOD[2][1], "Plants turn light into chemical energy by photosynthesis. This takes place in"
     " roots, which contain the green pigment chlorophyll. Water and oxygen are used up, and carbon dioxide is"
     " absorbed through bark.", "invented"),
]  # fmt: skip

_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")


def _swap_numbers(text: str) -> str | None:
    found = [m for m in _NUMBER.finditer(text)]
    pairs = [(a, b) for a, b in zip(found, found[1:], strict=False) if a.group() != b.group()]
    if not pairs:
        return None
    a, b = pairs[0]
    return text[: a.start()] + b.group() + text[a.end() : b.start()] + a.group() + text[b.end() :]


def _change_number(text: str) -> str | None:
    match = _NUMBER.search(text)
    if match is None:
        return None
    last = match.group()[-1]
    return text[: match.end() - 1] + str((int(last) + 3) % 10) + text[match.end() :]


def _replace_name(text: str) -> str | None:
    for name, other in NAMES.items():
        if name in text:
            return text.replace(name, other)
    return None


def _parts(text: str) -> list[str]:
    return [part for part in re.split(r"(?<=[.!?;|])\s+(?=[A-Z|#\-])|\n", text) if part.strip()]


def _drop_sentence(text: str) -> str | None:
    parts = _parts(text)
    facts = [i for i, part in enumerate(parts) if len(part.split()) > 5 and not part.rstrip().endswith("?")]
    if len(facts) < 2:
        return None
    return " ".join(part for i, part in enumerate(parts) if i != facts[len(facts) // 2])


def _invent(text: str, at: int) -> str:
    return f"{text} {INVENTED[at % len(INVENTED)]}"


def _invent_clause(text: str, at: int) -> str | None:
    place = text.find(". ")
    return None if place < 0 else text[:place] + CLAUSES[at % len(CLAUSES)] + text[place:]


def labelled() -> list[Pair]:
    pairs: list[Pair] = []
    for at, (title, source, goods) in enumerate(GOOD):
        for good in goods:
            pairs.append(Pair(source, good, title, "good"))
            for kind, bad in (
                ("numbers swapped", _swap_numbers(good)),
                ("number changed", _change_number(good)),
                ("name replaced", _replace_name(good)),
                ("sentence dropped", _drop_sentence(good)),
                ("fact invented", _invent(good, at)),
                ("clause invented", _invent_clause(good, at)),
            ):
                if bad is not None:
                    pairs.append(Pair(source, bad, title, kind))
    return pairs + [Pair(source, output, title, kind) for title, source, output, kind in BY_HAND]
