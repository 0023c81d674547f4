"""The page: drop an image, pick a model, move thresholds."""

import os
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import gradio as gr
from gradio.data_classes import ImageData

from mmpfcn.visualization.heat_maps import draw_centers, draw_regions

from .outputs import Outputs
from .pictures import draw_overlay, table, with_titles
from .thresholds import GROUPS, THRESHOLDS, by_key, defaults

PARALLEL = 4  # results drawn at a time, while one network runs
QUEUE = 100  # requests that may wait
KEEP_SECONDS = 1800  # files of the page are deleted so long after their last use
NO_TABLE = '<p class="hint">The segments of the image will be listed here.</p>'
Shown = tuple[str, str]
"""Path of the image and name of the model."""


class Upload(gr.Image):
    """An image as the file that was dropped: neither decoded nor fetched by gradio."""

    is_template = True  # for the browser it is a gr.Image

    def preprocess(self, payload: ImageData | None) -> str | None:
        return payload.path if payload else None

    async def async_move_resource_to_block_cache(self, url_or_file_path):
        if url_or_file_path is not None and '://' in str(url_or_file_path):
            raise gr.Error('Addresses are not fetched: drop a file', print_exception=False)
        return await super().async_move_resource_to_block_cache(url_or_file_path)


def build_page(outputs: Outputs, max_mb: float) -> gr.Blocks:
    """The page; to be started by :func:`web_demo_app.server.serve`.

    Args:
        outputs: with the models that can be picked.
        max_mb: largest file, for the text only.
    """
    names = list(outputs.models)
    with gr.Blocks(
        title='Panoptic FCN', analytics_enabled=False, delete_cache=(60, KEEP_SECONDS)
    ) as page:
        gr.Markdown('# Panoptic FCN', elem_id='title')
        shown = gr.State(('', names[0]))
        with gr.Row(elem_id='columns'):
            with gr.Column(scale=1, min_width=300, elem_id='controls'):
                image = Upload(
                    label='Image',
                    height=240,
                    sources=['upload', 'clipboard'],
                    buttons=[],
                    placeholder=f'Drop an image here\nor click to choose one, up to {max_mb:g} MB',
                    elem_id='image',
                )
                model = gr.Dropdown(names, value=names[0], label='Model', elem_id='model')
                sliders = _sliders(defaults(outputs.models[names[0]].settings))
                reset = gr.Button("Back to the model's thresholds", size='sm', elem_id='reset')
            with gr.Column(scale=3, min_width=320, elem_id='results'):
                overlay = gr.Image(
                    label='Segments',
                    format='jpeg',
                    interactive=False,
                    buttons=['download', 'fullscreen'],
                    elem_id='overlay',
                )
                segments = gr.HTML(NO_TABLE, elem_id='segments', padding=False)
        centers = _gallery('Object centres, from fine to coarse levels', 'centers')
        regions = _gallery('Stuff regions, from fine to coarse levels', 'regions')

        inputs, results = [image, model, shown], [overlay, segments, centers, regions, shown]
        way = dict(
            outputs=[*results, *sliders],
            trigger_mode='always_last',
            show_progress='minimal',
            show_progress_on=[overlay],
            concurrency_limit=PARALLEL,
            concurrency_id='show',
            api_visibility='private',
        )
        gr.on(
            [image.change, model.input, *(slider.input for slider in sliders)],
            lambda path, name, shown, *values: _show(outputs, path, name, shown, values),
            [*inputs, *sliders],
            **way,
        )
        reset.click(partial(_show, outputs, values=None), inputs, **way)
    return page.queue(max_size=QUEUE, api_open=False)


def _show(
    outputs: Outputs,
    path: str | None,
    name: str,
    shown: Shown,
    values: Sequence[float] | None,
) -> list:
    """What the page shows for an image: overlay, table, centres, regions, their source, sliders.

    Args:
        outputs: the models and what they said.
        path: of the file; None without one.
        name: of the model.
        shown: source of what is shown now. Its regions, which have no threshold, stay as they are.
        values: of the sliders, which are those of the model shown; None for the model's own.
    """
    if name not in outputs.models:
        raise gr.Error(f'There is no model {name!r}', print_exception=False)
    inferencer, (old_path, old_name) = outputs.models[name], shown
    if values is None or name != old_name:
        values = sliders = defaults(inferencer.settings)
    else:
        sliders = [gr.skip()] * len(THRESHOLDS)
    if path is None:
        return [None, NO_TABLE, None, None, ('', name), *sliders]
    try:
        thresholds = by_key(values)
        output = outputs.get(_read(path), Path(path).name, name)
    except (OSError, ValueError) as error:
        raise gr.Error(str(error), duration=None, print_exception=False) from error
    result = inferencer.finish(output, **thresholds)
    settings = replace(inferencer.settings, **thresholds)
    regions = gr.skip()
    if (path, name) != (old_path, old_name):
        regions = with_titles(draw_regions(output, inferencer.dataset_meta))
    return [
        draw_overlay(result),
        table(result),
        with_titles(draw_centers(output, settings, inferencer.dataset_meta)),
        regions,
        (path, name),
        *sliders,
    ]


def _read(path: str) -> bytes:
    try:
        os.utime(path)  # used, so not deleted yet
        return Path(path).read_bytes()
    except FileNotFoundError as error:
        raise FileNotFoundError('The image is no longer on the server: drop it again') from error


def _sliders(values: Sequence[float]) -> list[gr.Slider]:
    sliders, value_of = [], dict(zip(THRESHOLDS, values, strict=True))
    for title, thresholds in GROUPS.items():
        with gr.Accordion(title, open=True):
            for item in thresholds:
                slider = gr.Slider(
                    item.low,
                    item.high,
                    value_of[item],
                    step=item.step,
                    label=item.label,
                    info=item.info,
                    buttons=[],
                    elem_id=item.key,
                )
                sliders.append(slider)
    return sliders


def _gallery(label: str, name: str) -> gr.Gallery:
    return gr.Gallery(
        label=label,
        elem_id=name,
        format='jpeg',
        columns=5,
        object_fit='contain',
        height='auto',
        interactive=False,
        buttons=['download', 'fullscreen'],
    )
