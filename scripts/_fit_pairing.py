"""The network whose weights ``protvec.align.Pairing`` has, and how it is fitted, in torch.

An alignment of two proteins has the probability exp(its score) over the sum of that of all local alignments of the two;
what is fitted makes the reference alignments as probable as can be. The slope of that by what a pair scores is how
likely the pair is, less 1 if it is one of the reference's (Lafferty et al. 2001; for alignments Do et al. 2006,
doi:10.1007/11732990_15): no more than the sums that protvec shows alignments by.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import nn
from torch.nn.functional import dropout, gelu

from protvec.align.likely import probabilities
from protvec.align.pairing import RESIDUES, inputs

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from protvec.align.matrix import Chain

    Floats = NDArray[np.float32]

WIDTH, OUT, KERNEL, DILATIONS = 96, 64, 7, (1, 2, 4)
INPUT_DROPOUT, DROPOUT = 0.1, 0.15
GAPS = (2.5, 0.25)
# Zeros between proteins that go through the network as one: no layer reaches further.
BETWEEN = max(DILATIONS) * (KERNEL // 2)
RATE, WARM, DECAY = 1e-3, 100, 0.01
LONGEST, FEWEST = 400, 20  # residues of a protein, pairs of an alignment: others are left out


class Example(NamedTuple):
    """Two proteins, and the places of the residues that belong together: ndarray, shape=(N, 2)."""

    query: str
    target: str
    pairs: NDArray[np.int64]


class Network(nn.Module):
    """What ``Pairing.describe`` computes, with dropout."""

    def __init__(self, dimension: int) -> None:
        super().__init__()
        self.first = nn.Linear(dimension + len(RESIDUES), WIDTH)
        self.convs = nn.ModuleList(
            nn.Conv1d(WIDTH, WIDTH, KERNEL, dilation=each, padding=each * (KERNEL // 2)) for each in DILATIONS
        )
        self.last = nn.Linear(WIDTH, OUT)
        self.side = nn.Linear(WIDTH, 1)
        nn.init.zeros_(self.side.weight)
        nn.init.zeros_(self.side.bias)
        # Cosines of unrelated residues deviate by some 1 / sqrt(dimension).
        self.cosine = nn.Parameter(torch.tensor(0.2 * dimension**0.5))
        self.offset = nn.Parameter(torch.tensor(-0.4))
        self.scale = nn.Parameter(torch.tensor(0.8))

    def forward(self, values: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Vectors, shape=(L, OUT), and levels, shape=(L,); the mask, shape=(L, 1), is 0 between proteins."""
        hidden = gelu(self.first(dropout(values, INPUT_DROPOUT, self.training))) * mask
        for layer in self.convs:
            around = layer(dropout(hidden, DROPOUT, self.training).T[None])[0].T
            hidden = (hidden + gelu(around)) * mask
        hidden = dropout(hidden, DROPOUT, self.training)
        learned = self.last(hidden)
        return learned / (learned.norm(dim=1, keepdim=True) + 1e-4), self.side(hidden)[:, 0]


@dataclass
class Fit:
    """A fit that can be stopped and gone on with.

    Attributes:
        network: As it is.
        optimizer: Its state.
        mean: The moving average of the weights, which is what is written.
        step: How many steps were taken.
    """

    network: Network
    optimizer: torch.optim.Optimizer
    mean: dict[str, torch.Tensor]
    step: int = 0

    @classmethod
    def begin(cls, dimension: int, seed: int) -> Fit:
        """A network at random."""
        torch.manual_seed(seed)
        network = Network(dimension)
        optimizer = torch.optim.AdamW(network.parameters(), RATE, weight_decay=DECAY)
        return cls(network, optimizer, {name: value.clone() for name, value in network.state_dict().items()})

    def save(self, path: Path) -> None:
        """Write all of it down."""
        state = {"network": self.network.state_dict(), "optimizer": self.optimizer.state_dict(), "mean": self.mean}
        torch.save(state | {"step": self.step, "chance": torch.get_rng_state()}, path)

    def load(self, path: Path) -> None:
        """Go on where it was."""
        state = torch.load(path, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.mean, self.step = state["mean"], state["step"]
        torch.set_rng_state(state["chance"])

    def take(self, examples: Sequence[Example], chains: dict[str, Chain], steps: int) -> float:
        """One step of so many: how likely the pairs of the examples were before, mean over these."""
        share = 0.5 + 0.5 * np.cos(np.pi * min(1, self.step / steps))
        for group in self.optimizer.param_groups:
            group["lr"] = float(RATE * min(1, (self.step + 1) / WARM) * share + 1e-6)
        self.network.train()
        loss, likely = self._loss(examples, chains)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), 1.0)
        self.optimizer.step()
        self.step += 1
        share = min(0.995, (self.step + 1) / (self.step + 20))
        for name, value in self.network.state_dict().items():
            self.mean[name].mul_(share).add_(value, alpha=1 - share)
        return likely

    def _loss(self, examples: Sequence[Example], chains: dict[str, Chain]) -> tuple[torch.Tensor, float]:
        """What has the slopes of the negative logarithm of probability, a pair of the reference."""
        names = sorted({name for each in examples for name in (each.query, each.target)})
        values, mask, places = batch([chains[name] for name in names])
        vectors, levels = self.network(values, mask)
        of = {name: (chains[name], vectors[place], levels[place]) for name, place in zip(names, places, strict=True)}
        losses, likely = [], []
        for each in examples:
            scores = self.scores(of[each.query], of[each.target])
            found = probabilities(scores.detach().numpy(), *GAPS, 1.0)
            rows, columns = each.pairs.T
            likely.append(float(found[rows, columns].mean()))
            found[rows, columns] -= 1
            losses.append((scores * torch.from_numpy((found / len(rows)).astype(np.float32))).sum())
        return torch.stack(losses).mean(), float(np.mean(likely))

    def scores(
        self, query: tuple[Chain, torch.Tensor, torch.Tensor], target: tuple[Chain, torch.Tensor, torch.Tensor]
    ) -> torch.Tensor:
        """What each pair of two proteins scores, by their vectors and levels: shape=(L, M)."""
        cosines = torch.from_numpy(query[0].unit @ target[0].unit.T)
        network = self.network
        products = network.cosine * cosines + network.scale * (query[1] @ target[1].T) + network.offset
        return products + query[2][:, None] + target[2]

    def weights(self) -> dict[str, NDArray[np.float16]]:
        """What ``Pairing`` reads."""
        found = {name: value.numpy() for name, value in self.mean.items()}
        found |= {"dilations": np.array(DILATIONS), "gaps": np.array(GAPS)}
        return {name: value.astype(np.float16) for name, value in found.items()}


def batch(chains: Sequence[Chain]) -> tuple[torch.Tensor, torch.Tensor, list[slice]]:
    """Proteins behind one another, zeros between them: the network's input, its mask, and where each protein is."""
    length = sum(len(chain) + BETWEEN for chain in chains)
    values = np.zeros((length, chains[0].residues.shape[1] + len(RESIDUES)), np.float32)
    mask = np.zeros((length, 1), np.float32)
    places, start = [], 0
    for chain in chains:
        place = slice(start, start + len(chain))
        values[place], mask[place] = inputs(chain.sequence, chain.unit), 1
        places.append(place)
        start = place.stop + BETWEEN
    return torch.from_numpy(values), torch.from_numpy(mask), places


def usable(examples: Sequence[Example], lengths: dict[str, int]) -> list[Example]:
    """Those that are not too long for a quick step, and not too short to say much."""
    return [
        each
        for each in examples
        if len(each.pairs) >= FEWEST and max(lengths[each.query], lengths[each.target]) <= LONGEST
    ]


def shares(superfamilies: Sequence[tuple[str, ...]]) -> NDArray[np.float64]:
    """How often each example is drawn: large superfamilies less often than their numbers say."""
    sizes = Counter(superfamilies)
    weights = np.array([sizes[each] ** -0.5 for each in superfamilies])
    return weights / weights.sum()
