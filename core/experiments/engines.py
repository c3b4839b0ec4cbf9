"""Engines: what computes the jobs of a grid, here one after another, or on the workers of a Ray cluster."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from ..errors import BadInput, MdkifError, unknown
from ..workspace import Workspace
from .cells import Failure, Job, Result
from .laboratory import Laboratory

Came = Result | Failure
Told = Callable[[Job, Came], None]
TRIES = 3


class Engine(Protocol):
    """Computes jobs, each after all that it needs, and tells what every one came to."""

    def run(self, laboratory: Laboratory, jobs: Sequence[Job], told: Told) -> None:
        """Compute the jobs, which are in an order in which they can be computed."""


def engine(name: str) -> Engine:
    """The engine of that name. Raises BadInput for another, and where Ray is not installed."""
    if name not in ENGINES:
        raise unknown("engine", name, ENGINES)
    return ENGINES[name]()


def attempt(laboratory: Laboratory, job: Job) -> Came:
    """A job's result, or why there is none; an error that is nobody's to read is told by its type alone."""
    try:
        return laboratory.compute(job)
    except MdkifError as error:
        return Failure(job.title, str(error))
    except Exception as error:  # one cell that fails must not end the others
        return Failure(job.title, f"{type(error).__name__}: this is a defect; compute it alone with --debug.")


class Local:
    """In this process, one after another."""

    def run(self, laboratory: Laboratory, jobs: Sequence[Job], told: Told) -> None:
        """Compute the jobs; one whose needs failed is not begun."""
        failed: dict[str, str] = {}
        for job in jobs:
            came = _stopped(laboratory, job, failed) or attempt(laboratory, job)
            if isinstance(came, Failure):
                failed[laboratory.key(job)] = came.reason
            told(job, came)


class Ray:
    """On the workers of a Ray cluster, each with a base model of its own; the store must be seen by all of them.

    There are as many as the cluster has free processors, or accelerators where the base model lies on one. A job
    whose worker is lost is given to a new one. Raises BadInput where Ray is not installed.
    """

    def __init__(self, workers: int = 0) -> None:
        self._workers = workers
        try:
            import ray
        except ImportError:
            raise BadInput("The engine 'ray' needs Ray: pip install 'mdkif[ray]'.") from None
        self._ray: Any = ray

    def run(self, laboratory: Laboratory, jobs: Sequence[Job], told: Told) -> None:
        """Compute the jobs on all workers; each goes to the first that is free once what it needs is done."""
        ray = self._ray
        if not ray.is_initialized():
            ray.init(include_dashboard=False, log_to_driver=False)
        device = laboratory.workspace.device
        share = {"num_gpus": 1} if ray.cluster_resources().get("GPU") and device != "cpu" else {"num_cpus": 1}
        free = int(ray.available_resources().get(next(iter(share)).removeprefix("num_").upper(), 1))
        count = max(1, min(self._workers or free, len(jobs)))
        hire = ray.remote(**share, max_restarts=0)(_Worker).remote
        worker = (Workspace, _shared(laboratory))
        idle = [hire(*worker) for _ in range(count)]
        waiting = {laboratory.key(job): job for job in jobs}
        running: dict[Any, tuple[str, Any]] = {}
        lost = Counter[str]()
        failed: dict[str, str] = {}
        while waiting or running:
            busy = {key for key, _ in running.values()}
            for key, job in list(waiting.items()):
                if any(laboratory.key(each) in {*waiting, *busy} for each in job.needs) or not idle:
                    continue
                del waiting[key]
                if stopped := _stopped(laboratory, job, failed):
                    failed[key] = stopped.reason
                    told(job, stopped)
                else:
                    hand = idle.pop()
                    running[hand.attempt.remote(job)] = key, hand
                    busy.add(key)
            if not running:
                continue
            [done], _ = ray.wait(list(running), num_returns=1)
            key, hand = running.pop(done)
            job = next(job for job in jobs if laboratory.key(job) == key)
            try:
                came = ray.get(done)
            except ray.exceptions.RayActorError:  # the worker is lost, and with it only what it was at
                lost[key] += 1
                hand = hire(*worker)
                if lost[key] < TRIES:
                    waiting = {key: job} | waiting
                    idle.append(hand)
                    continue
                came = Failure(job.title, f"its worker was lost {TRIES} times: give the workers more memory.")
            idle.append(hand)
            if isinstance(came, Failure):
                failed[key] = came.reason
            told(job, came)


class _Worker:
    """A process of the cluster with a workspace, and so a base model, of its own."""

    def __init__(self, kind: type[Workspace], shared: dict[str, Any]) -> None:
        from ..contract.catalogue import owners
        from ..contract.discovery import Plugins
        from ..store.layout import Store

        workspace = kind(Plugins(first=owners()), Store(shared["store"]), **shared["model"])
        self._laboratory = Laboratory(workspace, shared["sources"], shared["skip_bad"])

    def attempt(self, job: Job) -> Came:
        """See `attempt`."""
        return attempt(self._laboratory, job)


def _shared(laboratory: Laboratory) -> dict[str, Any]:
    """What a worker needs to make the same laboratory."""
    one = laboratory.workspace
    model = {"base_name": one.base_name, "dtype": one.dtype, "device": one.device, "format": one.format}
    sources = {name: path.resolve() for name, path in laboratory.sources.items()}
    return {"store": one.store.root.resolve(), "model": model, "sources": sources, "skip_bad": laboratory.skip_bad}


def _stopped(laboratory: Laboratory, job: Job, failed: dict[str, str]) -> Failure | None:
    """Why a job cannot be begun: the first of what it needs that failed."""
    for each in job.needs:
        if reason := failed.get(laboratory.key(each)):
            return Failure(job.title, f"the {each.title} failed: {reason}")
    return None


ENGINES: dict[str, Callable[[], Engine]] = {"local": Local, "ray": Ray}
