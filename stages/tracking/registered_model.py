"""What the registry holds for one version: code, a signature and hashes; the weights stay where DVC keeps them.

MLflow runs this file when it logs and when it loads the model (`mlflow.pyfunc.load_model("models:/k2@champion")`,
in a checkout).
"""

from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
from mlflow.models import set_model

from agents.chat.open import open_client
from agents.chat.protocol import ChatRefusal, ChatRequest
from stages.tracking.dvc_store import Reference, materialize


class ReferencedModel(mlflow.pyfunc.PythonModel):  # type: ignore[misc]
    """One user message in, the assistant's answer out; parameters `max_tokens`, `temperature`, `seed`."""

    def load_context(self, context: Any) -> None:
        root = Path()
        checkpoint = materialize(root, Reference(**context.model_config["checkpoint"]))
        self.client = open_client(str(checkpoint), store=root / "work" / "registry" / "answers.sqlite", rows=32)

    def predict(
        self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None
    ) -> list[dict[str, str]]:
        chosen = params or {}
        requests = [
            ChatRequest(
                ({"role": "user", "content": text},),
                max_tokens=chosen["max_tokens"],
                temperature=chosen["temperature"],
                seed=chosen["seed"],
            )
            for text in model_input["prompt"]
        ]
        answers = self.client.complete(requests)
        return [{"completion": "" if isinstance(answer, ChatRefusal) else answer.text} for answer in answers]


set_model(ReferencedModel())
