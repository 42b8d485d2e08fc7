"""What names a model: `embedded`, a checkpoint folder, `http(s)://host/v1` or `http(s)://host/v1#model`."""


def is_endpoint(spec: str) -> bool:
    """Whether `spec` names a model behind a URL."""
    return spec.lower().startswith(("http://", "https://"))


def needs_model(spec: str, model: str = "") -> bool:
    """Whether `spec` is a URL and neither it nor `model` names its model."""
    return is_endpoint(spec) and not (spec.partition("#")[2] or model)
