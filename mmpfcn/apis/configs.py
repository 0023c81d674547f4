"""Config files, by path or by the name of one that comes with the package."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from itertools import zip_longest
from pathlib import Path
from unittest.mock import patch

from mmengine.config import Config
from mmengine.fileio import load

from ..datasets.inner_datasets import inner_datasets
from ..datasets.load_image import configured_rule

PREFIX = 'mmpfcn::'


def configs_folder() -> Path:
    """The folder ``configs`` of the installed package, or else of the clone."""
    package = Path(__file__).resolve().parents[1]
    installed = package / '.mim' / 'configs'
    return installed if installed.is_dir() else package.parent / 'configs'


def find_config(name: str) -> Path:
    """The file of a config, by its path or its name in the package.

    That is ``r50_coco``, ``panoptic_fcn/r50_coco.py`` or either of them behind ``mmpfcn::``. Raises
    FileNotFoundError where it is neither, with the nearest names.
    """
    if not name.startswith(PREFIX) and Path(name).is_file():
        return Path(name)
    folder = configs_folder()
    file = f'{name.removeprefix(PREFIX).removesuffix(".py")}.py'
    for path in (folder / file, folder / 'panoptic_fcn' / file):
        if path.is_file() and path.resolve().is_relative_to(folder.resolve()):
            return path
    known = [path.stem for path in sorted(folder.glob('panoptic_fcn/*.py'))]
    near = get_close_matches(Path(file).stem, known, 3)
    hint = f'did you mean {" or ".join(near)}?' if near else f'there are {", ".join(known)}'
    raise FileNotFoundError(
        f'config is not a file: {name} (looked for in {Path.cwd()}), nor is it the name of a '
        f'config of mmpfcn: {hint}'
    )


def read_config(name: str) -> Config:
    """Read a config of :func:`find_config`; ``_base_`` may name one by ``mmpfcn::`` as well."""
    others = Config._get_cfg_path

    def get_cfg_path(cfg_path: str, filename: str) -> tuple[str, str | None]:
        if cfg_path.startswith(PREFIX):  # of which mmengine, whose list is fixed, does not know
            return str(find_config(cfg_path)), None
        return others(cfg_path, filename)

    with patch.object(Config, '_get_cfg_path', staticmethod(get_cfg_path)):
        return Config.fromfile(find_config(name))


def model_index() -> dict[str, dict]:
    """The entries of the model index, by name, with ``Config`` as :func:`read_config` takes it."""
    models = load(configs_folder() / 'panoptic_fcn' / 'metafile.yml')['Models']
    return {x['Name']: {**x, 'Config': f'{PREFIX}{Path(x["Config"]).stem}'} for x in models}


def inference_pipeline(config: Config) -> list[dict]:
    """The transforms of the config's test data, by which any other image is made ready too.

    Raises ValueError where there are none, or where data sets that are joined do other things with
    an image; how they load their ground truth does not matter.
    """
    datasets = list(inner_datasets((config.get('test_dataloader') or {}).get('dataset') or {}))
    if not all(dataset.get('pipeline') for dataset in datasets):
        raise ValueError(
            'the config has no test_dataloader.dataset with a pipeline, which says how an image is '
            'made ready for the model: take the config of the training'
        )
    first, *others = (_on_images(dataset['pipeline']) for dataset in datasets)
    for dataset, steps in zip(datasets[1:], others, strict=True):
        if steps != first:
            one, other = next(x for x in zip_longest(first, steps) if x[0] != x[1])
            raise ValueError(
                'test_dataloader joins data sets with different pipelines, so that it is not clear '
                f'how another image is made ready for the model: {datasets[0].get("ann_file")} '
                f'has {one}, {dataset.get("ann_file")} has {other}: give all the same pipeline'
            )
    return datasets[0]['pipeline']


def without_readers(pipeline: Sequence[Mapping]) -> list[Mapping]:
    """The transforms that read no file."""
    return [step for step in pipeline if not step['type'].startswith('Load')]


def _on_images(pipeline: Sequence[Mapping]) -> list:
    """What a pipeline does with an image, wherever its ground truth comes from."""
    return [configured_rule(pipeline), *map(dict, without_readers(pipeline))]
