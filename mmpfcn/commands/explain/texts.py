"""What is said about single kernels, with the numbers behind it."""

from html import escape

from mmpfcn.apis import Candidate, Explanation, Kernel, Outcome
from mmpfcn.models.settings import InferenceSettings
from mmpfcn.visualization.targets import level_name

NBSP = '\u00a0'


def link(key: str) -> str:
    """HTML of a key that leads to where the page shows it."""
    return f'<a href="#{key}">{key}</a>'


def reason(kernel: Kernel, settings: InferenceSettings) -> str:
    """HTML of why a kernel became a segment or did not."""
    score = '' if kernel.rescored is None else f'{kernel.rescored:.4f}'
    match kernel.outcome:
        case Outcome.MAX_PER_IMG:
            return f'not among the best {settings.max_per_img} (max_per_img)'
        case Outcome.SCORE_THR:
            return f'{score} is below score_thr {settings.score_thr:g}'
        case Outcome.PANOPTIC_SCORE:
            return f'{score} is below panoptic_score_thr {settings.panoptic_score_thr:g}'
        case Outcome.EMPTY:
            return f'empty: no pixel above mask_thr_binary {settings.mask_thr_binary:g}'
        case Outcome.OVERLAP:
            share, limit = (
                percent(kernel.taken, kernel.area),
                f'{100 * settings.mask_overlap:g}{NBSP}%',
            )
            return f'{share} taken, more than mask_overlap {limit}'
        case Outcome.COVERED:
            return 'every pixel is taken'
        case Outcome.STUFF_AREA:
            limit = pixels(settings.stuff_area_limit)
            return f'{pixels(kernel.area)}, less than stuff_area_limit {limit}'
        case Outcome.NO_STUFF:
            return f'no stuff class; the best region on {pixels(kernel.area)}, which stay void'
    return f'segment of {pixels(kernel.visible)}'


def takers(kernel: Kernel) -> str:
    """HTML of who had taken which share of a mask, most first."""
    return ', '.join(f'{link(key)} ({percent(n, kernel.area)})' for key, n in kernel.taken_by)


def pixels(number: int) -> str:
    return f'{number:,}{NBSP}px'


def percent(part: int, whole: int) -> str:
    return f'{100 * part / max(whole, 1):.1f}{NBSP}%'


def place(candidate: Candidate) -> str:
    """Such as "P3, row 4, column 7" or "P3, 120 cells"."""
    level = level_name(candidate.level)
    if candidate.cell is None:
        return f'{level}, {candidate.num_cells} {plural("cell", candidate.num_cells)}'
    return f'{level}, row {candidate.cell[0]}, column {candidate.cell[1]}'


def score(kernel: Kernel) -> str:
    """Before and after rescoring."""
    if kernel.rescored is None:
        return f'{kernel.score:.3f}'
    return f'{kernel.score:.3f} → {kernel.rescored:.3f}'


def plural(word: str, number: int) -> str:
    return word if number == 1 else f'{word}s'


def name(item: Candidate | Kernel) -> str:
    """HTML of its class."""
    return escape(item.name)


def step_rows(explanation: Explanation) -> list[tuple[str, str, int, str]]:
    """How many are left after each step: step, setting, number left, what was dropped (text)."""
    cfg = explanation.settings
    peaks = [c for c in explanation.candidates if c.isthing]
    regions = [c for c in explanation.candidates if not c.isthing]
    things = [k for k in explanation.kernels if k.isthing]
    stuff = [k for k in explanation.kernels if not k.isthing]
    rows = []

    def step(what: str, setting: str, items: list, outcomes: tuple, joined: str = '') -> list:
        dropped = [item for item in items if item.outcome in outcomes]
        parts = [joined, f'{len(dropped)} dropped' if dropped else '']
        rows.append(
            (what, setting, len(items) - len(dropped), ', '.join(filter(None, parts)) or '–')
        )
        return [item for item in items if item.outcome not in outcomes]

    kept = step(
        'peaks of the centres', f'center_thr {cfg.center_thr:g}', peaks, (Outcome.CENTER_THR,)
    )
    lost = sum(c.outcome is Outcome.LOST for c in kept)
    joined = f'{len(kept) - len(things) - lost} joined another, {lost} lost'
    step('kernel fusion', f'similarity_thr {cfg.similarity_thr:g}', things, (), joined)
    left = step('best instances', f'max_per_img {cfg.max_per_img}', things, (Outcome.MAX_PER_IMG,))
    left = step('score after rescoring', f'score_thr {cfg.score_thr:g}', left, (Outcome.SCORE_THR,))
    left = step('score for the panoptic map', f'panoptic_score_thr {cfg.panoptic_score_thr:g}',
                left, (Outcome.PANOPTIC_SCORE,))  # fmt: skip
    left = step('mask with pixels', f'mask_thr_binary {cfg.mask_thr_binary:g}', left,
                (Outcome.EMPTY,))  # fmt: skip
    step('overlap: thing segments', f'mask_overlap {cfg.mask_overlap:g}', left,
         (Outcome.OVERLAP, Outcome.COVERED))  # fmt: skip
    kept = step('regions of the levels', f'region_thr {cfg.region_thr:g}', regions,
                (Outcome.REGION_THR,))  # fmt: skip
    step('fusion by class', '', stuff, (), f'{len(kept) - len(stuff)} joined another')
    left = step('stuff classes', '', stuff, (Outcome.NO_STUFF,))
    step('area: stuff segments', f'stuff_area_limit {cfg.stuff_area_limit}', left,
         (Outcome.STUFF_AREA,))  # fmt: skip
    return rows
