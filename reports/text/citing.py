"""How to cite: the suite, the paper that it follows, the library that it is built on, and the data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from reports.analysis.results import Results
from reports.text.formatting import listing


@dataclass(frozen=True)
class Reference:
    """Something to cite: what it is, the citation in words, an address ('' if none), a licence ('' if none)."""

    what: str
    text: str
    url: str = ""
    licence: str = ""


SUITE = Reference("the suite", "nnp-pretrain-bench, as given in its CITATION.cff, with version and commit", "", "MIT")
PAPER = Reference(
    "the paper whose protocol it follows",
    "Z. Zhang, Z. Li, A. Barati Farimani: Masked Pretraining Strategy for Neural Potentials, AIP Advances 14(9), 2024; "
    "arXiv:2402.15921",
    "https://doi.org/10.1063/5.0202647",
)
LIBRARY = Reference(
    "TorchMD-Net, which it is built on",
    "R. P. Pelaez, G. Simeon, R. Galvelis, A. Mirarchi, P. Eastman, S. Doerr, P. Thölke, T. E. Markland, "
    "G. De Fabritiis: TorchMD-Net 2.0: Fast Neural Network Potentials for Molecular Simulations, 2024; "
    "arXiv:2402.17660",
    "https://arxiv.org/abs/2402.17660",
)


def _text(content: Any) -> str:
    return " ".join(str(content).split()) if content else ""


def how_to_cite(results: Results) -> list[Reference]:
    """What a paper that uses these results should cite; the data as their provenance says."""
    plan = results.run.plan
    about: dict[Reference, dict[str, None]] = {}
    for cell in plan.cells:
        data = results.run.provenance.get(cell.key, {}).get("dataset")
        if isinstance(data, dict):
            label = plan.datasets[cell.dataset].label
            text = _text(data.get("citation") or data.get("title") or data.get("source"))
            reference = Reference("", text, _text(data.get("url")), _text(data.get("licence")))
            about.setdefault(reference, {})[label] = None
    commits = list(dict.fromkeys(commit for source in results.run.sources for commit in source.commits))
    suite = SUITE if not commits else Reference(SUITE.what, f"{SUITE.text} ({listing(commits)})", "", SUITE.licence)
    data_references = [
        Reference(f"the data: {listing(list(labels))}", one.text or "no citation recorded", one.url, one.licence)
        for one, labels in about.items()
    ]
    return [suite, PAPER, LIBRARY, *data_references]
