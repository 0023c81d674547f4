"""The page that explains an image opens anywhere, and says what the explanation says."""

import re

import cv2
import numpy as np
import pytest
import torch
from helpers import tiny_inferencer
from helpers.browser import Visit, chromium
from mmengine.registry import init_default_scope

from mmpfcn import PanopticInferencer
from mmpfcn.apis import Explanation, Outcome, explain
from mmpfcn.commands.explain.command import main

THRESHOLDS = dict(center_thr=0.2, region_thr=0.25, score_thr=0.1, panoptic_score_thr=0.3)
OPTIONS = [f'model.test_cfg.{key}={value}' for key, value in THRESHOLDS.items()]
NAME = 'b & <b>.png'


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """A config, a checkpoint and an image, as a user has them."""
    init_default_scope('mmdet')
    folder = tmp_path_factory.mktemp('model')
    tiny_inferencer.config(**tiny_inferencer.ANY_PREDICTION).dump(str(folder / 'tiny.py'))
    tiny_inferencer.write_checkpoint(folder)
    noise = np.random.default_rng(0).integers(0, 256, (8, 12, 3), np.uint8)
    image = cv2.resize(noise, (300, 200), interpolation=cv2.INTER_CUBIC)
    (folder / NAME).write_bytes(cv2.imencode('.png', image)[1].tobytes())
    return folder


def arguments(folder, out, *more, image=NAME, checkpoint='tiny.pth'):
    paths = [folder / image, '--config', folder / 'tiny.py', '--checkpoint', folder / checkpoint]
    return [*map(str, [*paths, '--out', out, '--device', 'cpu']), *more]


@pytest.fixture
def page(folder, tmp_path):
    main(arguments(folder, tmp_path / 'page.html', '--cfg-options', *OPTIONS))
    return tmp_path / 'page.html'


@pytest.fixture
def explanation(folder) -> Explanation:
    paths = [str(folder / name) for name in ('tiny.py', 'tiny.pth')]
    inferencer = PanopticInferencer(*paths, 'cpu', show_progress=False)
    return explain(inferencer, inferencer.run_network(str(folder / NAME)), **THRESHOLDS)


def test_the_page_in_a_browser(page, explanation):
    """At the widths of a phone and a desk, without scripts, all of it from one file."""
    kernels = {k.key for k in explanation.kernels}
    reached = [k for k in explanation.kernels if k.outcome in (Outcome.SEGMENT, Outcome.OVERLAP)]
    assert len(kernels) > 20 and len(reached) > 2
    with chromium() as browser:
        for width, scheme in ((390, 'dark'), (1280, 'light')):
            visit = Visit(browser, page, width, scheme)
            run = visit.page.evaluate
            run('document.querySelectorAll("details").forEach(d => d.open = true)')
            run('document.querySelectorAll("img").forEach(i => i.loading = "eager")')
            visit.page.wait_for_function('[...document.images].every(i => i.complete)')
            assert run('document.documentElement.scrollWidth') <= width
            assert run('[...document.images].filter(i => !i.naturalWidth).length') == 0
            assert run('document.images.length') > 10 + len(kernels)
            assert visit.messages == []
            assert [a for a in visit.addresses if not a.startswith('data:')] == [page.as_uri()]
            background = run('getComputedStyle(document.body).backgroundColor')
            assert background == ('rgb(20, 23, 27)' if scheme == 'dark' else 'rgb(255, 255, 255)')
            figures = run('[...document.querySelectorAll("figure[id]")].map(f => f.id)')
            assert set(figures) == kernels
            ids = run('[...document.querySelectorAll("[id]")].map(x => x.id)')
            targets = run('[...document.querySelectorAll("a")].map(a => a.hash.slice(1))')
            assert len(ids) == len(set(ids)) and set(targets) <= set(ids)
            kept = run('document.querySelectorAll(".badge.kept").length')
            assert kept == len(explanation.result.segments_info)
            assert run('document.title') == f'How {NAME} was segmented'
    assert '<script' not in page.read_text()


def test_the_page_says_what_the_explanation_says(page, explanation):
    """The number that each step leaves, and the order of the merge."""
    text = page.read_text()
    rows = re.findall(r'<th scope="row">([^<]*)<br><small>[^<]*</small></th><td>(\d+)</td>', text)
    left = {step: int(number) for step, number in rows}
    things = [k for k in explanation.kernels if k.isthing]
    peaks = [c for c in explanation.candidates if c.isthing]
    assert left['peaks of the centres'] == sum(c.outcome is not Outcome.CENTER_THR for c in peaks)
    assert left['kernel fusion'] == left['best instances'] == len(things)
    scored = [k for k in things if k.rescored >= THRESHOLDS['score_thr']]
    assert left['score after rescoring'] == len(scored)
    good = [k for k in scored if k.rescored >= THRESHOLDS['panoptic_score_thr']]
    assert left['score for the panoptic map'] == len(good)
    segments = explanation.result.segments_info
    assert left['overlap: thing segments'] == sum(s['isthing'] for s in segments)
    assert left['area: stuff segments'] == sum(not s['isthing'] for s in segments)

    merged = re.findall(r'<li><img src="[^"]*" alt="mask of (t\d+)"', text)
    good.sort(key=lambda kernel: -kernel.rescored)
    assert merged == [kernel.key for kernel in good]
    for kernel in explanation.kernels:
        if kernel.outcome is Outcome.OVERLAP:
            assert f'{100 * kernel.taken / kernel.area:.1f}\u00a0% taken, more than' in text


def test_nothing_found(folder, tmp_path):
    """A page all the same."""
    options = ['model.test_cfg.center_thr=1.0', 'model.test_cfg.region_thr=1.0']
    main(arguments(folder, tmp_path / 'page.html', '--cfg-options', *options))
    text = (tmp_path / 'page.html').read_text()
    assert '0 segments' in text and 'Void: 100.0\u00a0% of the image' in text


def test_bad_input(folder, tmp_path, refused):
    whole = (folder / NAME).read_bytes()
    (folder / 'cut.png').write_bytes(whole[: len(whole) // 2])
    (folder / 'no_image.png').write_text('no image')
    (folder / 'several.txt').write_text(f'{folder / NAME}\n{folder / NAME}\n')
    torch.save(dict(state_dict=dict(weight=torch.zeros(1))), folder / 'other.pth')
    typo = '--cfg-options', 'model.test_cfg.centre_thr=0.1'
    out = tmp_path / 'page.html'
    for message, argv in (
        ('is not a file', arguments(folder, out, image='x.png')),
        ('cut.png', arguments(folder, out, image='cut.png')),
        ('no_image.png', arguments(folder, out, image='no_image.png')),
        ('several images', arguments(folder, out, image='several.txt')),
        ('is not a file', arguments(folder, out, checkpoint='x.pth')),
        ('another model', arguments(folder, out, checkpoint='other.pth')),
        ("did you mean 'center_thr'", arguments(folder, out, *typo)),
        ('is a folder', arguments(folder, tmp_path)),
        ('can not be written', arguments(folder, folder / NAME / 'page.html')),
        ('another --out', arguments(folder, folder / NAME / 'page.html', checkpoint='other.pth')),
    ):
        assert message in refused(main, *argv)
    assert not list(tmp_path.iterdir())
