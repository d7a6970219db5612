"""The lecture's claims, and the box in which a chapter holds one of them against what was measured."""

import html

CLAIMS = {
    1: "A token is a vector, and a network over tokens treats it as one bundle.",
    2: "Anything can be made into tokens: chop it up and project the pieces.",
    3: "The token-wise MLP is a convolutional network with 1×1 kernels.",
    4: "Convolutional networks are local, and poor at relating things that are far apart.",
    5: "Convolutions, pyramids, fully connected layers and attention are all ways to aggregate over space.",
    6: "The weights W are free parameters; the attention A is a function of the data.",
    7: "Query, key and value answer a question by choosing where to look.",
    8: "Self-attention with identity query and key is a Gram matrix, and clusters similar tokens.",
    9: "Multi-head attention runs k heads in parallel and mixes what they bring.",
    10: "Attention, the token-wise MLP and the transformer are equivariant to permutations.",
    11: "Positional encoding breaks that symmetry.",
    12: "A convolutional network is equivariant to shifts; coordinates added to its input break that.",
    13: "The attention maps of a trained transformer segment objects.",
    14: "A pure transformer on patches classifies images well.",
    15: "A model that predicts the next token can write, by repeating itself.",
    16: "Causal attention lets a GPT learn from every position at once.",
    17: "A transformer translates.",
    18: "A neural field maps coordinates to values; SIREN does so as a network applied to each pixel, continuously.",
}


class Claim:
    """Show claim `number` of the lecture and the figure that the experiment above came to.

    `figure` is a short phrase with the number in it, or says which picture shows the claim. The book's table of
    claims is collected from these boxes. Raises ValueError for a number that is no claim's, or a blank figure.
    """

    def __init__(self, number: int, figure: str) -> None:
        if number not in CLAIMS:
            raise ValueError(f"The lecture's claims have the numbers 1 to {len(CLAIMS)}, not {number}.")
        self.number, self.figure = number, " ".join(figure.split())
        if not self.figure:
            raise ValueError(f"A claim needs a figure, and claim {number} has none: say in a phrase what was measured.")

    def _repr_html_(self) -> str:
        figure = html.escape(self.figure, quote=True)
        return (
            f'<div class="claim" data-claim="{self.number}" data-figure="{figure}">'
            f"<p><strong>Claim {self.number} of the lecture.</strong> {html.escape(CLAIMS[self.number])}</p>"
            f"<p><strong>Measured here:</strong> {figure}</p></div>"
        )

    def __repr__(self) -> str:
        return f"Claim {self.number}: {CLAIMS[self.number]}\nMeasured here: {self.figure}"
