"""The enforcer: a grammar over the assistant's turn under which every tool call parses and satisfies its schema.

The report (Appendix B) constrains decoding inside the tool section to the template, the declared tools and their
JSON schemas. Here the whole turn is followed (`TurnConstraint`): optional thinking, text or JSON, and a tool section
whose call ids count on from the dialog's counter. Markers are token ids, so no spelling of a marker can stand in for
one. What of a schema no grammar holds is checked on the whole call (`ToolGrammar.check_calls`).

A model that never closes a string would run out of tokens inside a call. The shortest way out is known at each step
(`json_schema.completion`), and near the end of its budget only what leaves room for it may be written.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from k2model.chat.messages import call_id
from k2model.chat.model_json import ModelJsonError, loads_arguments, loads_model_json, well_formed
from k2model.chat.parse import ToolCall
from k2model.chat.tokenizer import K2Tokenizer
from k2model.errors import ConfigError
from k2model.inference.json_grammar import JsonGrammar, JsonGrammars
from k2model.inference.turn_constraint import CallableTool, TurnConstraint, TurnRules

CHOICES = ("auto", "required", "none")
NO_PARAMETERS = {"type": "object", "properties": {}, "additionalProperties": False}
ANY_OBJECT = {"type": "object"}


@dataclass(frozen=True)
class AfterCheck:
    """A value that was checked when it was whole, since its schema says what a grammar can't hold.

    Attributes:
        call_id: of the call, empty for an answer's content.
        keywords: places in the schema that were checked, e.g. `/properties/a/not`.
        problem: what is wrong in one line, None for a valid value.
    """

    call_id: str
    keywords: tuple[str, ...]
    problem: str | None


class ToolGrammar:
    """Makes the constraints of turns for one tokenizer; each schema is compiled once.

    Args:
        vocab_size: width of the model's logits, the tokenizer's size by default.
    """

    def __init__(self, tokenizer: K2Tokenizer, vocab_size: int | None = None) -> None:
        self.tokenizer = tokenizer
        self.vocab_size = vocab_size or tokenizer.vocab_size
        if self.vocab_size < tokenizer.vocab_size:
            raise ConfigError(f"vocab_size: {self.vocab_size} is below the tokenizer's {tokenizer.vocab_size}")
        self.grammars = JsonGrammars(tokenizer)
        self.rules = TurnRules(tokenizer, self.vocab_size)
        self.pieces = tokenizer.token_bytes()

    def turn(
        self,
        tools: Sequence[Mapping[str, Any]] = (),
        *,
        max_tokens: int,
        budget_field: str = "max_tokens",
        choice: str = "auto",
        function: str | None = None,
        first_index: int = 0,
        parallel: bool = True,
        response_schema: Mapping[str, Any] | bool | None = None,
    ) -> TurnConstraint:
        """The constraint of one assistant turn.

        A turn that must hold a call or JSON ends with it whole, within the budget. Where the budget alone ended it,
        the constraint is `forced()` and the finish reason is `length`; free text is cut at the budget like any other.

        Args:
            tools: OpenAI declarations.
            max_tokens: budget of the request; `budget_field` names it in errors.
            choice: `auto`, `required` (at least one call) or `none`.
            function: only this tool may be called, and it must be.
            first_index: the dialog's call counter (`chat.next_call_index`).
            parallel: more than one call in a turn.
            response_schema: the content after thinking is JSON of this schema (`response_format` of the OpenAI API:
                `ANY_OBJECT` for `json_object`, the schema itself for `json_schema`); None leaves it free text.

        Raises:
            ConfigError: tools or a choice that can't be, a schema that no finite value satisfies, or a budget below
                the shortest turn; the message names the tool.
        """
        if choice not in CHOICES:
            raise ConfigError(f"tool_choice: {choice!r} is none of {', '.join(CHOICES)}")
        declared = self._declared(tools) if choice != "none" or function is not None else {}
        if function is not None:
            if function not in declared:
                raise ConfigError(f"tool_choice: {function!r} is no declared tool")
            declared, choice = {function: declared[function]}, "required"
        if choice == "required" and not declared:
            raise ConfigError("tool_choice: a call is required and no tools are declared")
        content = None if response_schema is None else self.response_grammar(response_schema)
        callables = [CallableTool(name, call_id(name, 0)[:-1].encode(), grammar) for name, grammar in declared.items()]
        return TurnConstraint(
            self.rules,
            self.grammars,
            callables,
            max_tokens=max_tokens,
            budget_field=budget_field,
            must_call=choice == "required",
            content=None if choice == "required" else content,
            first_index=first_index,
            parallel=parallel,
        )

    def response_grammar(self, schema: Mapping[str, Any] | bool) -> JsonGrammar:
        """The grammar of an answer's content. Raises ConfigError for a schema that no finite value satisfies."""
        return self.grammars.compile(well_formed(schema), "response_format", is_object=False)

    def check_calls(self, tools: Sequence[Mapping[str, Any]], calls: Sequence[ToolCall]) -> list[AfterCheck]:
        """What had to be checked after the calls were whole: an entry for each call whose schema isn't all held.

        Never raises for what a model wrote; calls of undeclared tools have no entry.
        """
        declared = self._declared(tools) if calls else {}
        checks: list[AfterCheck] = []
        for call in calls:
            if call.name in declared:
                grammar = declared[call.name]
                problem = _problem(grammar, loads_arguments, call.arguments)
                if grammar.unheld or problem is not None:
                    checks.append(AfterCheck(call.id, grammar.unheld, problem))
        return checks

    def check_response(self, schema: Mapping[str, Any] | bool, content: str) -> AfterCheck | None:
        """As `check_calls` for an answer's content; None where the grammar held all of the schema."""
        grammar = self.response_grammar(schema)
        problem = _problem(grammar, loads_model_json, content)
        return AfterCheck("", grammar.unheld, problem) if grammar.unheld or problem is not None else None

    def _declared(self, tools: Sequence[Mapping[str, Any]]) -> dict[str, JsonGrammar]:
        """Grammars of the arguments by the tools' names."""
        declared: dict[str, JsonGrammar] = {}
        try:
            declarations = well_formed(tools)
        except RecursionError:
            raise ConfigError("tools: nested too deep") from None
        for index, tool in enumerate(declarations):
            function = tool.get("function", tool)
            name, schema = function.get("name"), function.get("parameters")
            if not isinstance(name, str) or not name.strip():
                raise ConfigError(f"tools[{index}].function.name: {name!r} is no name")
            if name in declared:
                raise ConfigError(f"tools: {name!r} is declared twice")
            what = f"tools[{index}].function.parameters of {name!r}"
            declared[name] = self.grammars.compile(NO_PARAMETERS if schema is None else schema, what, is_object=True)
        return declared


def _problem(grammar: JsonGrammar, read: Any, text: str) -> str | None:
    try:
        return grammar.schema.problem(read(text))
    except ModelJsonError as error:
        return str(error)
