"""Commands and Python of README.md and docs/, and which of them test_docs.py does not run."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from helpers.oracle import ROOT

PAGES = [ROOT / 'README.md', *sorted((ROOT / 'docs').glob('*.md'))]
OTHER_LANGUAGES = {'', 'text', 'json', 'nginx', 'bibtex', '{toctree}', '{eval-rst}'}


ELSEWHERE = {
    r'pip install -e \.':
        'test_packaging.py::test_editable_install_uses_the_sources_and_adds_nothing_to_them',
    r'dist_(train|test)\.sh': 'test_tools/test_scripts.py::test_dist',
    r'slurm_(train|test)\.sh': 'test_tools/test_scripts.py::test_slurm',
    r'train\.py configs/panoptic_fcn/\w+_shapes\.py$':
        'test_end_to_end.py::test_train_leaves_checkpoint_config_and_log',
    r'train\.py configs/panoptic_fcn/r18_shapes\.py --resume':
        'test_end_to_end.py::test_resume_goes_on_after_the_checkpoint',
    r'tests/fuzz\.py': 'test_fuzz/test_any_file.py::test_dataset_json',
    r'kill_and_resume\.py': 'test_resume.py::test_killed_runs_end_with_the_same_weights',
    r'long_run\.py': 'test_long_run.py::test_both_slopes_are_printed',
    r'compare_precision\.py': 'test_tools/test_compare_precision.py::test_a_row_for_each_variant',
    r'true_positions\.py': 'test_tools/test_true_positions.py::test_two_rows',
    r'compare_recipes\.py': 'test_tools/test_compare_recipes.py::test_models_of_mmdet_in_equal_seconds',
    r'break_measuring\.py': 'test_break_training.py::test_png_resized_with_interpolation',
    r'break_training\.py': 'test_break_training.py::test_only_crowds_and_the_docs',
    r'train\.py configs/panoptic_fcn/mine\.py': 'test_docs_datasets.py::test_the_config_trains_and_tests',
    r'dataset_converters/(cityscapes|mapillary)_panoptic':
        'test_street_scenes.py::test_from_the_raw_folders_to_figures',
    r'dataset_converters/\w+_panoptic\.py data/mine':
        'test_docs_datasets.py::test_each_command_of_a_converter',
    r'mmpfcn convert (objects|polygons|coco) data/mine':
        'test_docs_datasets.py::test_each_command_of_a_converter',
    r'browse_dataset\.py configs/panoptic_fcn/mine':
        'test_commands/test_browse.py::test_the_page_needs_nothing_but_its_pictures',
    r'check_dataset\.py data/mine': 'test_commands/test_check.py::test_a_right_data_set_is_counted',
    r'convert detectron2': 'test_commands/test_detectron2_to_mmpfcn.py::test_from_the_shell',
    r'tools/web_demo\.py': 'test_commands/test_web.py::test_a_moved_threshold_does_not_run_the_network',
    r'tools/analysis_tools/explain\.py': 'test_commands/test_explain.py::test_the_page_in_a_browser',
    r'from mmpfcn\.apis import Outcome':
        'test_apis/test_explain.py::test_outcomes_are_what_the_thresholds_say',
    r'predict huge\.tif': 'test_commands/test_predict_tiles.py::test_map_segments_and_polygons_once',
    r"large\('huge\.tif'": 'test_apis/test_large_images.py::test_segments_are_those_of_the_map',
    r'torchrun .*tools/demo\.py': 'test_commands/test_predict.py::test_two_processes_share_the_images',
    r'tools/deployment/': 'test_commands/test_onnx_infer.py::test_tool_without_torch',
    r'mmpfcn quantize': 'test_commands/test_quantize.py::test_it_is_near_the_model_and_as_small_as_int8',
    r'mmpfcn predict --model \S+\.onnx': 'test_commands/test_onnx_infer.py::test_instances_of_a_video',
    r'import OnnxInferencer': 'test_deployment/test_onnx_inferencer.py::test_same_results_at_any_size',
    r'stage1_solution': 'test_docs_datasets.py::test_the_lines_for_runs_of_pixels',
    r'\[::11\]': 'test_docs_datasets.py::test_the_lines_for_a_validation_set',
    r'colors = \{': 'test_docs_datasets.py::test_the_lines_for_masks_in_colours',
}  # fmt: skip
"""Patterns of commands, or of Python, that another test runs."""

# Patterns of what no test runs, and why.
NOT_RUN = {
    r'make (venv|test|demo)|source \S+/activate': 'builds the environment, or runs for minutes',
    r'^pip install ("torch|"setup|"?\.|opencv)|^MMCV_WITH_OPS|^mim install|^pip uninstall': (
        'compiles mmcv, or downloads torch'
    ),
    r'published/|hf://|^hf ': 'downloads a model',
    r'docker ': 'needs Docker; tests/test_dockerfile.py compares the steps',
    r'--amp': 'needs a GPU, or COCO',
    r'configs/panoptic_fcn/(r50|r18_coco)\w*\.py': 'needs COCO, Cityscapes or weights: a download',
    r'analysis_tools/(plot_)?benchmark\w*\.py|^\$B |^[BCDP]=': 'minutes of measuring',
    r'configs/panoptic_fcn/mine\.py|^mmpfcn \w+ (tuned_)?mine\.py': 'the config of the reader',
    r'^(mkdir|for d in) .*(data/dsb2018|stage1)': 'needs the data',
    r'measure_tiles\.py': 'minutes of measuring',
    r"dsb2018|facades|^pip install (timm|'mmpfcn)": 'needs the data, or downloads weights',
}


class Block(NamedTuple):
    """A fenced block of a page."""

    page: str
    language: str
    text: str


def blocks() -> Iterator[Block]:
    for page in PAGES:
        fenced = re.findall(r'^( *)```(\S*)\n(.*?)^\1```$', page.read_text(), re.M | re.S)
        for indent, language, text in fenced:
            yield Block(page.name, language, re.sub(f'^{indent}', '', text, flags=re.M))


def commands(page: str) -> list[str]:
    """Command lines without comments, continued lines joined."""
    text = ''.join(b.text for b in blocks() if (b.page, b.language) == (page, 'sh'))
    lines = [re.sub(r' +#.*|^#.*', '', line) for line in text.replace('\\\n', ' ').splitlines()]
    return [' '.join(line.split()) for line in lines if line.strip()]


def reason(text: str) -> str | None:
    """Where else it runs, or why it does not; None: here. The first pattern counts."""
    listed = {**ELSEWHERE, **NOT_RUN}.items()
    return next((why for pattern, why in listed if re.search(pattern, text)), None)


def look_up(cfg: object, key: str) -> object:
    """The value of a dotted key; numbers are indices of lists."""
    for part in key.split('.'):
        cfg = cfg[int(part)] if part.isdigit() else cfg[part]
    return cfg
