"""Which weights may answer a request: those that its first picture went to, and no others.

Weights change by a reload, or when a worker is replaced after its file was. Until then an edition
of a model, that is all that its answers depend on, is the same in all workers.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence

from service.engine import ModelInfo
from service.pool.pending import PendingRequest
from service.pool.recovery import lost


def pin_misfits(requests: Iterable[PendingRequest], models: Sequence[ModelInfo]) -> None:
    """Leave to the old weights the requests that new ones cannot take over as they are.

    Args:
        models: the new ones.
    """
    by_name = {model.name: model for model in models}
    for request in requests:
        model = by_name.get(request.job.model)
        if request.edition is None and (model is None or not request.fits(model)):
            request.edition = request.model.edition


def free_orphans(
    requests: Iterable[PendingRequest],
    held: Collection[tuple[str, str]],
    models: Sequence[ModelInfo],
) -> None:
    """Let other weights answer the requests whose own are gone, or give them up.

    A request that has some of its answers, or that the other weights do not fit, is given up.

    Args:
        held: (name, edition) of what workers run, or will once they are replaced.
        models: those that new requests go to.
    """
    by_name = {model.name: model for model in models}
    for request in requests:
        if request.edition is None or (request.job.model, request.edition) in held:
            continue
        model = by_name.get(request.job.model)
        if request.bodies or model is None or not request.fits(model):
            request.fail(lost())
        else:
            request.edition = None
