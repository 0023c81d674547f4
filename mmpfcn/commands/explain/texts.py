"""What is said about single kernels, with the numbers behind it."""

from mmpfcn.apis import Candidate, Explanation, Outcome
from mmpfcn.visualization.targets import level_name

from ..page import plural

NBSP = '\u00a0'


def pixels(number: int) -> str:
    return f'{number:,}{NBSP}px'


def percent(part: int, whole: int) -> str:
    return f'{100 * part / max(whole, 1):.1f}{NBSP}%'


def place(candidate: Candidate) -> str:
    """Such as "P3, row 4, column 7" or "P3, 120 cells"."""
    level = level_name(candidate.level)
    if candidate.cell is None:
        return f'{level}, {plural(candidate.num_cells, "cell")}'
    return f'{level}, row {candidate.cell[0]}, column {candidate.cell[1]}'


def step_rows(explanation: Explanation) -> list[tuple[str, str, int, str]]:
    """How many are left after each step: step, setting, number left, what was dropped (text)."""
    regions = [c for c in explanation.candidates if not c.isthing]
    peaks = [c for c in explanation.candidates if c.isthing]
    things = [k for k in explanation.kernels if k.isthing]
    stuff = [k for k in explanation.kernels if not k.isthing]
    rows = []

    def step(what: str, setting: str, items: list, *outcomes: Outcome, joined: str = '') -> list:
        left = [item for item in items if item.outcome not in outcomes]
        dropped = f'{len(items) - len(left)} dropped' if len(left) < len(items) else ''
        value = f'{setting} {getattr(explanation.settings, setting):g}' if setting else ''
        rows.append((what, value, len(left), ', '.join(filter(None, [joined, dropped])) or '–'))
        return left

    kept = step('peaks of the centres', 'center_thr', peaks, Outcome.CENTER_THR)
    lost = sum(c.outcome is Outcome.LOST for c in kept)
    joined = f'{len(kept) - len(things) - lost} joined another, {lost} lost'
    step('kernel fusion', 'similarity_thr', things, joined=joined)
    left = step('best instances', 'max_per_img', things, Outcome.MAX_PER_IMG)
    left = step('score after rescoring', 'score_thr', left, Outcome.SCORE_THR)
    left = step('score for the panoptic map', 'panoptic_score_thr', left, Outcome.PANOPTIC_SCORE)
    left = step('mask with pixels', 'mask_thr_binary', left, Outcome.EMPTY)
    step('overlap: thing segments', 'mask_overlap', left, Outcome.OVERLAP, Outcome.COVERED)
    kept = step('regions of the levels', 'region_thr', regions, Outcome.REGION_THR)
    step('fusion by class', '', stuff, joined=f'{len(kept) - len(stuff)} joined another')
    left = step('stuff classes', '', stuff, Outcome.NO_STUFF)
    step('area: stuff segments', 'stuff_area_limit', left, Outcome.STUFF_AREA)
    return rows
