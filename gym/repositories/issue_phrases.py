"""Wording of issues: what users of a library write around a call, what it gives and what it should give.

{f} is what is called, {p} the project, {e} the exception that comes, {w} the one that should, {call} the expression,
{got} and {want} its values as they are printed. Nothing here says more than one run of the call shows.
"""

PREFIXES = ("", "", "", "", "", "[bug] ", "Bug: ", "{p}: ", "{f}: ")
TITLES = {
    "wrong": (
        "wrong result from {f}",
        "{f} gives a wrong result",
        "{f} returns something else than expected",
        "unexpected return value of {f}",
        "incorrect output of {f}",
        "{f} does not return what it should",
        "{f}: result is off",
        "{f} misbehaves",
        "result of {f} is not what I expect",
        "odd result from {f}",
        "{f} gets a simple case wrong",
        "question about the result of {f}",
    ),
    "crash": (
        "{f} raises {e}",
        "{e} from {f}",
        "{f} fails with {e}",
        "unexpected {e} when calling {f}",
        "{e} where a result was expected",
        "{f} ends in {e}",
        "cannot call {f}: {e}",
        "{e} in a simple call of {f}",
        "{f} crashes",
        "exception instead of a result from {f}",
    ),
    "silent": (
        "{f} does not raise {w}",
        "missing {w} from {f}",
        "{f} accepts what it should refuse",
        "no {w} from {f}",
        "{f} lets a bad call pass",
        "{w} is not raised",
        "expected {w} from {f}, got a value",
        "{f} should raise {w} here",
    ),
    "other": (
        "{f} raises {e} instead of {w}",
        "wrong exception from {f}",
        "expected {w} from {f}, got {e}",
        "{e} where {w} is due",
        "{f}: {e} instead of {w}",
        "can't catch {w} from {f}, it raises {e}",
    ),
    "message": (
        "wrong message in the {e} of {f}",
        "text of {e} from {f} is off",
        "{f}: error message is not right",
        "{e} says something odd",
    ),
    "endless": (
        "{f} never returns",
        "{f} hangs",
        "call of {f} does not come back",
        "endless loop with {f}",
        "{f} keeps the processor busy and gives nothing",
    ),
}
GREETINGS = ("", "", "", "", "", "Hi,", "Hello,", "Hi all,", "Thanks for {p}.", "Hi, thanks for working on {p}.")
CONTEXTS = (
    "",
    "",
    "",
    "I ran into this while using {p} in a script.",
    "I came across this today.",
    "I have been trying {p} out and found this.",
    "I noticed this while going through the functions of {p}.",
    "This surprised me.",
    "I think this is a bug.",
    "Is this intended?",
    "I'm not sure whether I use it wrongly, but this looks like a bug.",
    "A colleague asked me about this and I can reproduce it.",
    "I could boil this down to a few lines.",
    "This came up in a code review.",
)
LEADS = {
    "": (
        "",
        "",
        "Minimal example:",
        "To reproduce:",
        "Here is what I do:",
        "Small example:",
        "What I ran:",
        "Example:",
    ),
    "setup": ("This is a complete script:", "Complete example:", "Everything that is needed:", "Short script:"),
}
CLOSINGS = (
    "",
    "",
    "",
    "",
    "Could someone have a look?",
    "I have not looked into the code.",
    "I don't know where in the code this comes from.",
    "Happy to test a fix.",
    "Thanks!",
    "Thanks for your help.",
    "Please tell me if you need anything else.",
    "Whatever the cause is, everything else should stay as it is.",
    "The tests should stay green, of course.",
    "A test for this would be good, too.",
    "Is there something that I overlook?",
)
SENTENCES = {
    "wrong": (
        "{call} gives {got}, but it should give {want}.",
        "{call} returns {got} instead of {want}.",
        "I get {got} from {call}; I would expect {want}.",
        "For {call} the right answer is {want}, but {got} comes back.",
        "Expected {want} from {call}, got {got}.",
        "{call} should be {want}, and it is {got}.",
        "When I evaluate {call}, I see {got}. It should be {want}.",
        "The value of {call} is {got}, not {want} as it should be.",
        "Instead of {want}, {call} produces {got}.",
    ),
    "crash": (
        "{call} ends in {got}. It should give {want}.",
        "Calling {call} raises {got}; I would expect {want}.",
        "{call} should give {want}, but it fails: {got}.",
        "Expected {want} from {call}, got an exception: {got}.",
        "I expected {want} when I evaluated {call}, and got {got}.",
        "Instead of {want}, {call} gives me {got}.",
        "{call} can't be evaluated ({got}). The result should be {want}.",
    ),
    "silent": (
        "{call} should raise {want}, but it gives {got}.",
        "{call} goes through and returns {got}; it should raise {want}.",
        "I expected {want} from {call}, but there is no exception, the value is {got}.",
        "No exception from {call}: it returns {got}. I would expect {want}.",
        "{want} should be raised by {call}. What I get is {got}.",
    ),
    "other": (
        "{call} should raise {want}, but what comes is {got}.",
        "I expected {want} from {call} and got {got}.",
        "{call} fails with {got}; the exception should be {want}.",
        "Instead of {want}, {call} raises {got}.",
    ),
    "endless": (
        "{call} does not come back. It should give {want}.",
        "{call} should give {want}, but it runs until I stop it.",
        "I waited for {call} and stopped it. The answer should be {want}.",
    ),
}
EXPECTED = {
    "value": (
        "Expected: {want}",
        "Should be: {want}",
        "I would expect {want}",
        "It should give {want}",
        "Expected {want}.",
    ),
    "error": ("It should raise {want}.", "Expected: {want}", "I would expect {want} here.", "{want} should be raised."),
}
ACTUAL = {
    "value": ("Actual: {got}", "What I get: {got}", "It gives {got}", "Got: {got}", "The result is {got}"),
    "error": ("What I get: {got}", "It raises {got}", "Actual: {got}", "This ends in {got}", "Got {got}"),
    "endless": ("It does not come back; I stopped it.", "No result, it runs until it is stopped.", "It hangs."),
}
HEADINGS = (
    ("**To reproduce**", "**Expected behaviour**", "**Actual behaviour**", "**Version**"),
    ("### Steps to reproduce", "### Expected", "### Actual", "### Version"),
    ("## What I did", "## What I expected", "## What happened", "## Environment"),
    ("Code:", "Expected result:", "Actual result:", "Version:"),
    ("### Reproducer", "### Expected output", "### Observed output", "### Version"),
    ("**Example**", "**Should be**", "**Is**", "**Release**"),
)
QUOTES = (
    "The documentation of {f} says:",
    "From the docstring of {f}:",
    "According to its docstring, {f} does this:",
    "What the docs say about {f}:",
)
BUTS = ("But:", "What I see is different:", "That is not what happens:", "However:", "This does not hold here:")
EXAMPLES = (
    "An example in the documentation of {f} does not hold:",
    "The docstring of {f} has this example, and it comes out differently:",
    "I tried the example from the docs of {f}:",
)
REPORTS = (
    "CI is red. Several tests fail, among them",
    "The test run fails. The ones that I looked at:",
    "Failures in the test-suite, e.g.",
    "Our build runs the tests of {p}, and several fail, for instance",
)
REPORTS_ALL = (
    "CI is red:",
    "Failures in our build of {p}:",
    "What fails in the test run:",
    "The test-suite is red:",
)
BOILS = ("It boils down to this:", "Without the test:", "The core of it:", "Reduced to the call:", "By hand:")
LISTS = (
    "Several calls are affected:",
    "Some calls that go wrong:",
    "These do not behave as they should:",
    "What I tried and what came out:",
)
TRACES = (
    "The traceback (shortened):",
    "Top of the traceback:",
    "This is what I see, without the innermost frames:",
    "Traceback, cut to what is mine and the way in:",
)
TEST_TITLES = (
    "test {t} fails",
    "failing test: {t}",
    "{t} is red",
    "{t} does not pass",
    "failure of {t}",
    "one of the tests fails ({t})",
)
TESTS = (
    "This test fails:",
    "The following test does not pass:",
    "I ran the tests of {p} and this one fails:",
    "Running the test-suite, I get a failure here:",
)
MESSAGES = ("It ends with", "The message is", "What pytest says:", "Output:")
FURTHER = (
    "There is something else:",
    "A second thing that I ran into:",
    "And another one, maybe not related:",
    "While I am at it:",
    "I also see this:",
    "One more:",
)
