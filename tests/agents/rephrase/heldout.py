# ruff: noqa: E501 — texts
"""A second labelled set, of other topics. Everything in it is written by hand: sources, good rephrasings, and what
was done to a good one to make it bad. The thresholds were set before it was written.

It has five parts. `A`, then `B`, `C` and `D` showed what the check misses, and the check was mended on each. `E` was
written after that, and nothing was changed for it: its figures say how the check does on texts that it has not met.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Case:
    """A source, its good rephrasings, and edits (kind, which good one, what is replaced, by what) that make bad ones."""

    part: str
    title: str
    source: str
    good: tuple[str, ...]
    bad: tuple[tuple[str, int, str, str], ...]

    def texts(self) -> list[tuple[str, str]]:
        """(kind, text): `good`, or what is wrong with it."""
        found = [("good", text) for text in self.good]
        for kind, which, old, new in self.bad:
            assert self.good[which].count(old) == 1, (self.title, old)
            found.append((kind, self.good[which].replace(old, new)))
        return found


CASES = (
    Case(
        "A",
        "Lake Titicaca",
        "Lake Titicaca lies in the Andes on the border of Bolivia and Peru, at an elevation of 3,812 m. It is 190 km long and up to 281 m deep. The Uros people live on floating islands made of reeds.",
        (
            "On the border of Peru and Bolivia, in the Andes, lies Lake Titicaca, whose elevation is 3,812 m. Its length is 190 km, and it is up to 281 m deep. On floating islands that are made of reeds live the Uros people.",
            "Q: Where is Lake Titicaca?\nA: It lies in the Andes on the border of Bolivia and Peru, at an elevation of 3,812 m.\nQ: How long and how deep is it?\nA: It is 190 km long and up to 281 m deep.\nQ: Who lives on floating islands?\nA: The Uros people live on floating islands made of reeds.",
        ),
        (
            (
                "numbers swapped",
                0,
                "Its length is 190 km, and it is up to 281 m deep.",
                "Its length is 281 km, and it is up to 190 m deep.",
            ),
            ("name replaced", 0, "Peru", "Chile"),
            ("sentence dropped", 0, " On floating islands that are made of reeds live the Uros people.", ""),
            (
                "fact invented",
                1,
                "made of reeds.",
                "made of reeds, which tourists reach by motorboat from the harbour.",
            ),
            ("unit changed", 0, "190 km", "190 miles"),
            ("unit changed", 1, "281 m deep", "281 feet deep"),
        ),
    ),
    Case(
        "A",
        "Johannes Kepler",
        "Johannes Kepler was a German astronomer, born on 27 December 1571 in Weil der Stadt. In Prague he worked as an assistant of Tycho Brahe. He found that planets move on ellipses, and published this in 1609.",
        (
            "Born in Weil der Stadt on 27 December 1571, Johannes Kepler was an astronomer from Germany. He was an assistant of Tycho Brahe in Prague. In 1609 he published what he had found: planets move on ellipses.",
            "# Johannes Kepler\n## Origin\nJohannes Kepler was a German astronomer, born on 27 December 1571 in Weil der Stadt.\n## Prague\nIn Prague he worked as an assistant of Tycho Brahe.\n## Discovery\nHe found that planets move on ellipses, and published this in 1609.",
        ),
        (
            ("date moved", 0, "27 December", "27 November"),
            ("date moved", 1, "1609", "1619"),
            ("name replaced", 0, "Tycho Brahe", "Galileo Galilei"),
            ("sentence dropped", 1, "\n## Prague\nIn Prague he worked as an assistant of Tycho Brahe.", ""),
            (
                "numbers swapped",
                0,
                "1571, Johannes Kepler was an astronomer from Germany. He was an assistant of Tycho Brahe in Prague. In 1609",
                "1609, Johannes Kepler was an astronomer from Germany. He was an assistant of Tycho Brahe in Prague. In 1571",
            ),
            ("fact invented", 0, "in Prague.", "in Prague, where the emperor paid him badly and often late."),
        ),
    ),
    Case(
        "A",
        "Penicillin",
        "Penicillin is an antibiotic that comes from a mould. Alexander Fleming discovered it in London in 1928. Howard Florey and Ernst Chain made it a medicine, and it was given to a patient for the first time in 1941.",
        (
            "Penicillin, which comes from a mould, is an antibiotic. In 1928 it was discovered in London by Alexander Fleming. Ernst Chain and Howard Florey made a medicine of it, which in 1941 was given to a patient for the first time.",
            "Student: What is penicillin?\nTeacher: It is an antibiotic that comes from a mould.\nStudent: Who discovered it?\nTeacher: Alexander Fleming discovered it in London in 1928.\nStudent: How did it become a medicine?\nTeacher: Howard Florey and Ernst Chain made it a medicine, and it was given to a patient for the first time in 1941.",
        ),
        (
            ("name replaced", 1, "London", "Oxford"),
            (
                "numbers swapped",
                1,
                "London in 1928.\nStudent: How did it become a medicine?\nTeacher: Howard Florey and Ernst Chain made it a medicine, and it was given to a patient for the first time in 1941",
                "London in 1941.\nStudent: How did it become a medicine?\nTeacher: Howard Florey and Ernst Chain made it a medicine, and it was given to a patient for the first time in 1928",
            ),
            ("date moved", 0, "In 1928", "In 1938"),
            (
                "fact invented",
                1,
                "comes from a mould.",
                "comes from a mould. It kills every kind of virus within hours.",
            ),
            ("sentence dropped", 0, " In 1928 it was discovered in London by Alexander Fleming.", ""),
            ("turned", 0, "for the first time", "for the last time"),
        ),
    ),
    Case(
        "A",
        "Emperor penguin",
        "The emperor penguin is the tallest of all penguins and lives in Antarctica. It stands 122 cm tall and weighs up to 45 kg. The male keeps the egg warm on his feet for two months while the female hunts at sea.",
        (
            "Living in Antarctica, the emperor penguin is the tallest penguin of all. Up to 45 kg is its weight, and 122 cm its height. For two months the male keeps the egg warm on his feet, while at sea the female hunts.",
            "| Topic | Fact |\n|---|---|\n| Home | The emperor penguin is the tallest of all penguins and lives in Antarctica. |\n| Size | It stands 122 cm tall and weighs up to 45 kg. |\n| Breeding | The male keeps the egg warm on his feet for two months while the female hunts at sea. |",
        ),
        (
            ("unit changed", 0, "45 kg", "45 pounds"),
            ("unit changed", 1, "122 cm", "122 mm"),
            (
                "turned",
                0,
                "the male keeps the egg warm on his feet, while at sea the female hunts",
                "the female keeps the egg warm on her feet, while at sea the male hunts",
            ),
            ("name replaced", 1, "lives in Antarctica", "lives in Greenland"),
            ("number changed", 0, "two months", "four months"),
            ("sentence dropped", 1, "\n| Size | It stands 122 cm tall and weighs up to 45 kg. |", ""),
        ),
    ),
    Case(
        "A",
        "Panama Canal",
        "The Panama Canal connects the Atlantic with the Pacific and is 82 km long. France began it in 1881, and the United States finished it in 1914. A ship takes about 11 hours to pass its locks.",
        (
            "With a length of 82 km, the Panama Canal connects the Pacific with the Atlantic. It was begun in 1881 by France and finished in 1914 by the United States. To pass the locks takes a ship about 11 hours.",
            "Reader: What does the Panama Canal connect?\nEditor: The Panama Canal connects the Atlantic with the Pacific and is 82 km long.\nReader: Who built it?\nEditor: France began it in 1881, and the United States finished it in 1914.\nReader: How long does a ship take?\nEditor: A ship takes about 11 hours to pass its locks.",
        ),
        (
            (
                "names swapped",
                0,
                "in 1881 by France and finished in 1914 by the United States",
                "in 1881 by the United States and finished in 1914 by France",
            ),
            ("numbers swapped", 0, "in 1881 by France and finished in 1914", "in 1914 by France and finished in 1881"),
            ("unit changed", 1, "11 hours", "11 days"),
            ("name replaced", 1, "with the Pacific", "with the Caribbean"),
            ("fact invented", 0, " To pass the locks", " Malaria killed thousands of the workers. To pass the locks"),
            ("date moved", 1, "finished it in 1914", "finished it in 1904"),
        ),
    ),
    Case(
        "A",
        "Tea",
        "Tea is a drink made from the leaves of Camellia sinensis. Green tea isn't fermented, while black tea is. China grows the most tea, followed by India and Kenya.",
        (
            "From the leaves of Camellia sinensis a drink is made: tea. Black tea is fermented, while green tea isn't. Most tea is grown in China; India and Kenya follow.",
            "Notes: Tea\n- What it is: Tea is a drink made from the leaves of Camellia sinensis.\n- Green and black: Green tea isn't fermented, while black tea is.\n- Growers: China grows the most tea, followed by India and Kenya.",
        ),
        (
            (
                "turned",
                0,
                "Black tea is fermented, while green tea isn't.",
                "Black tea isn't fermented, while green tea is.",
            ),
            ("name replaced", 1, "India and Kenya", "India and Japan"),
            ("sentence dropped", 0, " Black tea is fermented, while green tea isn't.", ""),
            ("fact invented", 1, "while black tea is.", "while black tea is. Drinking either lowers blood pressure."),
            (
                "names swapped",
                0,
                "is grown in China; India and Kenya follow",
                "is grown in India; China and Kenya follow",
            ),
            ("negated", 1, "Green tea isn't fermented", "Green tea is fermented"),
        ),
    ),
    Case(
        "A",
        "Library of Alexandria",
        "The Library of Alexandria was founded under Ptolemy II in the third century BC. It held perhaps 400,000 scrolls. Julius Caesar's soldiers burned part of it in 48 BC.",
        (
            "In the third century BC, under Ptolemy II, the Library of Alexandria was founded. Perhaps 400,000 scrolls were held in it. In 48 BC part of it was burned by the soldiers of Julius Caesar.",
            "Q: When was the Library of Alexandria founded?\nA: The Library of Alexandria was founded under Ptolemy II in the third century BC.\nQ: How many scrolls did it hold?\nA: It held perhaps 400,000 scrolls.\nQ: Who burned part of it?\nA: Julius Caesar's soldiers burned part of it in 48 BC.",
        ),
        (
            ("number changed", 0, "400,000", "40,000"),
            ("unit changed", 0, "48 BC", "48 AD"),
            ("turned", 0, "third century", "fourth century"),
            ("name replaced", 1, "Julius Caesar's soldiers", "Mark Antony's soldiers"),
            ("sentence dropped", 0, " Perhaps 400,000 scrolls were held in it.", ""),
            ("fact invented", 0, "was founded.", "was founded by a wealthy merchant from Athens."),
        ),
    ),
    Case(
        "A",
        "Cristiano Ronaldo",
        "Cristiano Ronaldo is a Portuguese footballer who was born on Madeira in 1985. With Real Madrid he won the Champions League four times. He has scored more than 130 goals for Portugal.",
        (
            "Born on Madeira in 1985, the Portuguese Cristiano Ronaldo is a footballer. Four times he won the Champions League with Real Madrid. For Portugal, more than 130 goals were scored by him.",
            "# Cristiano Ronaldo\n## Life\nCristiano Ronaldo is a Portuguese footballer who was born on Madeira in 1985.\n## Clubs\nWith Real Madrid he won the Champions League four times.\n## Goals\nHe has scored more than 130 goals for Portugal.",
        ),
        (
            ("name replaced", 0, "Real Madrid", "Barcelona"),
            ("number changed", 1, "four times", "five times"),
            ("number changed", 0, "130", "180"),
            ("date moved", 1, "1985", "1987"),
            ("turned", 0, "more than 130", "fewer than 130"),
            ("fact invented", 1, "for Portugal.", "for Portugal. Fans admire his discipline and strict diet."),
        ),
    ),
    Case(
        "A",
        "Granite",
        "Granite is a rock that forms when magma cools slowly below the surface. It consists of quartz, feldspar and mica. Because it's hard, people build bridges and monuments of it.",
        (
            "When magma cools slowly below the surface, the rock that forms is granite. Mica, quartz and feldspar are what it consists of. People build monuments and bridges of it because it is hard.",
            "Traveller: What is granite?\nGuide: Granite is a rock that forms when magma cools slowly below the surface.\nTraveller: What does it consist of?\nGuide: It consists of quartz, feldspar and mica.\nTraveller: What is it used for?\nGuide: Because it's hard, people build bridges and monuments of it.",
        ),
        (
            ("word replaced", 0, "cools slowly", "cools quickly"),
            ("word replaced", 1, "below the surface", "above the surface"),
            ("item dropped", 0, "Mica, quartz and feldspar", "Quartz and feldspar"),
            ("fact invented", 1, "feldspar and mica.", "feldspar and mica, with traces of gold and silver."),
            ("sentence dropped", 0, " Mica, quartz and feldspar are what it consists of.", ""),
            ("negated", 0, "because it is hard", "because it is not hard"),
        ),
    ),
    Case(
        "A",
        "Jupiter",
        "Jupiter is the fifth planet from the Sun and the largest of the Solar System. It turns once in 9.9 hours and has 95 known moons. The probe Juno has circled it since July 2016.",
        (
            "The largest planet of the Solar System is Jupiter, the fifth from the Sun. Once in 9.9 hours it turns, and 95 moons of it are known. Since July 2016 the probe Juno has circled it.",
            "| Topic | Fact |\n|---|---|\n| Rank | Jupiter is the fifth planet from the Sun and the largest of the Solar System. |\n| Day and moons | It turns once in 9.9 hours and has 95 known moons. |\n| Visit | The probe Juno has circled it since July 2016. |",
        ),
        (
            ("turned", 0, "the fifth from the Sun", "the sixth from the Sun"),
            ("number changed", 0, "9.9 hours", "9.5 hours"),
            ("unit changed", 1, "9.9 hours", "9.9 days"),
            ("date moved", 0, "July 2016", "June 2016"),
            ("name replaced", 1, "Juno", "Galileo"),
            ("numbers swapped", 1, "in 9.9 hours and has 95 known", "in 95 hours and has 9.9 known"),
        ),
    ),
    Case(
        "B",
        "Mont Blanc",
        "Mont Blanc is the highest mountain of the Alps, with a summit at 4,806 m. Jacques Balmat and Michel Paccard climbed it first, on 8 August 1786. A road tunnel of 11.6 km runs below it between France and Italy.",
        (
            "The highest mountain of the Alps is Mont Blanc, whose summit lies at 4,806 m. On 8 August 1786 it was first climbed by Michel Paccard and Jacques Balmat. Below it, between Italy and France, runs a road tunnel of 11.6 km.",
            "Q: How high is Mont Blanc?\nA: Mont Blanc is the highest mountain of the Alps, with a summit at 4,806 m.\nQ: Who climbed it first?\nA: Jacques Balmat and Michel Paccard climbed it first, on 8 August 1786.\nQ: What runs below it?\nA: A road tunnel of 11.6 km runs below it between France and Italy.",
        ),
        (
            ("number changed", 0, "4,806 m", "4,608 m"),
            ("unit changed", 1, "4,806 m", "4,806 ft"),
            ("date moved", 0, "8 August 1786", "8 August 1768"),
            ("name replaced", 1, "between France and Italy", "between France and Switzerland"),
            ("sentence dropped", 0, " On 8 August 1786 it was first climbed by Michel Paccard and Jacques Balmat.", ""),
            ("fact invented", 0, "11.6 km.", "11.6 km, which a terrible fire closed for years."),
        ),
    ),
    Case(
        "B",
        "Ada Lovelace",
        "Ada Lovelace was an English mathematician and the daughter of Lord Byron. She was born in 1815 and died in 1852. For Charles Babbage's engine she wrote a program that computes Bernoulli numbers.",
        (
            "The daughter of Lord Byron, Ada Lovelace was a mathematician from England. Her birth was in 1815 and her death in 1852. She wrote a program that computes Bernoulli numbers for the engine of Charles Babbage.",
            "Notes: Ada Lovelace\n- Family: Ada Lovelace was an English mathematician and the daughter of Lord Byron.\n- Life: She was born in 1815 and died in 1852.\n- Work: For Charles Babbage's engine she wrote a program that computes Bernoulli numbers.",
        ),
        (
            ("numbers swapped", 1, "born in 1815 and died in 1852", "born in 1852 and died in 1815"),
            ("date moved", 0, "1815", "1825"),
            ("name replaced", 0, "Charles Babbage", "Alan Turing"),
            ("turned", 1, "the daughter of Lord Byron", "the sister of Lord Byron"),
            ("sentence dropped", 1, "\n- Life: She was born in 1815 and died in 1852.", ""),
            ("fact invented", 1, "Bernoulli numbers.", "Bernoulli numbers. Gambling debts ruined her."),
        ),
    ),
    Case(
        "B",
        "Coffee",
        "Coffee is a drink brewed from the roasted seeds of the coffee plant. It came from Ethiopia to Yemen in the 15th century. Brazil grows about 35 percent of the world's coffee.",
        (
            "From the roasted seeds of the coffee plant the drink coffee is brewed. In the 15th century it came to Yemen from Ethiopia. About 35 percent of the coffee of the world is grown in Brazil.",
            "Interviewer: What is coffee?\nExpert: Coffee is a drink brewed from the roasted seeds of the coffee plant.\nInterviewer: How did it spread?\nExpert: It came from Ethiopia to Yemen in the 15th century.\nInterviewer: Who grows it?\nExpert: Brazil grows about 35 percent of the world's coffee.",
        ),
        (
            ("name replaced", 0, "Ethiopia", "Sudan"),
            ("names swapped", 1, "from Ethiopia to Yemen", "from Yemen to Ethiopia"),
            ("number changed", 1, "35 percent", "55 percent"),
            ("date moved", 0, "15th century", "13th century"),
            (
                "sentence dropped",
                1,
                "\nInterviewer: How did it spread?\nExpert: It came from Ethiopia to Yemen in the 15th century.",
                "",
            ),
            ("fact invented", 0, "is brewed.", "is brewed, usually with a little cardamom and sugar."),
        ),
    ),
    Case(
        "B",
        "Blue whale",
        "The blue whale is the largest animal that has ever lived. It reaches 30 m and a weight of 190 tonnes. In summer it feeds on krill in polar waters, and in winter it gives birth in warm ones.",
        (
            "No larger animal than the blue whale has ever lived. A weight of 190 tonnes and 30 m are reached by it. It feeds on krill in polar waters in summer, and gives birth in warm ones in winter.",
            "# Blue whale\n## Size\nThe blue whale is the largest animal that has ever lived. It reaches 30 m and a weight of 190 tonnes.\n## Seasons\nIn summer it feeds on krill in polar waters, and in winter it gives birth in warm ones.",
        ),
        (
            ("unit changed", 1, "190 tonnes", "190 kg"),
            ("unit changed", 0, "30 m are", "30 feet are"),
            (
                "numbers swapped",
                1,
                "reaches 30 m and a weight of 190 tonnes",
                "reaches 190 m and a weight of 30 tonnes",
            ),
            ("turned", 1, "the largest animal", "the smallest animal"),
            (
                "turned",
                0,
                "in polar waters in summer, and gives birth in warm ones in winter",
                "in polar waters in winter, and gives birth in warm ones in summer",
            ),
            ("fact invented", 1, "in polar waters", "in polar waters at night with sonar clicks"),
        ),
    ),
    Case(
        "B",
        "Suez Canal",
        "The Suez Canal joins the Mediterranean to the Red Sea through Egypt. Ferdinand de Lesseps built it from 1859 to 1869. It is 193 km long, and 50 ships pass it each day.",
        (
            "Through Egypt, the Suez Canal joins the Red Sea to the Mediterranean. From 1859 to 1869 it was built by Ferdinand de Lesseps. Each day 50 ships pass the canal, which is 193 km long.",
            "| Topic | Fact |\n|---|---|\n| Course | The Suez Canal joins the Mediterranean to the Red Sea through Egypt. |\n| Building | Ferdinand de Lesseps built it from 1859 to 1869. |\n| Traffic | It is 193 km long, and 50 ships pass it each day. |",
        ),
        (
            ("numbers swapped", 0, "From 1859 to 1869", "From 1869 to 1859"),
            ("numbers swapped", 1, "It is 193 km long, and 50 ships", "It is 50 km long, and 193 ships"),
            ("name replaced", 0, "Ferdinand de Lesseps", "Gustave Eiffel"),
            ("unit changed", 1, "193 km", "193 miles"),
            ("sentence dropped", 0, " From 1859 to 1869 it was built by Ferdinand de Lesseps.", ""),
            ("unit changed", 0, "Each day 50 ships", "Each week 50 ships"),
        ),
    ),
    Case(
        "B",
        "Oxygen",
        "Oxygen is a chemical element with the symbol O and the atomic number 8. It makes up 21 percent of the air. Carl Wilhelm Scheele and Joseph Priestley found it independently, in 1771 and 1774.",
        (
            "With the symbol O and the atomic number 8, oxygen is an element of chemistry. Of the air, 21 percent is made up by it. In 1771 and 1774 it was found independently by Carl Wilhelm Scheele and Joseph Priestley.",
            "Student: What is oxygen?\nTeacher: Oxygen is a chemical element with the symbol O and the atomic number 8.\nStudent: How much of the air is oxygen?\nTeacher: It makes up 21 percent of the air.\nStudent: Who found it?\nTeacher: Carl Wilhelm Scheele and Joseph Priestley found it independently, in 1771 and 1774.",
        ),
        (
            ("number changed", 0, "atomic number 8", "atomic number 6"),
            ("numbers swapped", 1, "in 1771 and 1774", "in 1774 and 1771"),
            ("number changed", 1, "21 percent", "12 percent"),
            ("name replaced", 0, "Joseph Priestley", "Antoine Lavoisier"),
            ("sentence dropped", 0, " Of the air, 21 percent is made up by it.", ""),
            ("fact invented", 1, "of the air.", "of the air. Rockets burn it as liquid fuel oxidiser."),
        ),
    ),
    Case(
        "B",
        "Wolfgang Amadeus Mozart",
        "Wolfgang Amadeus Mozart was born in Salzburg on 27 January 1756. He composed more than 600 works, among them The Magic Flute. He didn't finish his Requiem, which Franz Xaver Süssmayr completed.",
        (
            "On 27 January 1756, Wolfgang Amadeus Mozart was born in Salzburg. More than 600 works were composed by him; among them is The Magic Flute. His Requiem, which he didn't finish, was completed by Franz Xaver Süssmayr.",
            "Q: When was Wolfgang Amadeus Mozart born?\nA: Wolfgang Amadeus Mozart was born in Salzburg on 27 January 1756.\nQ: What did he compose?\nA: He composed more than 600 works, among them The Magic Flute.\nQ: Who completed the Requiem?\nA: He didn't finish his Requiem, which Franz Xaver Süssmayr completed.",
        ),
        (
            ("date moved", 0, "27 January", "21 January"),
            ("name replaced", 1, "born in Salzburg", "born in Vienna"),
            ("turned", 0, "More than 600", "Less than 600"),
            ("negated", 0, "which he didn't finish, was", "which he did finish, was"),
            (
                "sentence dropped",
                1,
                "\nQ: What did he compose?\nA: He composed more than 600 works, among them The Magic Flute.",
                "",
            ),
            ("fact invented", 0, "in Salzburg.", "in Salzburg, and his strict father taught him violin."),
        ),
    ),
    Case(
        "B",
        "Sahara",
        "The Sahara is the largest hot desert and covers 9.2 million square kilometres of North Africa. Its sand dunes reach 180 m. Camels carried salt through it to Timbuktu, and gold came back.",
        (
            "Covering 9.2 million square kilometres of North Africa, the Sahara is the largest hot desert. The dunes of sand reach 180 m. Through it, salt was carried to Timbuktu by camels, and back came gold.",
            "Traveller: How large is the Sahara?\nGuide: The Sahara is the largest hot desert and covers 9.2 million square kilometres of North Africa.\nTraveller: How high are the dunes?\nGuide: Its sand dunes reach 180 m.\nTraveller: What did camels carry?\nGuide: Camels carried salt through it to Timbuktu, and gold came back.",
        ),
        (
            ("unit changed", 0, "9.2 million", "9.2 billion"),
            ("turned", 1, "largest hot desert", "largest cold desert"),
            ("turned", 0, "North Africa", "South Africa"),
            ("number changed", 1, "180 m", "280 m"),
            ("name replaced", 1, "Timbuktu", "Marrakesh"),
            (
                "words swapped",
                1,
                "carried salt through it to Timbuktu, and gold came back",
                "carried gold through it to Timbuktu, and salt came back",
            ),
        ),
    ),
    Case(
        "B",
        "Volcano",
        "A volcano is an opening in the crust from which lava, ash and gas escape. About 1,350 volcanoes are potentially active. Vesuvius buried Pompeii in AD 79.",
        (
            "An opening in the crust from which gas, ash and lava escape is a volcano. Potentially active are about 1,350 volcanoes. In AD 79, Pompeii was buried by Vesuvius.",
            "Notes: Volcano\n- Definition: A volcano is an opening in the crust from which lava, ash and gas escape.\n- How many: About 1,350 volcanoes are potentially active.\n- Example: Vesuvius buried Pompeii in AD 79.",
        ),
        (
            ("number changed", 0, "1,350", "1,530"),
            ("name replaced", 0, "Vesuvius", "Etna"),
            ("item dropped", 1, "lava, ash and gas escape", "lava and gas escape"),
            ("sentence dropped", 0, " Potentially active are about 1,350 volcanoes.", ""),
            ("word replaced", 1, "potentially active", "permanently extinct"),
            ("fact invented", 1, "in AD 79.", "in AD 79, after earthquakes had warned its citizens."),
        ),
    ),
    Case(
        "B",
        "Magna Carta",
        "The Magna Carta is a charter that King John of England sealed at Runnymede in June 1215. It said that nobody may be jailed without a lawful judgment. Four copies of it survive, two of them in the British Library.",
        (
            "At Runnymede, in June 1215, King John of England sealed a charter, the Magna Carta. Without a lawful judgment, it said, nobody may be jailed. Of its copies four survive, and two of these are in the British Library.",
            "| Topic | Fact |\n|---|---|\n| Origin | The Magna Carta is a charter that King John of England sealed at Runnymede in June 1215. |\n| Law | It said that nobody may be jailed without a lawful judgment. |\n| Copies | Four copies of it survive, two of them in the British Library. |",
        ),
        (
            ("date moved", 0, "June 1215", "July 1215"),
            ("name replaced", 1, "King John", "King Henry"),
            ("negated", 0, "nobody may be jailed", "anybody may be jailed"),
            ("numbers swapped", 1, "Four copies of it survive, two of them", "Two copies of it survive, four of them"),
            ("sentence dropped", 0, " Without a lawful judgment, it said, nobody may be jailed.", ""),
            ("fact invented", 0, "British Library.", "British Library, where visitors queue for hours."),
        ),
    ),
    Case(
        "C",
        "Ljubljana",
        "Ljubljana is the capital of Slovenia and had 284,000 inhabitants in 2023. An earthquake destroyed a tenth of its buildings in 1895. The architect Jože Plečnik designed the Triple Bridge and the market.",
        (
            "In 2023 Ljubljana, which is the capital of Slovenia, had 284,000 inhabitants. In 1895 a tenth of the buildings was destroyed by an earthquake. The market and the Triple Bridge were designed by the architect Jože Plečnik.",
            "Q: Which country has Ljubljana as its capital?\nA: Ljubljana is the capital of Slovenia and had 284,000 inhabitants in 2023.\nQ: What happened in 1895?\nA: An earthquake destroyed a tenth of its buildings in 1895.\nQ: What did Jože Plečnik design?\nA: The architect Jože Plečnik designed the Triple Bridge and the market.",
        ),
        (
            ("number changed", 0, "284,000", "248,000"),
            ("date moved", 1, "of its buildings in 1895", "of its buildings in 1985"),
            ("name replaced", 0, "Slovenia", "Croatia"),
            ("sentence dropped", 0, " In 1895 a tenth of the buildings was destroyed by an earthquake.", ""),
            ("fact invented", 0, "Jože Plečnik.", "Jože Plečnik, who never saw them finished because he died early."),
            ("numbers swapped", 1, "had 284,000 inhabitants in 2023", "had 2,023 inhabitants in 284"),
        ),
    ),
    Case(
        "C",
        "Aspirin",
        "Aspirin is a medicine against pain and fever. Felix Hoffmann made it at Bayer on 10 August 1897. A usual tablet holds 500 mg, but to prevent a stroke 100 mg per day are enough.",
        (
            "Against fever and pain, aspirin is a medicine. It was made at Bayer by Felix Hoffmann on 10 August 1897. While a usual tablet holds 500 mg, it takes only 100 mg per day to prevent a stroke.",
            "| Topic | Fact |\n|---|---|\n| Use | Aspirin is a medicine against pain and fever. |\n| Origin | Felix Hoffmann made it at Bayer on 10 August 1897. |\n| Dose | A usual tablet holds 500 mg, but to prevent a stroke 100 mg per day are enough. |",
        ),
        (
            (
                "numbers swapped",
                0,
                "a usual tablet holds 500 mg, it takes only 100 mg",
                "a usual tablet holds 100 mg, it takes only 500 mg",
            ),
            ("unit changed", 1, "500 mg", "500 g"),
            ("name replaced", 1, "at Bayer", "at Pfizer"),
            ("date moved", 0, "10 August", "10 October"),
            ("sentence dropped", 1, "\n| Origin | Felix Hoffmann made it at Bayer on 10 August 1897. |", ""),
            ("fact invented", 0, "a medicine.", "a medicine, and doctors also give it for depression."),
        ),
    ),
    Case(
        "C",
        "Cheetah",
        "The cheetah runs faster than any other animal on land, up to 104 km/h. It lives in Africa and in central Iran. A female raises three to five cubs alone, which stay with her for 18 months.",
        (
            "No animal on land runs faster than the cheetah, which reaches up to 104 km/h. Africa and central Iran are where it lives. Alone, a female raises three to five cubs, and for 18 months they stay with her.",
            "# Cheetah\n## Speed\nThe cheetah runs faster than any other animal on land, up to 104 km/h.\n## Range\nIt lives in Africa and in central Iran.\n## Young\nA female raises three to five cubs alone, which stay with her for 18 months.",
        ),
        (
            ("number changed", 0, "104 km/h", "140 km/h"),
            ("unit changed", 1, "104 km/h", "104 mph"),
            ("name replaced", 0, "central Iran", "central India"),
            ("unit changed", 1, "18 months", "18 weeks"),
            ("sentence dropped", 1, "\n## Range\nIt lives in Africa and in central Iran.", ""),
            ("fact invented", 1, "for 18 months.", "for 18 months. Lions kill most of them before."),
        ),
    ),
    Case(
        "C",
        "Trans-Siberian Railway",
        "The Trans-Siberian Railway leads from Moscow to Vladivostok over 9,289 km. It was built between 1891 and 1916. The journey takes seven days and crosses eight time zones.",
        (
            "From Moscow to Vladivostok, over 9,289 km, leads the Trans-Siberian Railway. Between 1891 and 1916 it was built. Eight time zones are crossed by the journey, which takes seven days.",
            "Traveller: Where does the Trans-Siberian Railway lead?\nGuide: The Trans-Siberian Railway leads from Moscow to Vladivostok over 9,289 km.\nTraveller: When was it built?\nGuide: It was built between 1891 and 1916.\nTraveller: How long is the journey?\nGuide: The journey takes seven days and crosses eight time zones.",
        ),
        (
            ("names swapped", 0, "From Moscow to Vladivostok", "From Vladivostok to Moscow"),
            (
                "numbers swapped",
                0,
                "Eight time zones are crossed by the journey, which takes seven days",
                "Seven time zones are crossed by the journey, which takes eight days",
            ),
            ("numbers swapped", 1, "between 1891 and 1916", "between 1916 and 1891"),
            ("unit changed", 0, "9,289 km", "9,289 miles"),
            ("date moved", 1, "and 1916", "and 1926"),
            ("sentence dropped", 1, "\nTraveller: When was it built?\nGuide: It was built between 1891 and 1916.", ""),
        ),
    ),
    Case(
        "C",
        "Frida Kahlo",
        "Frida Kahlo was a Mexican painter who was born in Coyoacán in 1907. A bus accident injured her badly when she was 18. She married Diego Rivera in 1929 and painted 55 portraits of herself.",
        (
            "Born in Coyoacán in 1907, Frida Kahlo was a painter from Mexico. When she was 18, she was injured badly in an accident with a bus. In 1929 she married Diego Rivera, and 55 portraits of herself were painted by her.",
            "Notes: Frida Kahlo\n- Origin: Frida Kahlo was a Mexican painter who was born in Coyoacán in 1907.\n- Accident: A bus accident injured her badly when she was 18.\n- Life and work: She married Diego Rivera in 1929 and painted 55 portraits of herself.",
        ),
        (
            ("date moved", 0, "in 1907", "in 1910"),
            ("name replaced", 1, "Diego Rivera", "Salvador Dalí"),
            (
                "numbers swapped",
                1,
                "when she was 18.\n- Life and work: She married Diego Rivera in 1929 and painted 55",
                "when she was 55.\n- Life and work: She married Diego Rivera in 1929 and painted 18",
            ),
            ("number changed", 0, "was 18", "was 16"),
            ("sentence dropped", 0, " When she was 18, she was injured badly in an accident with a bus.", ""),
            ("fact invented", 1, "portraits of herself.", "portraits of herself. Museums in Paris rejected every one."),
        ),
    ),
    Case(
        "C",
        "Concrete",
        "Concrete is made of cement, water, sand and gravel. The Romans built the dome of the Pantheon of it, which spans 43 m. Its production causes about 8 percent of all carbon dioxide emissions.",
        (
            "Cement, water, gravel and sand are what concrete is made of. Of it the Romans built the Pantheon's dome, with a span of 43 m. About 8 percent of all emissions of carbon dioxide are caused by its production.",
            "Student: What is concrete made of?\nTeacher: Concrete is made of cement, water, sand and gravel.\nStudent: What did the Romans build?\nTeacher: The Romans built the dome of the Pantheon of it, which spans 43 m.\nStudent: What does production cause?\nTeacher: Its production causes about 8 percent of all carbon dioxide emissions.",
        ),
        (
            ("item dropped", 1, "cement, water, sand and gravel.\nStudent", "cement, water and sand.\nStudent"),
            ("name replaced", 0, "the Romans built", "the Greeks built"),
            ("name replaced", 1, "dome of the Pantheon", "dome of the Parthenon"),
            ("unit changed", 0, "43 m.", "43 feet."),
            ("number changed", 0, "8 percent", "18 percent"),
            ("fact invented", 0, "is made of.", "is made of, and old tyres or plastic can replace half."),
        ),
    ),
    Case(
        "C",
        "Battle of Hastings",
        "At the Battle of Hastings, on 14 October 1066, William of Normandy defeated King Harold. Harold was killed by an arrow. William was crowned in Westminster Abbey on Christmas Day.",
        (
            "On 14 October 1066, King Harold was defeated by William of Normandy at the Battle of Hastings. An arrow killed Harold. On Christmas Day, in Westminster Abbey, William was crowned.",
            "Interviewer: Who was defeated at the Battle of Hastings?\nExpert: At the Battle of Hastings, on 14 October 1066, William of Normandy defeated King Harold.\nInterviewer: How did Harold die?\nExpert: Harold was killed by an arrow.\nInterviewer: Where was William crowned?\nExpert: William was crowned in Westminster Abbey on Christmas Day.",
        ),
        (
            (
                "names swapped",
                1,
                "William of Normandy defeated King Harold",
                "King Harold defeated William of Normandy",
            ),
            ("date moved", 0, "14 October", "14 December"),
            ("date moved", 1, "October 1066", "October 1086"),
            ("name replaced", 0, "Westminster Abbey", "Canterbury Cathedral"),
            ("sentence dropped", 0, " An arrow killed Harold.", ""),
            ("fact invented", 0, "killed Harold.", "killed Harold, whose two brothers fled to Denmark."),
        ),
    ),
    Case(
        "C",
        "Photon",
        "A photon is a particle of light that has no mass. In a vacuum it travels 299,792 km per second. Albert Einstein proposed it in 1905, and Gilbert Lewis named it in 1926.",
        (
            "A particle of light without mass is called a photon. It travels 299,792 km per second in a vacuum. In 1905 it was proposed by Albert Einstein, and in 1926 Gilbert Lewis named it.",
            "Q: What is a photon?\nA: A photon is a particle of light that has no mass.\nQ: How fast is it?\nA: In a vacuum it travels 299,792 km per second.\nQ: Who named it?\nA: Albert Einstein proposed it in 1905, and Gilbert Lewis named it in 1926.",
        ),
        (
            ("negated", 0, "without mass", "with mass"),
            (
                "numbers swapped",
                0,
                "In 1905 it was proposed by Albert Einstein, and in 1926",
                "In 1926 it was proposed by Albert Einstein, and in 1905",
            ),
            (
                "names swapped",
                1,
                "Albert Einstein proposed it in 1905, and Gilbert Lewis named",
                "Gilbert Lewis proposed it in 1905, and Albert Einstein named",
            ),
            ("unit changed", 1, "299,792 km", "299,792 m"),
            ("unit changed", 0, "per second", "per minute"),
            ("fact invented", 1, "no mass.", "no mass. Plants need exactly eight to split water."),
        ),
    ),
    Case(
        "C",
        "Olive",
        "The olive tree grows around the Mediterranean and can live for 2,000 years. Spain produces 40 percent of all olive oil. Green olives are picked early and black ones late.",
        (
            "Around the Mediterranean grows the olive tree, and it can live for 2,000 years. Of all olive oil 40 percent is produced in Spain. Black olives are picked late and green ones early.",
            "# Olive\n## Tree\nThe olive tree grows around the Mediterranean and can live for 2,000 years.\n## Oil\nSpain produces 40 percent of all olive oil.\n## Colour\nGreen olives are picked early and black ones late.",
        ),
        (
            (
                "turned",
                0,
                "Black olives are picked late and green ones early",
                "Black olives are picked early and green ones late",
            ),
            ("number changed", 1, "40 percent", "14 percent"),
            ("name replaced", 0, "in Spain", "in Greece"),
            ("unit changed", 1, "2,000 years", "2,000 months"),
            ("sentence dropped", 1, "\n## Oil\nSpain produces 40 percent of all olive oil.", ""),
            ("fact invented", 0, "2,000 years.", "2,000 years if frost spares its roots."),
        ),
    ),
    Case(
        "C",
        "Bicycle",
        "Karl Drais rode the first bicycle, which had no pedals, from Mannheim on 12 June 1817. Pedals came in 1863. John Dunlop invented the air-filled tyre in Belfast in 1888.",
        (
            "On 12 June 1817, Karl Drais rode from Mannheim on the first bicycle, which had no pedals. In 1863 came pedals. The air-filled tyre was invented by John Dunlop in 1888 in Belfast.",
            "Notes: Bicycle\n- Beginning: Karl Drais rode the first bicycle, which had no pedals, from Mannheim on 12 June 1817.\n- Pedals: Pedals came in 1863.\n- Tyres: John Dunlop invented the air-filled tyre in Belfast in 1888.",
        ),
        (
            (
                "numbers swapped",
                0,
                "In 1863 came pedals. The air-filled tyre was invented by John Dunlop in 1888",
                "In 1888 came pedals. The air-filled tyre was invented by John Dunlop in 1863",
            ),
            ("date moved", 0, "12 June 1817", "12 July 1817"),
            ("date moved", 1, "12 June 1817", "12 June 1827"),
            ("name replaced", 1, "in Belfast", "in Dublin"),
            ("names swapped", 0, "invented by John Dunlop", "invented by Karl Drais"),
            ("fact invented", 1, "in 1888.", "in 1888. Racing cyclists laughed at him first."),
        ),
    ),
    Case(
        "D",
        "Lake Baikal",
        "Lake Baikal in Siberia is 1,642 m deep and holds a fifth of the fresh water on the surface of the Earth. It freezes in January and thaws in May. The nerpa, a seal, lives only there.",
        (
            "With a depth of 1,642 m, Lake Baikal in Siberia holds a fifth of the Earth's fresh surface water. In May it thaws, after freezing in January. Only there lives a seal, the nerpa.",
            "Q: How deep is Lake Baikal?\nA: Lake Baikal in Siberia is 1,642 m deep and holds a fifth of the fresh water on the surface of the Earth.\nQ: When does it freeze?\nA: It freezes in January and thaws in May.\nQ: Which seal lives there?\nA: The nerpa, a seal, lives only there.",
        ),
        (
            ("number changed", 0, "1,642 m", "1,462 m"),
            ("dates swapped", 1, "freezes in January and thaws in May", "freezes in May and thaws in January"),
            ("name replaced", 0, "Siberia", "Mongolia"),
            ("unit changed", 1, "1,642 m deep", "1,642 ft deep"),
            ("sentence dropped", 0, " Only there lives a seal, the nerpa.", ""),
            ("fact invented", 1, "thaws in May.", "thaws in May. Trucks drive across its ice all winter."),
        ),
    ),
    Case(
        "D",
        "Nikola Tesla",
        "Nikola Tesla was born in Smiljan on 10 July 1856 and moved to New York in 1884. He sold his patents for alternating current to George Westinghouse. He died in a hotel room at the age of 86.",
        (
            "Born on 10 July 1856 in Smiljan, Nikola Tesla moved in 1884 to New York. To George Westinghouse he sold the patents for alternating current. At the age of 86 he died in a room of a hotel.",
            "# Nikola Tesla\n## Life\nNikola Tesla was born in Smiljan on 10 July 1856 and moved to New York in 1884.\n## Patents\nHe sold his patents for alternating current to George Westinghouse.\n## Death\nHe died in a hotel room at the age of 86.",
        ),
        (
            ("date moved", 0, "10 July 1856", "10 July 1865"),
            ("date moved", 1, "10 July", "10 June"),
            ("name replaced", 0, "George Westinghouse", "Thomas Edison"),
            ("number changed", 1, "age of 86", "age of 68"),
            (
                "sentence dropped",
                1,
                "\n## Patents\nHe sold his patents for alternating current to George Westinghouse.",
                "",
            ),
            ("fact invented", 0, "of a hotel.", "of a hotel, poor and forgotten by former friends."),
        ),
    ),
    Case(
        "D",
        "Honey",
        "Honey is made by bees from nectar and consists mostly of sugars. A colony needs about 40 kg of honey to survive the winter. Pots of honey were found in Egyptian tombs.",
        (
            "Bees make honey from nectar, and mostly it consists of sugars. To survive the winter, a colony needs about 40 kg of honey. In Egyptian tombs, pots of honey were found.",
            "Student: How is honey made?\nTeacher: Honey is made by bees from nectar and consists mostly of sugars.\nStudent: How much does a colony need?\nTeacher: A colony needs about 40 kg of honey to survive the winter.\nStudent: Where were pots found?\nTeacher: Pots of honey were found in Egyptian tombs.",
        ),
        (
            ("number changed", 0, "40 kg", "70 kg"),
            ("unit changed", 1, "40 kg", "40 tonnes"),
            ("season changed", 0, "survive the winter", "survive the summer"),
            ("name replaced", 1, "in Egyptian tombs", "in Roman tombs"),
            ("sentence dropped", 0, " In Egyptian tombs, pots of honey were found.", ""),
            ("fact invented", 0, "of sugars.", "of sugars, which protects children against allergies."),
        ),
    ),
    Case(
        "D",
        "Golden Gate Bridge",
        "The Golden Gate Bridge opened on 27 May 1937 and links San Francisco with Marin County. Its main span measures 1,280 m, and its towers are 227 m high. Joseph Strauss led its construction.",
        (
            "On 27 May 1937 the Golden Gate Bridge, which links Marin County with San Francisco, opened. The towers are 227 m high, and the main span measures 1,280 m. Its construction was led by Joseph Strauss.",
            "| Topic | Fact |\n|---|---|\n| Opening | The Golden Gate Bridge opened on 27 May 1937 and links San Francisco with Marin County. |\n| Size | Its main span measures 1,280 m, and its towers are 227 m high. |\n| Builder | Joseph Strauss led its construction. |",
        ),
        (
            (
                "numbers swapped",
                0,
                "The towers are 227 m high, and the main span measures 1,280 m",
                "The towers are 1,280 m high, and the main span measures 227 m",
            ),
            ("date moved", 1, "27 May 1937", "27 March 1937"),
            ("name replaced", 1, "Joseph Strauss", "John Roebling"),
            ("unit changed", 0, "measures 1,280 m", "measures 1,280 ft"),
            ("sentence dropped", 1, "\n| Builder | Joseph Strauss led its construction. |", ""),
            ("fact invented", 1, "led its construction.", "led its construction. Eleven workers fell to death."),
        ),
    ),
    Case(
        "D",
        "Malaria",
        "Malaria is a disease that mosquitoes carry. In 2022 it killed 608,000 people, most of them children in Africa. Tu Youyou found the drug artemisinin in 1972 in an old Chinese text.",
        (
            "A disease that is carried by mosquitoes is malaria. It killed 608,000 people in 2022; children in Africa were most of them. In 1972, in an old text from China, Tu Youyou found artemisinin, a drug.",
            "Interviewer: What is malaria?\nExpert: Malaria is a disease that mosquitoes carry.\nInterviewer: How many people did it kill?\nExpert: In 2022 it killed 608,000 people, most of them children in Africa.\nInterviewer: Who found artemisinin?\nExpert: Tu Youyou found the drug artemisinin in 1972 in an old Chinese text.",
        ),
        (
            ("number changed", 1, "608,000", "806,000"),
            ("date moved", 0, "In 1972", "In 1927"),
            ("name replaced", 0, "children in Africa", "children in India"),
            ("name replaced", 1, "artemisinin in 1972", "quinine in 1972"),
            ("sentence dropped", 0, " It killed 608,000 people in 2022; children in Africa were most of them.", ""),
            ("fact invented", 0, "is malaria.", "is malaria, and a cheap vaccine prevents it fully."),
        ),
    ),
    Case(
        "D",
        "Eiffel Tower",
        "The Eiffel Tower was built for the World's Fair of 1889 in Paris and is 330 m high. It weighs 10,100 tonnes and has three levels. Every seven years it's painted, which takes 60 tonnes of paint.",
        (
            "For the World's Fair of 1889, the Eiffel Tower, 330 m high, was built in Paris. Its weight is 10,100 tonnes, and there are three levels. It's painted every seven years, for which 60 tonnes of paint are taken.",
            "Traveller: Why was the Eiffel Tower built?\nGuide: The Eiffel Tower was built for the World's Fair of 1889 in Paris and is 330 m high.\nTraveller: How heavy is it?\nGuide: It weighs 10,100 tonnes and has three levels.\nTraveller: How often is it painted?\nGuide: Every seven years it's painted, which takes 60 tonnes of paint.",
        ),
        (
            ("unit changed", 0, "330 m high", "330 ft high"),
            ("number changed", 1, "three levels", "four levels"),
            (
                "numbers swapped",
                0,
                "Its weight is 10,100 tonnes, and there are three levels. It's painted every seven years, for which 60 tonnes",
                "Its weight is 60 tonnes, and there are three levels. It's painted every seven years, for which 10,100 tonnes",
            ),
            ("unit changed", 1, "seven years", "seven months"),
            ("name replaced", 1, "of 1889 in Paris", "of 1889 in Lyon"),
            ("fact invented", 1, "three levels.", "three levels. Lifts were added decades later."),
        ),
    ),
    Case(
        "D",
        "Roman numerals",
        "Roman numerals are written with seven letters, such as V for five and X for ten. A smaller letter before a larger one is subtracted. They have no sign for zero.",
        (
            "Seven letters are what Roman numerals are written with, such as X for ten and V for five. When a smaller letter stands before a larger one, it is subtracted. For zero they have no sign.",
            "Notes: Roman numerals\n- Letters: Roman numerals are written with seven letters, such as V for five and X for ten.\n- Rule: A smaller letter before a larger one is subtracted.\n- Zero: They have no sign for zero.",
        ),
        (
            ("numbers swapped", 0, "X for ten and V for five", "X for five and V for ten"),
            ("number changed", 1, "seven letters", "nine letters"),
            ("word replaced", 1, "is subtracted", "is added"),
            ("turned", 0, "a smaller letter stands before a larger one", "a smaller letter stands after a larger one"),
            ("sentence dropped", 0, " For zero they have no sign.", ""),
            ("negated", 1, "They have no sign for zero", "They have a sign for zero"),
        ),
    ),
    Case(
        "D",
        "Maria Theresa",
        "Maria Theresa ruled Austria from 1740 to 1780. She had 16 children, among them Marie Antoinette. She lost Silesia to Frederick II of Prussia and made school compulsory in 1774.",
        (
            "From 1740 to 1780 Austria was ruled by Maria Theresa. Among her 16 children was Marie Antoinette. In 1774 she made school compulsory, and Silesia she lost to Frederick II of Prussia.",
            "Reader: When did Maria Theresa rule?\nEditor: Maria Theresa ruled Austria from 1740 to 1780.\nReader: How many children did she have?\nEditor: She had 16 children, among them Marie Antoinette.\nReader: What did she lose?\nEditor: She lost Silesia to Frederick II of Prussia and made school compulsory in 1774.",
        ),
        (
            ("numbers swapped", 0, "From 1740 to 1780", "From 1780 to 1740"),
            ("number changed", 1, "16 children", "13 children"),
            ("name replaced", 0, "Silesia", "Saxony"),
            ("date moved", 1, "in 1774", "in 1744"),
            ("sentence dropped", 0, " Among her 16 children was Marie Antoinette.", ""),
            ("fact invented", 0, "Maria Theresa.", "Maria Theresa, whose advisers hated foreign merchants."),
        ),
    ),
    Case(
        "D",
        "Amber",
        "Amber is fossil resin of trees and floats in salt water. Pieces with insects are 40 to 100 million years old. Most amber comes from the coast of the Baltic Sea near Kaliningrad.",
        (
            "The fossil resin of trees is amber, and in salt water it floats. Between 40 and 100 million years old are pieces with insects. From the Baltic Sea's coast near Kaliningrad comes most amber.",
            "Q: What is amber?\nA: Amber is fossil resin of trees and floats in salt water.\nQ: How old are pieces with insects?\nA: Pieces with insects are 40 to 100 million years old.\nQ: Where does most amber come from?\nA: Most amber comes from the coast of the Baltic Sea near Kaliningrad.",
        ),
        (
            ("word replaced", 0, "in salt water it floats", "in salt water it sinks"),
            ("unit changed", 1, "100 million years", "100 thousand years"),
            ("numbers changed", 0, "40 and 100 million", "140 and 200 million"),
            ("name replaced", 1, "Baltic Sea", "Black Sea"),
            (
                "sentence dropped",
                1,
                "\nQ: How old are pieces with insects?\nA: Pieces with insects are 40 to 100 million years old.",
                "",
            ),
            ("fact invented", 1, "near Kaliningrad.", "near Kaliningrad, where divers collect it illegally."),
        ),
    ),
    Case(
        "D",
        "Marathon",
        "A marathon is a run over 42.195 km. Eliud Kipchoge ran one in Berlin in 2022 in 2 hours and 1 minute. Kelvin Kiptum was faster in Chicago on 8 October 2023.",
        (
            "Over 42.195 km goes the run that is called a marathon. In 2 hours and 1 minute, Eliud Kipchoge ran one in 2022 in Berlin. On 8 October 2023, Kelvin Kiptum was faster in Chicago.",
            "Notes: Marathon\n- Length: A marathon is a run over 42.195 km.\n- Berlin: Eliud Kipchoge ran one in Berlin in 2022 in 2 hours and 1 minute.\n- Chicago: Kelvin Kiptum was faster in Chicago on 8 October 2023.",
        ),
        (
            ("unit changed", 0, "42.195 km", "42.195 miles"),
            (
                "names swapped",
                0,
                "2022 in Berlin. On 8 October 2023, Kelvin Kiptum was faster in Chicago",
                "2022 in Chicago. On 8 October 2023, Kelvin Kiptum was faster in Berlin",
            ),
            ("turned", 1, "was faster", "was slower"),
            ("date moved", 1, "8 October 2023", "18 October 2023"),
            ("name replaced", 1, "Eliud Kipchoge", "Haile Gebrselassie"),
            ("number changed", 0, "2 hours and 1 minute", "2 hours and 7 minutes"),
        ),
    ),
    Case(
        "E",
        "Kyoto",
        "Kyoto was the capital of Japan from 794 to 1868. It has about 1,600 Buddhist temples and 17 places of world heritage. The Kyoto Protocol was signed there on 11 December 1997.",
        (
            "From 794 to 1868 the capital of Japan was Kyoto. About 1,600 Buddhist temples are there, and 17 places of world heritage. On 11 December 1997 the Kyoto Protocol was signed in the city.",
            "Q: When was Kyoto the capital of Japan?\nA: Kyoto was the capital of Japan from 794 to 1868.\nQ: How many temples does it have?\nA: It has about 1,600 Buddhist temples and 17 places of world heritage.\nQ: When was the Kyoto Protocol signed?\nA: The Kyoto Protocol was signed there on 11 December 1997.",
        ),
        (
            (
                "numbers swapped",
                0,
                "About 1,600 Buddhist temples are there, and 17 places",
                "About 17 Buddhist temples are there, and 1,600 places",
            ),
            ("date moved", 0, "11 December 1997", "11 September 1997"),
            ("name replaced", 1, "was the capital of Japan from", "was the capital of Korea from"),
            ("sentence dropped", 0, " On 11 December 1997 the Kyoto Protocol was signed in the city.", ""),
            ("fact invented", 1, "of world heritage.", "of world heritage. Its gardens inspired many poets."),
            ("number changed", 1, "1868.\nQ", "1886.\nQ"),
        ),
    ),
    Case(
        "E",
        "Louis Pasteur",
        "Louis Pasteur was a French chemist who lived from 1822 to 1895. He showed that germs make milk and wine go bad, and heated them to 60 degrees to prevent it. In July 1885 he gave Joseph Meister the first vaccine against rabies.",
        (
            "The chemist Louis Pasteur, who lived from 1822 to 1895, was French. That germs make wine and milk go bad was shown by him, and to prevent it he heated them to 60 degrees. The first vaccine against rabies he gave to Joseph Meister in July 1885.",
            "# Louis Pasteur\n## Life\nLouis Pasteur was a French chemist who lived from 1822 to 1895.\n## Germs\nHe showed that germs make milk and wine go bad, and heated them to 60 degrees to prevent it.\n## Rabies\nIn July 1885 he gave Joseph Meister the first vaccine against rabies.",
        ),
        (
            ("numbers swapped", 1, "from 1822 to 1895", "from 1895 to 1822"),
            ("number changed", 0, "60 degrees", "80 degrees"),
            ("name replaced", 1, "Joseph Meister", "Robert Koch"),
            ("date moved", 0, "July 1885", "July 1875"),
            (
                "sentence dropped",
                1,
                "\n## Rabies\nIn July 1885 he gave Joseph Meister the first vaccine against rabies.",
                "",
            ),
            ("fact invented", 0, "was French.", "was French and kept his laboratory notes secret."),
        ),
    ),
    Case(
        "E",
        "Potato",
        "The potato comes from the Andes, where it has been grown for 7,000 years. A blight ruined the harvest in Ireland from 1845 on, and a million people died. China now grows 90 million tonnes a year.",
        (
            "From the Andes comes the potato; there it has been grown for 7,000 years. In Ireland, from 1845 on, the harvest was ruined by a blight, and a million people died. Now 90 million tonnes a year are grown in China.",
            "Student: Where does the potato come from?\nTeacher: The potato comes from the Andes, where it has been grown for 7,000 years.\nStudent: What happened in Ireland?\nTeacher: A blight ruined the harvest in Ireland from 1845 on, and a million people died.\nStudent: Who grows it now?\nTeacher: China now grows 90 million tonnes a year.",
        ),
        (
            ("number changed", 0, "7,000 years", "9,000 years"),
            ("unit changed", 1, "90 million tonnes", "90 thousand tonnes"),
            ("name replaced", 0, "In Ireland,", "In Scotland,"),
            ("name replaced", 1, "China now", "India now"),
            ("date moved", 1, "1845", "1854"),
            ("sentence dropped", 0, " Now 90 million tonnes a year are grown in China.", ""),
        ),
    ),
    Case(
        "E",
        "Giant panda",
        "The giant panda eats 12 to 38 kg of bamboo a day. It lives in the mountains of Sichuan at 1,200 to 3,100 m. About 1,860 live in the wild, which is more than in the 1980s.",
        (
            "Each day 12 to 38 kg of bamboo are eaten by the giant panda. In the mountains of Sichuan it lives, at 1,200 to 3,100 m. In the wild live about 1,860, more than in the 1980s.",
            "Notes: Giant panda\n- Food: The giant panda eats 12 to 38 kg of bamboo a day.\n- Home: It lives in the mountains of Sichuan at 1,200 to 3,100 m.\n- Number: About 1,860 live in the wild, which is more than in the 1980s.",
        ),
        (
            ("unit changed", 0, "38 kg", "38 g"),
            ("unit changed", 1, "of bamboo a day", "of bamboo a week"),
            ("turned", 0, "more than in the 1980s", "fewer than in the 1980s"),
            ("name replaced", 1, "Sichuan", "Yunnan"),
            ("number changed", 1, "1,860", "1,680"),
            ("fact invented", 0, "the giant panda.", "the giant panda, whose cubs are born blind and pink."),
        ),
    ),
    Case(
        "E",
        "Gotthard Base Tunnel",
        "The Gotthard Base Tunnel in Switzerland is 57 km long and the longest railway tunnel of the world. Work began in 1999, and trains have used it since 11 December 2016. Nine workers died.",
        (
            "The longest railway tunnel of the world is the Gotthard Base Tunnel in Switzerland, with a length of 57 km. In 1999 work began; since 11 December 2016 it has been used by trains. Nine of the workers died.",
            "| Topic | Fact |\n|---|---|\n| Length | The Gotthard Base Tunnel in Switzerland is 57 km long and the longest railway tunnel of the world. |\n| Dates | Work began in 1999, and trains have used it since 11 December 2016. |\n| Deaths | Nine workers died. |",
        ),
        (
            ("unit changed", 0, "57 km", "57 miles"),
            (
                "numbers swapped",
                0,
                "In 1999 work began; since 11 December 2016",
                "In 2016 work began; since 11 December 1999",
            ),
            ("date moved", 1, "11 December", "11 November"),
            ("turned", 1, "the longest railway tunnel", "the shortest railway tunnel"),
            ("number changed", 1, "Nine workers died", "Ninety workers died"),
            ("name replaced", 0, "Switzerland", "Austria"),
        ),
    ),
    Case(
        "E",
        "Silk",
        "Silk is spun by the larvae of a moth that eat only mulberry leaves. A cocoon gives a thread of up to 900 m. Two monks brought eggs of the moth to Constantinople about 552, in hollow sticks.",
        (
            "Larvae of a moth, which eat only mulberry leaves, spin silk. Up to 900 m is the thread that a cocoon gives. About 552, in hollow sticks, eggs of the moth were brought to Constantinople by two monks.",
            "Traveller: Who spins silk?\nGuide: Silk is spun by the larvae of a moth that eat only mulberry leaves.\nTraveller: How long is the thread?\nGuide: A cocoon gives a thread of up to 900 m.\nTraveller: How did it come to Constantinople?\nGuide: Two monks brought eggs of the moth to Constantinople about 552, in hollow sticks.",
        ),
        (
            ("number changed", 0, "Up to 900 m", "Up to 600 m"),
            ("unit changed", 1, "900 m", "900 km"),
            ("name replaced", 0, "Constantinople", "Venice"),
            ("word replaced", 1, "only mulberry leaves", "only oak leaves"),
            ("sentence dropped", 0, " Up to 900 m is the thread that a cocoon gives.", ""),
            ("fact invented", 1, "in hollow sticks.", "in hollow sticks, for which the emperor paid gold."),
        ),
    ),
    Case(
        "E",
        "Treaty of Tordesillas",
        "In the Treaty of Tordesillas, on 7 June 1494, Spain and Portugal divided the new world. Lands west of a line went to Spain, lands east of it to Portugal. Pope Julius II approved it in 1506.",
        (
            "On 7 June 1494, Portugal and Spain divided the new world in the Treaty of Tordesillas. To Spain went lands west of a line, to Portugal lands east of it. In 1506 it was approved by Pope Julius II.",
            "Interviewer: What did the Treaty of Tordesillas divide?\nExpert: In the Treaty of Tordesillas, on 7 June 1494, Spain and Portugal divided the new world.\nInterviewer: Which lands went to Spain?\nExpert: Lands west of a line went to Spain, lands east of it to Portugal.\nInterviewer: Who approved it?\nExpert: Pope Julius II approved it in 1506.",
        ),
        (
            (
                "names swapped",
                0,
                "To Spain went lands west of a line, to Portugal lands east",
                "To Portugal went lands west of a line, to Spain lands east",
            ),
            ("name replaced", 1, "Pope Julius II", "Pope Leo X"),
            ("date moved", 0, "7 June 1494", "7 June 1484"),
            ("date moved", 1, "in 1506", "in 1560"),
            ("sentence dropped", 0, " In 1506 it was approved by Pope Julius II.", ""),
            ("fact invented", 1, "approved it in 1506.", "approved it in 1506. England and France ignored it."),
        ),
    ),
    Case(
        "E",
        "Neptune",
        "Neptune is the planet that is farthest from the Sun and was found on 23 September 1846 by Johann Galle. A year there lasts 165 years of the Earth. Its largest moon, Triton, moves backwards.",
        (
            "Johann Galle found Neptune, the planet that is farthest from the Sun, on 23 September 1846. There a year lasts 165 years of the Earth. Triton, its largest moon, moves backwards.",
            "Q: Who found Neptune?\nA: Neptune is the planet that is farthest from the Sun and was found on 23 September 1846 by Johann Galle.\nQ: How long is a year?\nA: A year there lasts 165 years of the Earth.\nQ: How does Triton move?\nA: Its largest moon, Triton, moves backwards.",
        ),
        (
            ("number changed", 0, "165 years", "156 years"),
            ("date moved", 1, "23 September", "23 October"),
            ("name replaced", 0, "Johann Galle", "William Herschel"),
            ("turned", 1, "Its largest moon", "Its smallest moon"),
            ("unit changed", 0, "165 years of the Earth", "165 days of the Earth"),
            ("sentence dropped", 1, "\nQ: How long is a year?\nA: A year there lasts 165 years of the Earth.", ""),
        ),
    ),
    Case(
        "E",
        "Bauhaus",
        "The Bauhaus was a school of design that Walter Gropius founded in Weimar in 1919. It moved to Dessau in 1925 and to Berlin in 1932. The Nazis forced it to close in 1933.",
        (
            "In 1919 Walter Gropius founded a school of design in Weimar, the Bauhaus. In 1925 it moved to Dessau, and in 1932 to Berlin. It was forced to close in 1933 by the Nazis.",
            "Reader: What was the Bauhaus?\nEditor: The Bauhaus was a school of design that Walter Gropius founded in Weimar in 1919.\nReader: Where did it move?\nEditor: It moved to Dessau in 1925 and to Berlin in 1932.\nReader: Why did it close?\nEditor: The Nazis forced it to close in 1933.",
        ),
        (
            (
                "names swapped",
                0,
                "In 1925 it moved to Dessau, and in 1932 to Berlin",
                "In 1925 it moved to Berlin, and in 1932 to Dessau",
            ),
            (
                "numbers swapped",
                1,
                "to Dessau in 1925 and to Berlin in 1932",
                "to Dessau in 1932 and to Berlin in 1925",
            ),
            ("name replaced", 0, "Walter Gropius", "Mies van der Rohe"),
            ("date moved", 1, "close in 1933", "close in 1935"),
            ("sentence dropped", 0, " In 1925 it moved to Dessau, and in 1932 to Berlin.", ""),
            ("fact invented", 1, "in Weimar in 1919.", "in Weimar in 1919. Paul Klee taught painting there."),
        ),
    ),
    Case(
        "E",
        "Sugar",
        "Sugar is made from cane in warm countries and from beets in cool ones. Andreas Marggraf found it in beets in 1747. A person in Germany eats 33 kg of it per year, a third more than in 1950.",
        (
            "From cane in warm countries, and from beets in cool ones, sugar is made. In 1747 it was found in beets by Andreas Marggraf. Per year, a person in Germany eats 33 kg of it, which is a third more than in 1950.",
            "Notes: Sugar\n- Sources: Sugar is made from cane in warm countries and from beets in cool ones.\n- Discovery: Andreas Marggraf found it in beets in 1747.\n- Use: A person in Germany eats 33 kg of it per year, a third more than in 1950.",
        ),
        (
            (
                "turned",
                0,
                "From cane in warm countries, and from beets in cool ones",
                "From cane in cool countries, and from beets in warm ones",
            ),
            ("date moved", 0, "In 1747", "In 1774"),
            ("unit changed", 1, "33 kg", "33 pounds"),
            ("unit changed", 1, "per year", "per month"),
            ("turned", 0, "a third more", "a third less"),
            ("fact invented", 1, "in beets in 1747.", "in beets in 1747. Napoleon ordered factories everywhere."),
        ),
    ),
)
