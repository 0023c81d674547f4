"""Runs of all models in turn, so that a busy machine is unfair to none."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import torch
from torch import nn

from .candidates import Candidate
from .runs import Prediction, Setting, TrainingStep, in_one_line, with_objects
from .stages import OTHER, StageClock, synchronize

T = TypeVar('T')


@dataclass
class Row:
    """What was measured of one model in one setting."""

    model: str  # name of the candidate
    setting: Setting  # what the input was
    seconds: list[float] = field(default_factory=list)  # of every run, nothing watched
    # seconds per stage of every watched run
    stages: list[dict[str, float]] = field(default_factory=list)
    num_found: int | None = None  # things in the panoptic map; None in training
    error: str | None = None  # why there are no figures

    @property
    def median(self) -> float:
        return float(np.median(self.seconds))

    @property
    def p90(self) -> float:
        return float(np.percentile(self.seconds, 90))

    def stage(self, *names: str) -> float:
        """Sum of the medians of these stages in seconds; 0 for those that it does not have."""
        return sum(float(np.median([run.get(name, 0.0) for run in self.stages])) for name in names)


def measure(
    candidates: Sequence[Candidate],
    setting: Setting,
    numbers: Sequence[int],
    rounds: tuple[int, int],
    device: torch.device,
    training: bool,
) -> list[Row]:
    """Time every model, all in memory, with all numbers of objects, in turn: a row for each.

    The setting is without a number of objects. A model that can not run so has a row with an error.
    Of the rounds so many are for warming up, and so many count.
    """
    torch.compiler.reset()
    rows, wanted = [], []
    for candidate in candidates:
        model = candidate.build(device)
        for one in with_objects(candidate, setting, numbers, training):
            rows.append(Row(candidate.name, one))
            wanted.append((candidate, model, one, device, training))
    runs = [
        (row, run)
        for row, given in zip(rows, wanted, strict=True)
        if (run := attempt(row, make_run, *given))
    ]
    for number in range(sum(rounds)):
        for row, run in runs:
            if row.error is None:
                attempt(row, time_once, row, run, device, number >= rounds[0])
    for row, run in runs:
        if row.error is None and not training:
            row.num_found = run.num_found()
    return rows


def make_run(
    candidate: Candidate, model: nn.Module, setting: Setting, device: torch.device, training: bool
) -> Prediction | TrainingStep:
    if training:
        return TrainingStep(candidate, model, setting, device)
    if candidate.onnx:
        from .onnx_runs import OnnxPrediction  # ONNX Runtime is an extra

        return OnnxPrediction(candidate, model, setting)
    return Prediction(model, setting, device)


def time_once(row: Row, run: Prediction | TrainingStep, device: torch.device, counts: bool) -> None:
    """A run that is not watched, and one whose stages are."""
    synchronize(device)
    start = time.perf_counter()
    run.run()
    synchronize(device)
    seconds, clock = time.perf_counter() - start, StageClock(device)
    with clock.stage(OTHER):
        run.watched_run(clock)
    if counts:
        row.seconds.append(seconds)
        row.stages.append(dict(clock.seconds))


def attempt(row: Row, function: Callable[..., T], *args) -> T | None:
    """A model that can not run so (memory, a missing kernel for a type) must not end the rest."""
    try:
        return function(*args)
    except (RuntimeError, ValueError, TypeError, AssertionError) as error:
        row.error = in_one_line(error)
    torch.cuda.empty_cache()  # of what the failed run had; does nothing without CUDA
    return None
