"""What defines and names what in a repository's files."""

from agents.coding.code_map import CodeMap

FILES = {
    "shelf/top.py": b"""from shelf.low import Cupboard, scale

LIMITS = {"high": 3}


def measure(things):
    \"\"\"Of all things.\"\"\"
    return scale(len(things))


def detour(things):
    return measure(things)
""",
    "shelf/low.py": b"""def scale(number):
    def doubled():
        return 2 * number
    return doubled()


class Cupboard:
    size = 3

    def room(self):
        return self.inner()

    def inner(self):
        return hidden()


def hidden():
    return 1
""",
    "shelf/old.py": b"print 'no Python of today'\n",
}


def names(way: object) -> list[str]:
    return [one.name for one in way] if isinstance(way, list) else []


def test_the_innermost_function_is_found_with_its_lines() -> None:
    code = CodeMap(FILES, sorted(FILES))
    assert {one.name for one in code.definitions if one.kind == "value"} == {"LIMITS", "size"}
    doubled = code.at("shelf/low.py", 3)
    assert doubled is not None and (doubled.name, doubled.first, doubled.last, doubled.body) == ("doubled", 2, 3, 3)
    measure = code.at("shelf/top.py", 8)
    assert measure is not None and (measure.parameters, measure.body) == (("things",), 8)
    assert code.at("shelf/top.py", 1) is None


def test_a_way_goes_from_name_to_name() -> None:
    code = CodeMap(FILES, sorted(FILES))
    doubled, hidden = code.by_name["doubled"][0], code.by_name["hidden"][0]
    assert names(code.way(["detour", "measure"], doubled)) == ["measure", "scale", "doubled"]
    assert names(code.way(["detour"], doubled)) == ["detour", "measure", "scale", "doubled"]
    assert names(code.way(["Cupboard"], hidden)) == ["Cupboard", "inner", "hidden"], "a class shows its methods"
    assert code.way(["LIMITS", "nothing"], hidden) is None
