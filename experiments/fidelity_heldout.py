# ruff: noqa: E501 — texts
"""A second labelled set, of other topics. Everything in it is written by hand: sources, good rephrasings, and what
was done to a good one to make it bad. The thresholds were set before it was written.

It has six parts. `A`, then `B` to `E` showed what the check misses, and the check was mended on each. `F` was written
after that by an author who had not seen the check, and nothing was changed for it: its figures say how the check does on
texts that it has not met.
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
    Case(
        "F",
        "Tove Jansson",
        "Tove Jansson was a Finnish writer and painter who wrote in Swedish. Her father Viktor was a sculptor, and her mother Signe drew stamps, more than 170 of them. The first Moomin book appeared in 1945, but did not sell well. From 1964 Jansson spent 28 summers on the small island of Klovharu with the artist Tuulikki Pietilä.",
        (
            "The Finnish painter and writer Tove Jansson used the Swedish language for her books. She was the daughter of the sculptor Viktor and of Signe, by whom more than 170 stamps were drawn. Sales were poor when the first Moomin book came out in 1945. Together with Tuulikki Pietilä, an artist, she spent 28 summers, from 1964 on, on a small island called Klovharu.",
            "Q: Who was Tove Jansson?\nA: She was a painter and writer from Finland whose language was Swedish.\nQ: What did her parents do?\nA: Her father Viktor was a sculptor, while her mother Signe drew more than 170 stamps.\nQ: Was the first Moomin book a success?\nA: No, it did not sell well when it appeared in 1945.\nQ: Where did she spend her summers?\nA: From 1964 she spent 28 of them with the artist Tuulikki Pietilä on the small island of Klovharu.",
        ),
        (
            ("number changed", 1, "more than 170 stamps", "more than 710 stamps"),
            (
                "names swapped",
                1,
                "father Viktor was a sculptor, while her mother Signe",
                "father Signe was a sculptor, while her mother Viktor",
            ),
            ("turned", 0, "Sales were poor", "Sales were good"),
        ),
    ),
    Case(
        "F",
        "Aldabra giant tortoise",
        "The Aldabra giant tortoise lives on an atoll of the Seychelles. Males weigh 250 kg on average, females only 160 kg. It eats grass, leaves and woody stems, and needs hardly any fresh water. A tortoise called Jonathan has lived on Saint Helena since 1882.",
        (
            "An atoll that belongs to the Seychelles is home to the Aldabra giant tortoise. On average a female weighs just 160 kg, but a male 250 kg. Its food is leaves, grass and woody stems, and it has need of almost no fresh water. Since 1882, Saint Helena has been the home of a tortoise named Jonathan.",
            "Student: Where does the Aldabra giant tortoise live?\nTeacher: On an atoll of the Seychelles.\nStudent: How heavy is it?\nTeacher: The average male weighs 250 kg, the average female only 160 kg.\nStudent: What does it live on?\nTeacher: It eats woody stems, grass and leaves, and hardly needs fresh water.\nStudent: Is there a famous one?\nTeacher: Yes, Jonathan, a tortoise who has lived on Saint Helena since 1882.",
        ),
        (
            ("unit changed", 0, "just 160 kg", "just 160 lb"),
            ("fact invented", 0, "named Jonathan.", "named Jonathan, who is blind in both eyes."),
            ("name replaced", 1, "On an atoll of the Seychelles", "On an atoll of the Maldives"),
        ),
    ),
    Case(
        "F",
        "Newcomen engine",
        "Thomas Newcomen, an ironmonger from Dartmouth, built a steam engine in 1712. It pumped water from a coal mine near Dudley. Its cylinder was 53 cm wide, and the beam made 12 strokes a minute. Cold water was sprayed into the cylinder to condense the steam. James Watt patented a separate condenser on 5 January 1769.",
        (
            "In 1712 a steam engine was built by Thomas Newcomen, who was an ironmonger from Dartmouth. Near Dudley, it pumped water out of a coal mine. The beam made 12 strokes each minute, and the width of the cylinder was 53 cm. To condense the steam, cold water was sprayed into the cylinder. A separate condenser was patented by James Watt on 5 January 1769.",
            "| Newcomen engine | |\n|---|---|\n| Builder | Thomas Newcomen, ironmonger from Dartmouth |\n| Year | 1712 |\n| Kind | steam engine |\n| Use | pumping water from a coal mine near Dudley |\n| Cylinder | 53 cm wide |\n| Speed of the beam | 12 strokes a minute |\n| Condensing the steam | cold water sprayed into the cylinder |\n| Later | separate condenser, patented by James Watt on 5 January 1769 |",
        ),
        (
            ("word replaced", 1, "from a coal mine", "from a tin mine"),
            ("date moved", 0, "5 January 1769", "5 June 1769"),
            ("sentence dropped", 0, " To condense the steam, cold water was sprayed into the cylinder.", ""),
        ),
    ),
    Case(
        "F",
        "Ice hockey final of 1994",
        "Sweden met Canada in the ice hockey final at Lillehammer on 27 February 1994. After 60 minutes the score was 2 to 2, and overtime brought no goal. In the shootout Peter Forsberg scored for Sweden, and Tommy Salo stopped the shot of Paul Kariya. The Swedish post later issued a stamp of the goal, worth 5 kronor.",
        (
            "On 27 February 1994 Canada and Sweden played the ice hockey final at Lillehammer. It stood 2 to 2 after 60 minutes, and nobody scored in overtime. Then came the shootout, in which Peter Forsberg scored for Sweden while Tommy Salo stopped Paul Kariya's shot. Later a stamp showing the goal, worth 5 kronor, was issued by the Swedish post.",
            "Notes: the ice hockey final of 1994\n- Sweden against Canada, at Lillehammer, 27 February 1994\n- 2 to 2 after 60 minutes; no goal in overtime\n- shootout: Peter Forsberg scored for Sweden, Tommy Salo stopped the shot of Paul Kariya\n- afterwards the Swedish post issued a stamp of the goal, worth 5 kronor",
        ),
        (
            (
                "numbers swapped",
                1,
                "after 60 minutes; no goal in overtime\n- shootout: Peter Forsberg scored for Sweden, Tommy Salo stopped the shot of Paul Kariya\n- afterwards the Swedish post issued a stamp of the goal, worth 5 kronor",
                "after 5 minutes; no goal in overtime\n- shootout: Peter Forsberg scored for Sweden, Tommy Salo stopped the shot of Paul Kariya\n- afterwards the Swedish post issued a stamp of the goal, worth 60 kronor",
            ),
            ("number changed", 0, "2 to 2 after", "3 to 3 after"),
            ("names swapped", 0, "Tommy Salo stopped Paul Kariya's shot", "Paul Kariya stopped Tommy Salo's shot"),
        ),
    ),
    Case(
        "F",
        "Welwitschia",
        "Welwitschia is a plant of the Namib desert that grows only two leaves in its whole life. The leaves reach a length of 4 m, and the wind tears them into strips. Male and female cones grow on separate plants. The botanist Friedrich Welwitsch found it in Angola in 1859. Some plants are older than 1,000 years.",
        (
            "In all its life Welwitschia, a plant that is native to the Namib desert, has only two leaves. These get as long as 4 m and are torn into strips by the wind. No plant bears both male and female cones: they grow on separate ones. It was in Angola, in 1859, that the botanist Friedrich Welwitsch found it. The age of some plants is over 1,000 years.",
            "Q: What is Welwitschia?\nA: A plant of the Namib desert which grows just two leaves in its whole life.\nQ: How long are they?\nA: They reach 4 m, and are torn into strips by the wind.\nQ: Where do the cones grow?\nA: Male and female cones are on separate plants.\nQ: Who found it?\nA: Friedrich Welwitsch, a botanist, found it in 1859 in Angola.\nQ: How old does it get?\nA: Some plants are more than 1,000 years old.",
        ),
        (
            ("turned", 1, "Some plants are more than 1,000", "Some plants are less than 1,000"),
            ("unit changed", 0, "as long as 4 m and", "as long as 4 cm and"),
            ("fact invented", 0, "found it.", "found it, and knelt down beside it."),
        ),
    ),
    Case(
        "F",
        "SQLite",
        "SQLite is a database engine written in C by Richard Hipp. Its first version was released on 17 August 2000. It needs no server, because it keeps the whole database in one file. The source is in the public domain, and changes by outsiders are not accepted. Android, Firefox and Skype use it.",
        (
            "Richard Hipp wrote SQLite, a database engine, in C, and released the first version on 17 August 2000. As the whole database is kept in a single file, no server is needed. The source belongs to the public domain, but outsiders' changes are not accepted. Among its users are Firefox, Skype and Android.",
            "Student: What is SQLite?\nTeacher: It is a database engine, which Richard Hipp wrote in C.\nStudent: When was it first released?\nTeacher: Its first version came out on 17 August 2000.\nStudent: Does it need a server?\nTeacher: No, since it stores the whole database in one file.\nStudent: May anyone use and change the source?\nTeacher: The source is in the public domain, although changes by outsiders are not accepted.\nStudent: Who uses it?\nTeacher: Android, Firefox and Skype do.",
        ),
        (
            ("name replaced", 1, "Android, Firefox and Skype do", "Android, Chrome and Skype do"),
            ("word replaced", 0, "a single file", "a single folder"),
            ("date moved", 1, "17 August 2000", "17 August 2004"),
        ),
    ),
    Case(
        "F",
        "Halley station",
        "Halley is a British research station on the Brunt Ice Shelf in Antarctica. Its sixth building, opened in 2013, consists of 8 modules on legs with skis. In 2017 tractors towed the modules 23 km inland, because a crack was growing in the ice. Temperatures fall to minus 55 °C. In winter the station now stands empty.",
        (
            "On Antarctica's Brunt Ice Shelf stands Halley, a research station of the British. The sixth building, which consists of 8 modules whose legs end in skis, was opened in 2013. Because of a growing crack in the ice, the modules were towed 23 km inland by tractors in 2017. It gets as cold as minus 55 °C. Nobody stays at the station in winter now.",
            "| Halley station | |\n|---|---|\n| Purpose | British research station |\n| Place | Brunt Ice Shelf, Antarctica |\n| Sixth building | opened in 2013; 8 modules on legs with skis |\n| Move | in 2017 tractors towed the modules 23 km inland |\n| Reason for the move | a crack that was growing in the ice |\n| Cold | temperatures down to minus 55 °C |\n| Winter | the station is now empty |",
        ),
        (
            ("sentence dropped", 0, " Nobody stays at the station in winter now.", ""),
            (
                "numbers swapped",
                1,
                "8 modules on legs with skis |\n| Move | in 2017 tractors towed the modules 23 km inland",
                "23 modules on legs with skis |\n| Move | in 2017 tractors towed the modules 8 km inland",
            ),
            ("number changed", 0, "minus 55 °C", "minus 35 °C"),
        ),
    ),
    Case(
        "F",
        "Phosphorus",
        "Hennig Brand, a merchant of Hamburg, discovered phosphorus in 1669 while he boiled urine. He sold the secret to Johann Daniel Kraft. White phosphorus ignites at 34 °C and is kept under water. Red phosphorus is less poisonous than white, and is used on the striking surface of matchboxes.",
        (
            "Phosphorus was discovered in 1669 by the Hamburg merchant Hennig Brand as he was boiling urine, and Johann Daniel Kraft bought the secret from him. White phosphorus, which catches fire at 34 °C, is stored under water. Red phosphorus, used on the striking surface of matchboxes, is less poisonous than the white kind.",
            "Notes: phosphorus\n- discovered in 1669 by Hennig Brand, a merchant of Hamburg, while boiling urine\n- Hennig Brand sold the secret to Johann Daniel Kraft\n- white: ignites at 34 °C, kept under water\n- red: not as poisonous as white; used on the striking surface of matchboxes",
        ),
        (
            (
                "names swapped",
                1,
                "- Hennig Brand sold the secret to Johann Daniel Kraft",
                "- Johann Daniel Kraft sold the secret to Hennig Brand",
            ),
            ("turned", 0, "is less poisonous than the white kind", "is more poisonous than the white kind"),
            ("unit changed", 1, "34 °C", "34 °F"),
        ),
    ),
    Case(
        "F",
        "Theremin",
        "The theremin is an instrument that is played without touching it. Leon Theremin built it in Petrograd in 1920. One hand near the vertical antenna sets the pitch, the other near the loop sets the loudness. Clara Rockmore, a former violinist, was its best known player. Theremin sold the American rights to the company RCA.",
        (
            "Nobody touches the theremin, an instrument built by Leon Theremin in Petrograd in 1920, while playing it. The pitch is set by one hand near the vertical antenna, and the loudness by the other one near the loop. Its most famous player, Clara Rockmore, had been a violinist before. The company RCA bought the American rights from Theremin.",
            "Q: How is the theremin played?\nA: It is an instrument that one plays without touching. One hand, near the vertical antenna, sets the pitch, and the other, near the loop, sets the loudness.\nQ: Who built it?\nA: Leon Theremin did, in 1920, in Petrograd.\nQ: Who was its best known player?\nA: Clara Rockmore, who used to be a violinist.\nQ: What became of the American rights?\nA: Theremin sold them to a company, RCA.",
        ),
        (
            (
                "fact invented",
                1,
                "used to be a violinist.",
                "used to be a violinist. Her bones had been weakened by hunger in childhood.",
            ),
            ("name replaced", 0, "The company RCA", "The company Philips"),
            ("word replaced", 1, "who used to be a violinist", "who used to be a pianist"),
        ),
    ),
    Case(
        "F",
        "Statute of Anne",
        "The Statute of Anne was the first law on copyright in Great Britain and came into force on 10 April 1710. New books were protected for 14 years, and older ones for 21 years. A living author could renew the right once. Publishers had to give 9 copies to libraries. The law did not apply to music or pictures.",
        (
            "Great Britain's first copyright law, the Statute of Anne, was in force from 10 April 1710. It protected a new book for 14 years and an older one for 21 years, and the right could be renewed once if the author was alive. Libraries had to be given 9 copies by the publishers. Neither pictures nor music came under the law.",
            "Student: What was the Statute of Anne?\nTeacher: It was the first law on copyright in Great Britain.\nStudent: When did it start?\nTeacher: It came into force on 10 April 1710.\nStudent: How long did it protect books?\nTeacher: New ones for 14 years, older ones for 21 years.\nStudent: Could the right be renewed?\nTeacher: Yes, once, by an author who was still living.\nStudent: What did publishers have to do?\nTeacher: They had to give libraries 9 copies.\nStudent: Did it cover music?\nTeacher: No, it applied neither to music nor to pictures.",
        ),
        (
            ("date moved", 0, "10 April 1710", "10 October 1710"),
            (
                "sentence dropped",
                1,
                "\nStudent: What did publishers have to do?\nTeacher: They had to give libraries 9 copies.",
                "",
            ),
            (
                "numbers swapped",
                1,
                "New ones for 14 years, older ones for 21 years",
                "New ones for 21 years, older ones for 14 years",
            ),
        ),
    ),
    Case(
        "F",
        "Four colour theorem",
        "The four colour theorem says that four colours are enough for any map on a plane. Francis Guthrie posed the question in 1852, and Alfred Kempe gave a proof in 1879. Percy Heawood found the mistake in it 11 years later. In 1976 Kenneth Appel and Wolfgang Haken proved the theorem with a computer, which checked 1,834 cases.",
        (
            "For any map on a plane, four colours suffice: this is what the four colour theorem states. The question was raised in 1852 by Francis Guthrie. Alfred Kempe's proof came in 1879, and 11 years after that its mistake was found by Percy Heawood. Wolfgang Haken and Kenneth Appel proved the theorem in 1976 by means of a computer that checked 1,834 cases.",
            "| Four colour theorem | |\n|---|---|\n| Claim | four colours are enough for any map on a plane |\n| 1852 | Francis Guthrie posed the question |\n| 1879 | Alfred Kempe gave a proof |\n| 11 years later | Percy Heawood found the mistake in that proof |\n| 1976 | Kenneth Appel and Wolfgang Haken proved the theorem with a computer |\n| Cases checked by the computer | 1,834 |",
        ),
        (
            ("number changed", 1, "| 1,834 |", "| 1,384 |"),
            (
                "names swapped",
                0,
                "Alfred Kempe's proof came in 1879, and 11 years after that its mistake was found by Percy Heawood",
                "Percy Heawood's proof came in 1879, and 11 years after that its mistake was found by Alfred Kempe",
            ),
            ("turned", 1, "four colours are enough", "four colours are not enough"),
        ),
    ),
    Case(
        "F",
        "Lake Vostok",
        "Lake Vostok lies under 4 km of ice in East Antarctica, beneath a Russian station. It is about 250 km long, and its water stays liquid because of the pressure and of heat from below. Andrey Kapitsa suspected the lake in 1959. A drill reached its surface on 5 February 2012. The water contains much more oxygen than other lakes.",
        (
            "Beneath a Russian station in East Antarctica, covered by 4 km of ice, lies Lake Vostok. Its length is around 250 km. Pressure and heat that comes from below keep the water liquid, and it holds far more oxygen than that of other lakes. In 1959 Andrey Kapitsa suspected that the lake was there, and on 5 February 2012 its surface was reached by a drill.",
            "Notes: Lake Vostok\n- under a Russian station in East Antarctica, beneath 4 km of ice\n- roughly 250 km long\n- liquid thanks to pressure and to heat from below\n- suspected by Andrey Kapitsa in 1959\n- surface reached by a drill on 5 February 2012\n- much more oxygen in the water than in other lakes",
        ),
        (
            ("unit changed", 1, "beneath 4 km of ice", "beneath 4 m of ice"),
            ("fact invented", 1, "on 5 February 2012", "on 5 February 2012 by a crew of forty men"),
            ("name replaced", 0, "In 1959 Andrey Kapitsa", "In 1959 Igor Zotikov"),
        ),
    ),
    Case(
        "F",
        "James Lind's trial",
        "James Lind, a surgeon of the Royal Navy, tested cures for scurvy on the ship Salisbury on 20 May 1747. He divided 12 sick sailors into six pairs. Each pair got something else, such as cider, vinegar, sea water or two oranges and a lemon a day. Only the sailors who ate fruit recovered within a week. The navy did not issue lemon juice until 1795.",
        (
            "Cures for scurvy were tested on the ship Salisbury on 20 May 1747 by James Lind, who was a surgeon in the Royal Navy. He had 12 sick sailors, whom he split into six pairs. Every pair was given something different, among them vinegar, cider, sea water, or a lemon and two oranges a day. Nobody but the fruit eaters recovered within a week. It took until 1795 before the navy issued lemon juice.",
            "Q: Who was James Lind?\nA: A surgeon of the Royal Navy.\nQ: What did he do on 20 May 1747?\nA: On board the Salisbury he tested cures for scurvy.\nQ: How?\nA: He divided 12 sick sailors into six pairs and gave each pair something else, such as cider, vinegar, sea water or two oranges and a lemon a day.\nQ: What came of it?\nA: Within a week only those sailors recovered who ate fruit.\nQ: When did the navy issue lemon juice?\nA: Not until 1795.",
        ),
        (
            ("word replaced", 0, "among them vinegar", "among them mustard"),
            ("date moved", 1, "Not until 1795", "Not until 1759"),
            ("sentence dropped", 0, " Nobody but the fruit eaters recovered within a week.", ""),
        ),
    ),
    Case(
        "F",
        "Port of Rotterdam",
        "The port of Rotterdam stretches 42 km along the Nieuwe Maas and is the largest in Europe. It overtook Antwerp long ago, and was the busiest port of the world from 1962 until 2004. Then Singapore took its place, and later Shanghai. About 30,000 sea ships and 100,000 barges call each year. The newest part, Maasvlakte 2, was made from sand out of the North Sea.",
        (
            "Europe's largest port, that of Rotterdam, reaches for 42 km along the Nieuwe Maas. Antwerp was overtaken by it long ago. Between 1962 and 2004 no port in the world was busier, but then its place was taken by Singapore and later by Shanghai. Each year 100,000 barges and 30,000 sea ships, roughly, call there. For its newest part, Maasvlakte 2, sand from the North Sea was used.",
            "Student: How large is the port of Rotterdam?\nTeacher: It is the largest in Europe and stretches 42 km along the Nieuwe Maas. Long ago Rotterdam overtook Antwerp.\nStudent: Was it the busiest of the world?\nTeacher: Yes, from 1962 until 2004. First Singapore and later Shanghai took its place.\nStudent: How many ships call?\nTeacher: About 30,000 sea ships and 100,000 barges a year.\nStudent: What is the newest part?\nTeacher: Maasvlakte 2, which was made from North Sea sand.",
        ),
        (
            ("numbers swapped", 0, "100,000 barges and 30,000 sea ships", "30,000 barges and 100,000 sea ships"),
            ("number changed", 1, "42 km along", "24 km along"),
            ("names swapped", 1, "Long ago Rotterdam overtook Antwerp.", "Long ago Antwerp overtook Rotterdam."),
        ),
    ),
    Case(
        "F",
        "Arctic tern",
        "The Arctic tern breeds in the far north and spends the northern winter near Antarctica. It weighs about 100 g and has a wingspan of 80 cm. One bird from the Farne Islands flew 96,000 km in a single year. It catches small fish by diving, and parents attack people who come near the nest. Its chicks leave the nest after 24 days.",
        (
            "Breeding in the far north, the Arctic tern passes the northern winter close to Antarctica. Its weight is about 100 g, and its wings span 80 cm. In just one year a bird of the Farne Islands covered 96,000 km. Small fish are caught by diving. People who approach the nest are attacked by the parents, and the chicks leave it after 24 days.",
            "| Arctic tern | |\n|---|---|\n| Breeds | in the far north |\n| Northern winter | near Antarctica |\n| Weight | about 100 g |\n| Wingspan | 80 cm |\n| One bird from the Farne Islands | flew 96,000 km in a single year |\n| Food | small fish, caught by diving |\n| Defence | parents attack people who come near the nest |\n| Chicks | leave the nest after 24 days |",
        ),
        (
            (
                "turned",
                0,
                "People who approach the nest are attacked by the parents",
                "People who approach the nest attack the parents",
            ),
            ("unit changed", 1, "about 100 g |", "about 100 oz |"),
            ("fact invented", 0, "caught by diving.", "caught by diving, mostly at dawn."),
        ),
    ),
    Case(
        "F",
        "Sewing machine",
        "Elias Howe of Massachusetts patented a sewing machine on 10 September 1846. Its needle had the eye near the point, and it made 250 stitches a minute. Isaac Singer built a similar machine with a foot pedal in 1851. Howe sued him, won, and received a fee for each machine that Singer sold. In Paris tailors had wrecked the machines of Barthélemy Thimonnier, fearing for their work.",
        (
            "A sewing machine that made 250 stitches a minute with a needle whose eye was near the point was patented on 10 September 1846 by Elias Howe of Massachusetts. In 1851 Isaac Singer made a similar one, which had a foot pedal. He was sued by Howe, who won and got a fee for every machine sold by Singer. Barthélemy Thimonnier's machines had been wrecked by Paris tailors who feared for their work.",
            "Notes: the sewing machine\n- Elias Howe, Massachusetts: patent of 10 September 1846\n- his needle: eye near the point; his machine: 250 stitches a minute\n- Isaac Singer, 1851: similar machine, with a foot pedal\n- Howe sued Singer, won, and received a fee for each machine Singer sold\n- Barthélemy Thimonnier: his machines had been wrecked in Paris by tailors who were afraid for their work",
        ),
        (
            ("name replaced", 0, "Barthélemy Thimonnier's machines", "Allen Wilson's machines"),
            ("word replaced", 1, "by tailors who", "by weavers who"),
            ("date moved", 1, "10 September 1846", "12 September 1846"),
        ),
    ),
    Case(
        "F",
        "Hyperinflation in Hungary",
        "Hungary went through the worst hyperinflation ever recorded after the Second World War. In July 1946 prices doubled every 15 hours. Wages were paid daily, since money lost its value overnight. The largest note in use was worth 100 quintillion pengő. On 1 August 1946 the forint replaced the pengő. Hungarian gold, which the Americans had kept safe, backed it.",
        (
            "No recorded hyperinflation was worse than the one Hungary went through after the Second World War. Every 15 hours, in July 1946, prices doubled. As money lost its value overnight, wages were paid each day. A note of 100 quintillion pengő was the largest in use. The pengő was replaced on 1 August 1946 by the forint, which was backed by Hungarian gold that the Americans had kept safe.",
            "Q: Which hyperinflation was the worst ever recorded?\nA: The one in Hungary after the Second World War.\nQ: How fast did prices rise?\nA: They doubled every 15 hours in July 1946.\nQ: How were wages paid?\nA: Daily, because money lost its value overnight.\nQ: What was the largest note in use?\nA: One that was worth 100 quintillion pengő.\nQ: How did it end?\nA: On 1 August 1946 the forint took the place of the pengő. It was backed by Hungarian gold, which had been kept safe by the Americans.",
        ),
        (
            ("sentence dropped", 1, "\nQ: How were wages paid?\nA: Daily, because money lost its value overnight.", ""),
            (
                "numbers swapped",
                0,
                "Every 15 hours, in July 1946, prices doubled. As money lost its value overnight, wages were paid each day. A note of 100 quintillion",
                "Every 100 hours, in July 1946, prices doubled. As money lost its value overnight, wages were paid each day. A note of 15 quintillion",
            ),
            ("number changed", 1, "every 15 hours", "every 5 hours"),
        ),
    ),
    Case(
        "F",
        "Race to the South Pole",
        "Roald Amundsen reached the South Pole on 14 December 1911, five weeks before Robert Scott. Amundsen relied on dogs and skis, Scott on ponies, motor sledges and men who pulled. Amundsen's men all came home. Scott and his four companions died on the way back, the last of them 18 km from a depot. Their tent was found in November 1912.",
        (
            "On 14 December 1911, five weeks earlier than Robert Scott, Roald Amundsen arrived at the South Pole. While Scott relied on motor sledges, ponies and men who pulled, Amundsen used skis and dogs. All of Amundsen's men returned home. On their way back Scott and four companions died, and the last were only 18 km away from a depot. It was November 1912 when their tent was found.",
            "Student: Who reached the South Pole first?\nTeacher: Roald Amundsen, on 14 December 1911. Robert Scott came five weeks later.\nStudent: How did they travel?\nTeacher: Amundsen relied on dogs and skis, whereas Scott had ponies, motor sledges and men who pulled.\nStudent: Did they come home?\nTeacher: All of Amundsen's men did. Scott died on the way back with his four companions, the last of them 18 km from a depot.\nStudent: When was their tent found?\nTeacher: In November 1912.",
        ),
        (
            (
                "names swapped",
                1,
                "Amundsen relied on dogs and skis, whereas Scott had",
                "Scott relied on dogs and skis, whereas Amundsen had",
            ),
            ("turned", 0, "five weeks earlier than Robert Scott", "five weeks later than Robert Scott"),
            ("unit changed", 1, "18 km from", "18 miles from"),
        ),
    ),
    Case(
        "F",
        "Cork oak",
        "The cork oak grows around the western Mediterranean, and Portugal yields half of the world's cork. The bark is cut off with an axe for the first time when the tree is 25 years old, and after that every nine years. The tree is not felled and may live for 200 years. Most cork becomes stoppers for wine bottles; the rest goes into floors and shoes.",
        (
            "Half of the cork of the world comes from Portugal, though the cork oak grows all around the western Mediterranean. When a tree is 25 years of age, its bark is cut off for the first time, with an axe; then this is done every nine years. The tree, which can live 200 years, isn't felled. Stoppers for wine bottles are what most cork is turned into, and floors and shoes take the rest.",
            "| The cork oak | |\n|---|---|\n| Where it grows | around the western Mediterranean |\n| Largest yield | Portugal, half of the world's cork |\n| First cutting of the bark | when the tree is 25 years old |\n| Later cuttings | every nine years |\n| Tool | axe |\n| Felled? | no; the tree may live for 200 years |\n| Use of most cork | stoppers for wine bottles |\n| Use of the rest | floors and shoes |",
        ),
        (
            (
                "fact invented",
                1,
                "| Tool | axe |",
                "| Tool | axe |\n| Workers | paid by the day, among the best paid on farms |",
            ),
            ("name replaced", 0, "comes from Portugal", "comes from Sardinia"),
            ("word replaced", 1, "| axe |", "| saw |"),
        ),
    ),
    Case(
        "F",
        "Loving v. Virginia",
        "Richard and Mildred Loving married in Washington in June 1958. He was white and she was not, and Virginia forbade such marriages. A judge sentenced them to one year in prison, but let them go if they stayed out of the state for 25 years. On 12 June 1967 the Supreme Court decided for the couple by 9 votes to 0. At that time 16 states had such laws.",
        (
            "In June 1958 Mildred and Richard Loving got married in Washington. Since he was white and she was not, theirs was a marriage that Virginia forbade. They were sentenced by a judge to one year in prison, but could go if for 25 years they stayed out of the state. By 9 votes to 0 the Supreme Court decided for the couple on 12 June 1967. There were 16 states that had laws like this at the time.",
            "Notes: Loving v. Virginia\n- June 1958: Richard and Mildred Loving marry in Washington\n- he is white, she is not; Virginia forbids such marriages\n- sentence of the judge: one year in prison, or 25 years out of the state\n- 12 June 1967: the Supreme Court decides for the couple, 9 votes to 0\n- states with such laws at that time: 16",
        ),
        (
            ("date moved", 1, "- June 1958:", "- May 1958:"),
            ("sentence dropped", 0, " There were 16 states that had laws like this at the time.", ""),
            (
                "numbers swapped",
                1,
                "25 years out of the state\n- 12 June 1967: the Supreme Court decides for the couple, 9 votes to 0\n- states with such laws at that time: 16",
                "16 years out of the state\n- 12 June 1967: the Supreme Court decides for the couple, 9 votes to 0\n- states with such laws at that time: 25",
            ),
        ),
    ),
    Case(
        "F",
        "Insulin",
        "Frederick Banting and Charles Best isolated insulin at Toronto in the summer of 1921, in a laboratory lent by John Macleod. James Collip made the extract purer. The first patient was Leonard Thompson, a boy of 14, on 11 January 1922. Banting and Macleod received the Nobel Prize in 1923. Banting gave half of his money to Best. The patent was sold to the university for 1 dollar.",
        (
            "In the summer of 1921 insulin was isolated at Toronto. This was done by Charles Best and Frederick Banting, to whom John Macleod lent a laboratory, while James Collip purified the extract. Leonard Thompson, who was 14, became the first patient on 11 January 1922. The Nobel Prize of 1923 went to Macleod and Banting, and half of Banting's money was given by him to Best. For 1 dollar the university bought the patent.",
            "Q: Who isolated insulin?\nA: Frederick Banting and Charles Best did, at Toronto, in the summer of 1921.\nQ: Who helped them?\nA: John Macleod lent a laboratory, and James Collip made the extract purer.\nQ: Who was the first patient?\nA: On 11 January 1922 it was Leonard Thompson, a boy aged 14.\nQ: Who received the Nobel Prize?\nA: Banting and Macleod, in 1923. Banting gave half his money to Best.\nQ: What about the patent?\nA: It was sold to the university for 1 dollar.",
        ),
        (
            ("number changed", 0, "who was 14,", "who was 24,"),
            (
                "names swapped",
                1,
                "John Macleod lent a laboratory, and James Collip made",
                "James Collip lent a laboratory, and John Macleod made",
            ),
            ("turned", 1, "Banting gave half his money to Best.", "Banting was given half his money by Best."),
        ),
    ),
    Case(
        "F",
        "Falkirk Wheel",
        "The Falkirk Wheel lifts boats between two Scottish canals, the Union Canal and the Forth and Clyde Canal, by 24 m. Queen Elizabeth opened it on 24 May 2002. It replaced 11 locks, which had been dismantled in 1933. Half a turn takes about 5 minutes and uses only 1.5 kWh, because the two gondolas always weigh the same.",
        (
            "Between the Forth and Clyde Canal and the Union Canal, both in Scotland, boats are lifted 24 m by the Falkirk Wheel. It took the place of 11 locks that had been dismantled in 1933, and was opened by Queen Elizabeth on 24 May 2002. As its two gondolas are always equal in weight, half a turn, which lasts some 5 minutes, uses no more than 1.5 kWh.",
            "Student: What does the Falkirk Wheel do?\nTeacher: It lifts boats by 24 m between two canals in Scotland.\nStudent: Which ones?\nTeacher: The Union Canal and the Forth and Clyde Canal.\nStudent: When was it opened?\nTeacher: Queen Elizabeth opened it on 24 May 2002.\nStudent: What was there before?\nTeacher: It replaced 11 locks; they had been dismantled in 1933.\nStudent: Does it need much power?\nTeacher: Half a turn takes around 5 minutes and needs just 1.5 kWh, since the two gondolas always weigh the same.",
        ),
        (
            ("unit changed", 0, "some 5 minutes", "some 5 hours"),
            (
                "fact invented",
                1,
                "opened it on 24 May 2002.",
                "opened it on 24 May 2002, after vandals had flooded it.",
            ),
            ("name replaced", 1, "Queen Elizabeth opened", "Princess Anne opened"),
        ),
    ),
    Case(
        "F",
        "Amália Rodrigues",
        "Amália Rodrigues was the most famous singer of fado. She grew up poor in Lisbon, where she sold fruit at the harbour. Her first recordings were made in Brazil in 1945. She wore black and stood in front of the guitar players, not beside them as was the custom. She died on 6 October 1999, and the government declared three days of mourning.",
        (
            "Fado had no singer more famous than Amália Rodrigues. In Lisbon, where she grew up in poverty, she used to sell fruit at the harbour. It was in Brazil, in 1945, that she made her first recordings. Dressed in black, she stood in front of the guitar players, although the custom was to stand beside them. After her death on 6 October 1999 three days of mourning were declared by the government.",
            "| Amália Rodrigues | |\n|---|---|\n| Known as | the most famous singer of fado |\n| Childhood | grew up poor in Lisbon |\n| Early work | sold fruit at the harbour |\n| First recordings | Brazil, 1945 |\n| On the stage | wore black; stood in front of the guitar players, not beside them, as the custom was |\n| Death | 6 October 1999 |\n| Mourning | three days, declared by the government |",
        ),
        (
            ("word replaced", 0, "to sell fruit at", "to sell fish at"),
            ("date moved", 1, "| 6 October 1999 |", "| 6 October 1989 |"),
            ("sentence dropped", 1, "\n| First recordings | Brazil, 1945 |", ""),
        ),
    ),
    Case(
        "F",
        "Git",
        "Linus Torvalds began to write Git on 3 April 2005, after the company BitMover had withdrawn the free licence of BitKeeper. Four days later Git could store its own source. Junio Hamano has maintained it since July 2005. Commits were named by SHA-1 hashes of 160 bits. Matt Mackall started Mercurial for the same reason in the same month, but the kernel developers chose Git.",
        (
            "After BitKeeper's free licence had been withdrawn by the company BitMover, Linus Torvalds started writing Git on 3 April 2005. It took four days until Git was able to store its own source. Since July 2005 its maintainer has been Junio Hamano. The names of commits were SHA-1 hashes of 160 bits. In the same month and for the same reason Mercurial was begun by Matt Mackall, but it was Git that the kernel developers chose.",
            "Notes: Git\n- begun by Linus Torvalds on 3 April 2005\n- reason: the company BitMover had withdrawn the free licence of BitKeeper\n- could store its own source four days later\n- maintained by Junio Hamano since July 2005\n- commits named by SHA-1 hashes of 160 bits\n- Mercurial: started by Matt Mackall in the same month, for the same reason; the kernel developers chose Git, however",
        ),
        (
            (
                "numbers swapped",
                1,
                "on 3 April 2005\n- reason: the company BitMover had withdrawn the free licence of BitKeeper\n- could store its own source four days",
                "on 4 April 2005\n- reason: the company BitMover had withdrawn the free licence of BitKeeper\n- could store its own source three days",
            ),
            ("number changed", 0, "160 bits", "128 bits"),
            (
                "names swapped",
                0,
                "Mercurial was begun by Matt Mackall, but it was Git that",
                "Git was begun by Matt Mackall, but it was Mercurial that",
            ),
        ),
    ),
    Case(
        "F",
        "Gallium",
        "Gallium is a soft, silvery metal that melts at 29.8 °C, so a piece of it turns liquid in the hand. Dmitri Mendeleev had predicted it before Paul-Émile Lecoq de Boisbaudran found it in 1875. Liquid gallium is denser than solid gallium and must not be kept in glass, which would break. It is a by-product of aluminium. About 300 tonnes are made each year.",
        (
            "A soft metal of silvery colour, gallium has its melting point at 29.8 °C, and therefore becomes liquid in one's hand. It was found in 1875 by Paul-Émile Lecoq de Boisbaudran, after Dmitri Mendeleev had predicted it. One must not keep gallium in glass, as this would break; the liquid is denser than the solid. Every year about 300 tonnes of it are made, as a by-product of aluminium.",
            "Q: What is gallium?\nA: A soft, silvery metal.\nQ: Why does it turn liquid in the hand?\nA: Because it melts at 29.8 °C.\nQ: Who found it?\nA: Paul-Émile Lecoq de Boisbaudran, in 1875; Dmitri Mendeleev had predicted it earlier.\nQ: May it be kept in glass?\nA: No, the glass would break. Liquid gallium is denser than solid gallium.\nQ: How is it made?\nA: As a by-product of aluminium, about 300 tonnes each year.",
        ),
        (
            ("turned", 0, "the liquid is denser than the solid", "the solid is denser than the liquid"),
            ("unit changed", 0, "about 300 tonnes", "about 300 kilograms"),
            ("fact invented", 1, "A soft, silvery metal.", "A soft, silvery metal with a faint smell of garlic."),
        ),
    ),
    Case(
        "F",
        "Republic of Ragusa",
        "The Republic of Ragusa had its seat in Dubrovnik. Its rector was elected for one month only, and could not leave the palace without permission of the senate. On 27 January 1416 Ragusa banned the slave trade. It paid tribute to the Ottoman sultan, yet its merchants traded with Spain. An earthquake killed 3,000 people in 1667. Marshal Marmont abolished the republic in 1808.",
        (
            "Dubrovnik was the seat of the Republic of Ragusa. A rector was elected for no more than one month, during which he could leave the palace only if the senate permitted it. The slave trade was banned on 27 January 1416. Though tribute was paid to the Ottoman sultan, the merchants of Ragusa did trade with Spain. In 1667 an earthquake took the lives of 3,000 people, and in 1808 the republic was abolished by Marshal Marmont.",
            "Student: Where did the Republic of Ragusa have its seat?\nTeacher: In Dubrovnik.\nStudent: What was its rector allowed to do?\nTeacher: He was elected for one month only, and could not leave the palace unless the senate gave permission.\nStudent: When was the slave trade banned?\nTeacher: On 27 January 1416.\nStudent: Whom did Ragusa deal with?\nTeacher: It paid tribute to the Ottoman sultan, but its merchants traded with Spain.\nStudent: What happened later?\nTeacher: In 1667 an earthquake killed 3,000 people, and Marshal Marmont abolished the republic in 1808.",
        ),
        (
            ("name replaced", 1, "merchants traded with Spain", "merchants traded with Genoa"),
            ("word replaced", 0, "an earthquake took", "a flood took"),
            ("date moved", 0, "in 1808 the", "in 1806 the"),
        ),
    ),
    Case(
        "F",
        "Common swift",
        "The common swift spends up to 10 months in the air without landing. It eats, drinks, mates and even sleeps on the wing. Adults weigh about 40 g and reach 110 km/h. Swifts arrive in Europe in May and leave for Africa by August. A pair lays two or three eggs under a roof. When food is short, the young can survive for days without being fed.",
        (
            "For as many as 10 months the common swift stays in the air and doesn't land. On the wing it drinks, eats, mates and even sleeps. An adult bird, whose weight is about 40 g, gets as fast as 110 km/h. May is the month when swifts come to Europe, and by August they leave for Africa. Under a roof, two or three eggs are laid by a pair. The young can do without being fed for days if food is short.",
            "| The common swift | |\n|---|---|\n| Time in the air without landing | up to 10 months |\n| Done on the wing | eating, drinking, mating and even sleeping |\n| Weight of adults | about 40 g |\n| Speed | up to 110 km/h |\n| Arrival in Europe | May |\n| Departure for Africa | by August |\n| Eggs of a pair | two or three, under a roof |\n| Young | can survive for days without being fed when food is short |",
        ),
        (
            ("sentence dropped", 0, " Under a roof, two or three eggs are laid by a pair.", ""),
            (
                "numbers swapped",
                1,
                "| about 40 g |\n| Speed | up to 110 km/h |",
                "| about 110 g |\n| Speed | up to 40 km/h |",
            ),
            ("number changed", 1, "up to 10 months", "up to 6 months"),
        ),
    ),
    Case(
        "F",
        "Cutty Sark",
        "The clipper Cutty Sark was launched at Dumbarton on 22 November 1869 for John Willis. In 1872 she raced Thermopylae from Shanghai to London with tea. She led by 400 nautical miles when she lost her rudder, and so came in seven days after Thermopylae. Later she carried wool from Australia. Since 1954 she has lain in a dry dock at Greenwich, where a fire damaged her in 2007.",
        (
            "On 22 November 1869 the clipper Cutty Sark was launched for John Willis at Dumbarton. Carrying tea, she raced from Shanghai to London against Thermopylae in 1872. Her lead was 400 nautical miles when her rudder was lost. Because of that, Cutty Sark came in seven days after Thermopylae. Wool from Australia was her later cargo. A dry dock at Greenwich has been her place since 1954, and in 2007 she was damaged there by a fire.",
            "Notes: Cutty Sark\n- clipper, launched at Dumbarton on 22 November 1869, for John Willis\n- 1872: race with tea against Thermopylae, from Shanghai to London\n- she lost her rudder when leading by 400 nautical miles, so she came in seven days after Thermopylae\n- later: wool from Australia\n- in a dry dock at Greenwich since 1954; damaged there by a fire in 2007",
        ),
        (
            (
                "names swapped",
                0,
                "Cutty Sark came in seven days after Thermopylae",
                "Thermopylae came in seven days after Cutty Sark",
            ),
            ("turned", 1, "from Shanghai to London", "from London to Shanghai"),
            ("unit changed", 1, "400 nautical miles", "400 metres"),
        ),
    ),
    Case(
        "F",
        "Tulip mania",
        "Tulips reached Holland from Turkey, and Carolus Clusius planted them at Leiden in 1593. Those with striped petals were the dearest; a virus caused the stripes. In the winter of 1636 people traded bulbs that were still in the ground. In Haarlem an auction failed in February 1637, and prices collapsed. One bulb had cost 5,200 guilders, more than a house. Few traders were ruined.",
        (
            "It was Carolus Clusius who, at Leiden in 1593, planted tulips, which had reached Holland from Turkey. The dearest had striped petals, and these stripes were caused by a virus. Bulbs still in the ground were traded in the winter of 1636. Then, in February 1637, an auction at Haarlem failed and prices collapsed. A bulb had cost as much as 5,200 guilders, which was more than a house. Not many of the traders were ruined.",
            "Q: How did tulips come to Holland?\nA: From Turkey; Carolus Clusius planted them at Leiden in 1593.\nQ: Which were the dearest?\nA: Those whose petals had stripes, which a virus caused.\nQ: What was traded in the winter of 1636?\nA: Bulbs that were still in the ground.\nQ: When did prices collapse?\nA: In February 1637, when an auction failed in Haarlem.\nQ: How much had a bulb cost?\nA: One had cost 5,200 guilders, more than a house.\nQ: Were the traders ruined?\nA: Only a few were.",
        ),
        (
            ("fact invented", 0, "prices collapsed.", "prices collapsed. The courts then declared all contracts void."),
            ("name replaced", 1, "failed in Haarlem", "failed in Utrecht"),
            ("word replaced", 0, "caused by a virus", "caused by a mite"),
        ),
    ),
    Case(
        "F",
        "Longest tennis match",
        "John Isner beat Nicolas Mahut at Wimbledon on 24 June 2010 in the longest tennis match ever. It lasted 11 hours and 5 minutes, spread over three days. The last set ended 70 to 68, and in it the scoreboard stopped working. Isner hit 113 aces, Mahut 103. Mohamed Lahyani was the umpire and never left his chair during a set. In the next round Isner lost in 74 minutes.",
        (
            "No tennis match has ever been longer than the one at Wimbledon in which Nicolas Mahut was beaten on 24 June 2010 by John Isner. Spread over three days, it took 11 hours and 5 minutes. During the last set, which ended 70 to 68, the scoreboard ceased to work. Mahut hit 103 aces and Isner 113. The umpire, Mohamed Lahyani, did not leave his chair during any set. Isner was beaten in the next round within 74 minutes.",
            "Student: Which tennis match was the longest ever?\nTeacher: The one at Wimbledon that John Isner won against Nicolas Mahut on 24 June 2010.\nStudent: How long did it take?\nTeacher: 11 hours and 5 minutes, over three days. The last set ended 70 to 68, and the scoreboard stopped working in it.\nStudent: Who hit more aces?\nTeacher: Isner hit 113 and Mahut 103.\nStudent: Who was the umpire?\nTeacher: Mohamed Lahyani, who never left his chair during a set.\nStudent: How did Isner do in the next round?\nTeacher: He lost in 74 minutes.",
        ),
        (
            ("date moved", 0, "24 June 2010", "14 June 2010"),
            ("sentence dropped", 1, " The last set ended 70 to 68, and the scoreboard stopped working in it.", ""),
            ("numbers swapped", 0, "Mahut hit 103 aces and Isner 113.", "Mahut hit 113 aces and Isner 103."),
        ),
    ),
)
