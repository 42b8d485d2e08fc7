"""`upcycle` in params.yaml: how a dense base becomes a K2 network."""

from pydantic import Field

from stages.harness.section import Section


class HealingParams(Section):
    """Each converted attention layer learns from the dense one's output, on `tokens` tokens of the corpus."""

    sequence_length: int = Field(ge=8)
    rows: int = Field(ge=1)
    tokens: int = Field(ge=0)
    lr: float = Field(gt=0)


class UpcycleParams(Section):
    """Sizes of the K2 network that a dense one becomes, and what it is calibrated and healed on.

    latent: width of the compressed keys and values. components: rotated components of the key heads, per
    frequency; a network with fewer key heads has one for each.
    spare: unrotated width of a head that starts empty. slices: experts of a token, which together are the dense layer
    but for the shared ones. copies: experts that each slice stands in. first_dense: layers that stay dense.
    """

    latent: int = Field(ge=1)
    components: int = Field(ge=1)
    spare: int = Field(ge=0)
    slices: int = Field(ge=1)
    copies: int = Field(ge=1)
    shared: int = Field(ge=0)
    first_dense: int = Field(ge=0)
    calibration_tokens: int = Field(ge=1)
    healing: HealingParams
