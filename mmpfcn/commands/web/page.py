"""The page: drop an image, pick a model, move thresholds."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import gradio as gr
from gradio.utils import get_upload_folder

from mmpfcn.visualization.heat_maps import draw_centers, draw_regions, level_peaks
from mmpfcn.visualization.targets import level_name

from ..page import plural
from .outputs import Outputs
from .pictures import draw_overlay, figures, table
from .thresholds import THRESHOLDS, by_key, defaults

PARALLEL = 4  # results drawn at a time, while one network runs
QUEUE = 100  # requests that may wait
HEADER = """<h1>Panoptic FCN</h1>
<p>Drop an image, pick a model, move the thresholds. Click a heat map to enlarge it.</p>"""
Shown = tuple[str, str]
"""Path of the image and name of the model."""


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
                overlay = gr.Image(
                    label='Segments',
                    format='jpeg',
                    interactive=False,
                    buttons=['download', 'fullscreen'],
                    elem_id='overlay',
                )
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
    outputs: Outputs, file: Mapping | None, name: str, shown: Shown, *values: float
) -> Iterator[list]:
    """What the page shows for an image: overlay, table, centres, regions, their source, sliders.

    Args:
        outputs: the models and what they said.
        file: gradio's ``FileData``; None without an image.
        name: of the model.
        shown: source of what is shown now. Its regions, which have no threshold, stay as they are.
        values: of the sliders, which are those of the model shown; none for the model's own.
    """
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
