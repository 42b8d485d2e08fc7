"""Prompts in MLflow's registry: a version for each wording, and which versions a run has asked with."""

from collections.abc import Mapping
from typing import Any

from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient

PREFIX = "k2-"


def record(client: MlflowClient, run_id: str, templates: Mapping[str, Any]) -> None:
    """Registers what has changed, and tells the run the version of each; told twice, nothing is new."""
    for name, template in templates.items():
        version = _newest(client, f"{PREFIX}{name}")
        if version is None or version.template != template:
            tags = {"git.commit": client.get_run(run_id).data.tags.get("git.commit", "none")}
            version = client.register_prompt(f"{PREFIX}{name}", template, tags=tags)
        client.link_prompt_version_to_run(run_id, version)
        client.set_tag(run_id, f"prompt.{name}", str(version.version))


def _newest(client: MlflowClient, name: str) -> Any:
    """The newest version of a prompt; None when there is none."""
    try:
        return client.load_prompt(f"prompts:/{name}@latest", allow_missing=True)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
        return None
