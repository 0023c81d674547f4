"""The tables of docs/migration.md: every key and every weight is a real one."""

import inspect
import re

import pytest
import torch
from helpers import tiny
from helpers.docs_pages import look_up
from helpers.oracle import ROOT
from mmdet.registry import MODELS
from mmengine.config import Config

from mmpfcn import KernelGenerator, PanopticFCNHead
from mmpfcn.apis.configs import model_index
from mmpfcn.commands import detectron2_to_mmpfcn as converter


def rows(heading: str) -> list[list[str]]:
    """Cells of the first table after a heading of migration.md, without its head."""
    part = (ROOT / 'docs' / 'migration.md').read_text().split(f'{heading}\n')[1]
    table = re.search(r'(?:^\|.*\n)+', part, re.M)[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip('|').split(' | ')] for row in table]


def names_in(cell: str) -> list[str]:
    return re.findall(r'`([a-z_]+(?:\.\w+)*)`', cell)


NOT_IN_THE_CONFIG = {
    'optim_wrapper.accumulative_counts', 'randomness.seed',
    'model.panoptic_head.kernel_generator.position_conv_cfg', 'model.panoptic_head.separate_thing_regions',
}  # fmt: skip
"""Arguments that have a default; those of ours are looked up in the classes."""


@pytest.mark.parametrize('heading', ['### Keys', "## From mmdet's MaskFormer"])
def test_our_keys_of_the_migration_are_real(heading):
    cfg = Config.fromfile(tiny.CONFIGS / 'r50_coco.py')
    keys = [key for row in rows(heading) for key in names_in(row[1])]
    assert len(keys) > 8
    for key in keys:
        if key not in NOT_IN_THE_CONFIG:
            look_up(cfg, key)
    assert 'position_conv_cfg' in inspect.signature(KernelGenerator).parameters
    assert 'separate_thing_regions' in inspect.signature(PanopticFCNHead).parameters


def test_keys_of_maskformer_and_renamed_weights_are_real(tmp_path):
    base = 'mmdet::maskformer/maskformer_r50_ms-16xb1-75e_coco.py'
    (tmp_path / 'maskformer.py').write_text(f"_base_ = '{base}'")
    cfg = Config.fromfile(tmp_path / 'maskformer.py')
    for row in rows("## From mmdet's MaskFormer"):
        for key in names_in(row[0]):
            if row[0].startswith('no '):
                assert key.split('.')[-1] not in cfg.model
            else:
                look_up(cfg, key)
    # As the converter renames them, and in our model.
    with torch.device('meta'):
        model = MODELS.build(Config.fromfile(tiny.CONFIGS / 'r50_coco.py').model)
    table = rows('### Weights')
    assert len(table) > 8
    for published, ours, *_ in table:
        before, after = names_in(published)[0], names_in(ours)[0]
        assert converter.rename(f'{before}.weight') == f'{after}.weight'
        assert f'{after}.weight' in model.state_dict()


def test_released_weights_are_those_of_the_model_index():
    table = {name.strip('`'): (row, note) for row, name, note in rows('### Released weights')}
    index = {name: entry for name, entry in model_index().items() if 'Weights' in entry}
    assert table.keys() == index.keys()
    for name, (row, note) in table.items():
        assert index[name]['Metadata']['Published as'] == row
        assert ('--star' in note) == ('*' in row) == ('star' in name)
