"""The page: drop an image, pick a model, move thresholds."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import NamedTuple

import gradio as gr
import numpy as np
from gradio.utils import get_upload_folder

from mmpfcn.apis import PanopticResult
from mmpfcn.models.settings import InferenceSettings
from mmpfcn.visualization.colors import class_palette, label_colors
from mmpfcn.visualization.drawing import Segment, draw_panoptic, resize
from mmpfcn.visualization.heat_maps import draw_centers, draw_regions, level_peaks
from mmpfcn.visualization.targets import level_name

from ..page import html_part, plural, thumbnail
from .outputs import Outputs

PARALLEL = 4  # results drawn at a time, while one network runs
QUEUE = 100  # requests that may wait
HEADER = """<h1>Panoptic FCN</h1>
<p>Drop an image, pick a model, move the thresholds. Click a heat map to enlarge it.</p>"""
LONG_SIDES = (800, 1280)  # px; smaller images are enlarged, so that the texts fit
Shown = tuple[str, str]  # path of the image and name of the model


class Threshold(NamedTuple):
    """A slider: ``key`` of :class:`InferenceSettings`, texts and range."""

    key: str
    label: str
    info: str
    low: float = 0
    high: float = 1
    step: float = 0.01


THRESHOLDS = (
    Threshold('center_thr', 'Centre', 'Probability, above'),
    Threshold('region_thr', 'Region', 'Mean probability, above'),
    Threshold('similarity_thr', 'Kernel fusion', 'Cosine similarity, from', 0.5),
    Threshold('mask_thr_binary', 'Mask', 'Probability of a pixel, above'),
    Threshold('panoptic_score_thr', 'Merge: score', 'Of an object, at least'),
    Threshold('mask_overlap', 'Merge: overlap', 'Share already taken, at most'),
    Threshold('stuff_area_limit', 'Merge: stuff area', 'Pixels, at least', 0, 16384, 1),
)
"""In the order of inference."""


def draw_overlay(result: PanopticResult) -> np.ndarray:
    """``result.draw()`` at a size for a screen, whatever the shape of the image."""
    height, width = result.panoptic_seg.shape
    longer = max(height, width)
    scale = min(max(longer, LONG_SIDES[0]), LONG_SIDES[1]) / longer
    size = max(1, round(height * scale)), max(1, round(width * scale))
    return draw_panoptic(
        resize(result.image, size),
        resize(result.panoptic_seg, size),
        [Segment(s['id'], s['label'], s['score']) for s in result.segments_info],
        result.dataset_meta['classes'],
        class_palette(result.dataset_meta),
    )


def figures(title: str, pictures: Sequence[np.ndarray], captions: Sequence[str]) -> str:
    addresses = [thumbnail(picture, picture.shape[1]) for picture in pictures]
    return html_part('web.html', 'levels', title, addresses, captions)


def table(result: PanopticResult) -> str:
    """The segments as an HTML table in the colours of the overlay, with a caption."""
    labels = [segment['label'] for segment in result.segments_info]
    colors = label_colors(labels, class_palette(result.dataset_meta))
    return html_part('web.html', 'segments', result, colors)


def build_page(outputs: Outputs, max_mb: float) -> gr.Blocks:
    """The page, to be started by :func:`.server.serve`; ``max_mb`` is for its text only."""
    names = list(outputs.models)
    with gr.Blocks(title='Panoptic FCN', analytics_enabled=False) as page:
        gr.HTML(HEADER, padding=False)
        shown = gr.State(('', names[0]))
        with gr.Row(elem_id='columns'):
            with gr.Column(elem_id='input'):
                image = _upload(max_mb)
                model = gr.Dropdown(names, value=names[0], label='Model', elem_id='model')
            with gr.Column(elem_id='live'):
                way = dict(interactive=False, buttons=['download', 'fullscreen'])
                overlay = gr.Image(label='Segments', format='jpeg', elem_id='overlay', **way)
                with gr.Column(elem_id='thresholds'):
                    sliders = _sliders(defaults(outputs.models[names[0]].settings))
                    reset = gr.Button("Back to the model's thresholds", size='sm', elem_id='reset')
            with gr.Column(elem_id='details'):
                segments = gr.HTML(elem_id='segments', padding=False)
                centers = gr.HTML(elem_id='centers', padding=False)
                regions = gr.HTML(elem_id='regions', padding=False)
        inputs, results = [image, model, shown], [overlay, segments, centers, regions, shown]
        way = dict(
            outputs=[*results, *sliders],
            trigger_mode='always_last',
            show_progress='minimal',
            show_progress_on=[overlay],
            concurrency_limit=PARALLEL,
            concurrency_id='show',
            api_visibility='private',
            preprocess=False,  # gradio would decode the image
        )

        show = partial(_show, outputs)
        moved = [image.change, model.input, *(slider.input for slider in sliders)]
        gr.on(moved, show, [*inputs, *sliders], **way)
        reset.click(show, inputs, **way)
    return page.queue(max_size=QUEUE, api_open=False)


def _show(
    outputs: Outputs,
    file: Mapping | None,  # gradio's ``FileData``
    name: str,  # of the model
    shown: Shown,  # source of what is shown now; its regions, without threshold, stay
    *values: float,  # of the sliders, which are those of the model shown; none for its own
) -> Iterator[list]:
    """What the page shows for an image: overlay, table, centres, regions, their source, sliders."""
    if name not in outputs.models:
        raise gr.Error(f'There is no model {name!r}', print_exception=False)
    inferencer, (old_path, old_name) = outputs.models[name], shown
    if not values or name != old_name:
        values = sliders = defaults(inferencer.settings)
    else:
        sliders = [gr.skip()] * len(THRESHOLDS)
    nothing = [None, '', '', '', ('', name), *sliders]
    if file is None:
        yield nothing
        return
    path = file['path']
    try:
        thresholds = by_key(values)
        output = outputs.get(_read(path), Path(path).name, name)
        result = inferencer.finish(output, **thresholds)
    except (OSError, ValueError) as error:
        yield nothing  # rather than what belongs to another image
        raise gr.Error(str(error), duration=None, print_exception=False) from error
    settings, meta = replace(inferencer.settings, **thresholds), inferencer.dataset_meta
    sizes = [maps.centers.shape[-2:] for maps in output.levels]
    levels = [f'{level_name(i)}, {w} × {h}' for i, (h, w) in enumerate(sizes)]
    peaks = [plural(len(found), 'peak') for found in level_peaks(output.levels, settings)]
    captions = [': '.join(both) for both in zip(levels, peaks, strict=True)]
    centers = figures('Object centres', draw_centers(output, settings, meta), captions)
    regions = gr.skip()
    if (path, name) != (old_path, old_name):
        regions = figures('Stuff regions', draw_regions(output, meta), levels)
    yield [draw_overlay(result), table(result), centers, regions, (path, name), *sliders]


def _read(path: str) -> bytes:
    if not Path(path).resolve().is_relative_to(Path(get_upload_folder()).resolve()):
        raise ValueError(f'{path} was not dropped on the page')
    try:
        os.utime(path)  # used, so not deleted yet
        return Path(path).read_bytes()
    except FileNotFoundError as error:
        raise FileNotFoundError('The image is no longer on the server: drop it again') from error


def defaults(settings: InferenceSettings) -> list[float]:
    """The values of a model's config, in the order of :data:`THRESHOLDS`."""
    return [getattr(settings, threshold.key) for threshold in THRESHOLDS]


def by_key(values: Sequence[float]) -> dict[str, float]:
    """For ``finish``; a value out of its range (only a forged request has one) is clipped."""
    result = {}
    for threshold, value in zip(THRESHOLDS, values, strict=True):
        if not isinstance(value, int | float) or value != value:
            raise ValueError(f'{threshold.label} is {value!r}, expected a number')
        result[threshold.key] = min(max(value, threshold.low), threshold.high)
    return result


def _upload(max_mb: float) -> gr.Image:
    hint = f'Drop an image here\nor click to choose one, up to {max_mb:g} MiB'
    way = dict(sources=['upload', 'clipboard'], buttons=[], placeholder=hint)
    image = gr.Image(label='Image', height=230, elem_id='image', **way)
    take_file = image.async_move_resource_to_block_cache

    async def refuse_addresses(path: str) -> str | None:
        """gradio would fetch what a forged request names."""
        if '://' in path:
            raise gr.Error('Addresses are not fetched: drop a file', print_exception=False)
        return await take_file(path)

    image.async_move_resource_to_block_cache = refuse_addresses
    return image


def _sliders(values: Sequence[float]) -> list[gr.Slider]:
    return [
        gr.Slider(low, high, value, step=step, label=label, info=info, buttons=[], elem_id=key)
        for (key, label, info, low, high, step), value in zip(THRESHOLDS, values, strict=True)
    ]
