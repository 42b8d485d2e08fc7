"""The prescriptive rubrics of self-critique (K2 report, Appendix F).

They stand against reward hacking, so a rule decides them and not the critic that is being trained.
"""

import re

_PRAISE = re.compile(
    r"^\W*(?:(?:what|that(?:'s| is)) an? )?(?:really )?"
    r"(?:(?:great|good|excellent|wonderful|fantastic|brilliant|amazing|insightful) (?:question|point|idea|request)"
    r"|(?:beautiful|lovely) question|you(?:'re| are) (?:so |very )?(?:right|smart|wise))\b",
    re.IGNORECASE,
)
_JUSTIFICATION = re.compile(
    r"\b(?:this (?:answer|response|reply|solution) (?:is|fully|completely|clearly|directly|perfectly)"
    r"|(?:my|the above|the given) (?:answer|response|solution) "
    r"(?:is|fully|clearly|successfully|meets|satisfies|addresses)"
    r"|as (?:requested|required), (?:this|my) (?:answer|response)"
    r"|i (?:have )?(?:fully |successfully |carefully )(?:followed|answered|addressed|satisfied|met))",
    re.IGNORECASE,
)


def violations(answer: str) -> list[str]:
    """Prescriptive rubrics that the text breaks: `initial_praise`, `self_justification`."""
    broken = []
    if _PRAISE.search(answer):
        broken.append("initial_praise")
    if _JUSTIFICATION.search(answer):
        broken.append("self_justification")
    return broken
