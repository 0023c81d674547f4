"""Operations counted by the tool against those counted by hand."""

import sys

import pytest
from helpers.tiny import CONFIGS
from helpers.tiny import config as tiny_config
from mmdet.registry import MODELS

SHAPE = (60, 90)  # padded to 64 x 96
CELLS = [8 * 12, 4 * 6, 2 * 3, 1 * 2, 1 * 1]
"""Of P3..P7."""
WIDTH, E, T, REGIONS = 16, 8, 6, 5


@pytest.fixture
def tool(analysis_tools):
    import get_flops

    yield get_flops
    sys.modules.pop('get_flops')


def conv(cells: int, c_in: int, c_out: int, taps: int = 9) -> int:
    """A multiply-add is two operations."""
    return 2 * cells * taps * c_in * c_out


def count(tool, num_kernels: int = 10, plain: bool = False) -> dict:
    config = tiny_config()
    if plain:
        config.panoptic_head.kernel_generator.position_conv_cfg = None
    return tool.count_parts(MODELS.build(config), SHAPE, num_kernels)


def test_parts_are_counted_right(tool):
    parts = count(tool)
    cells = sum(CELLS)
    offsets = 3 * conv(cells, WIDTH, 27)
    outputs = conv(cells, WIDTH, T + REGIONS)
    assert parts['position head'].flops == 3 * conv(cells, WIDTH, WIDTH) + offsets + outputs
    kernels = conv(cells, WIDTH + 2, WIDTH) + 3 * conv(cells, WIDTH, WIDTH)
    assert parts['kernel head'].flops == kernels
    p2, p3, p4, p5 = 16 * 24, 8 * 12, 4 * 6, 2 * 3
    branches = [[p2], [p3], [p4, p3], [p5, p4, p3]]
    expected = sum(conv(cells, WIDTH, WIDTH) for branch in branches for cells in branch)
    expected += conv(p2, WIDTH + 2, E) + 2 * conv(p2, E, E)
    assert count(tool)['feature encoder'].flops == expected
    expected = sum(p.numel() for p in MODELS.build(tiny_config()).parameters())
    assert sum(part.params for part in count(tool).values()) == expected


@pytest.mark.parametrize('num_kernels', [1, 10])
def test_kernels_are_embedded_and_convolved(tool, num_kernels):
    parts = count(tool, num_kernels)
    assert parts['embeddings'].flops == 2 * num_kernels * WIDTH * E
    assert parts['masks'] == (0, 2 * num_kernels * E * 16 * 24)


def test_updates_of_kernels_are_counted(tool):
    """A mask and a mean over stride 8 of every kernel, and the layers of a round."""
    config = tiny_config()
    config.panoptic_head.kernel_update = dict(type='KernelUpdate', num_rounds=3, channels=4)
    part = tool.count_parts(MODELS.build(config), SHAPE, 10)['kernel update']
    weights = 2 * E * 8 + 3 * 4 * 4 + 2 * 4 * 16 + 4 * (E + 10)  # 10 classes
    assert part.flops == 3 * 2 * 10 * (weights + 2 * E * 8 * 12)
    biases_and_norms = 2 * 8 + 3 * 4 + 16 + 4 + E + 10 + 2 * 4 * 6
    assert part.params == 3 * (weights + biases_and_norms)


def test_the_class_path_is_counted(tool):
    config = tiny_config()
    config.panoptic_head.class_path = dict(type='ClassPath', in_channels=(64, 128))
    part = tool.count_parts(MODELS.build(config), SHAPE, 10)['class path']
    assert part.flops == conv(CELLS[1], 64 + 128, T + REGIONS, taps=1)
    assert part.params == (64 + 128 + 1) * (T + REGIONS)


def test_models_with_places_are_counted(tool):
    config = tiny_config()
    for name in ('kernel_generator', 'feature_encoder'):
        config.panoptic_head[name].type = 'Relative' + config.panoptic_head[name].type
    parts = tool.count_parts(MODELS.build(config), SHAPE, 10)
    assert parts['masks'].flops == 2 * 10 * (E + 4) * 16 * 24


def test_plain_convolutions_save_the_offsets_only(tool):
    deformable, plain = count(tool), count(tool, plain=True)
    saved = deformable['position head'].flops - plain['position head'].flops
    assert saved == 3 * conv(sum(CELLS), WIDTH, 27)
    del deformable['position head'], plain['position head']
    assert deformable == plain


def test_table_and_wrong_arguments(tool, capsys, tmp_path, refused):
    tool.main([str(CONFIGS / 'r50_coco.py'), '--shape', '800', '1333', '--kernels', '50'])
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == 'r50_coco, input 800 x 1333, 50 kernels'
    cells = {line.split('|')[1].strip(): line.split('|')[2:-1] for line in lines[4:]}
    assert list(cells) == [*tool.PARTS, 'masks', 'sum']
    # 23.5 million parameters of R50 without its classifier, 82.6 GMACs at 800 x 1344
    assert [x.strip() for x in cells['backbone'][:3]] == ['23.51', '165.25', '82.63']
    config = str(CONFIGS / 'r18_shapes.py')
    for argv, message in (
        ([config, '--shape', '0', '4'], '--shape and --kernels are numbers from 1 on'),
        ([str(tmp_path / 'missing.py')], 'config is not a file'),
    ):
        assert message in refused(tool.main, *argv)
