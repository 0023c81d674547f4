"""A model that does not fit the data set is stopped before anything is computed."""

import json
from types import SimpleNamespace

import pytest
from helpers import tiny
from mmdet.registry import DATASETS, METRICS
from mmengine.dataset import BaseDataset, ConcatDataset
from mmengine.evaluator import Evaluator

from mmpfcn import ClassCountHook

META = dict(thing_classes=('a',) * 6, stuff_classes=('b',) * 4)


def runner(things: int, stuff: int, **metainfo):
    metainfo = metainfo or dict(thing_classes=('a',) * things, stuff_classes=('b',) * stuff)
    dataset = BaseDataset(metainfo=metainfo, lazy_init=True)
    return runner_with(dataset)


def runner_with(dataset: BaseDataset, *metrics):
    loader, evaluator = SimpleNamespace(dataset=dataset), Evaluator(list(metrics))
    return SimpleNamespace(
        model=tiny.build(), _resume=False, val_loop=object(), train_dataloader=loader,
        val_dataloader=loader, test_dataloader=loader, val_evaluator=evaluator, test_evaluator=evaluator,
    )  # fmt: skip


@pytest.mark.parametrize('when', ['before_train', 'before_val', 'before_test'])
def test_counts_are_compared(when):
    check = getattr(ClassCountHook(), when)
    check(runner(6, 4))
    with pytest.raises(ValueError, match='num_things_classes=6, but the data set has 8 thing_cl'):
        check(runner(8, 4))
    with pytest.raises(ValueError, match='panoptic_fusion_head.num_stuff_classes=11'):
        check(runner(6, 11))


def test_data_sets_without_the_two_lists_are_left_alone():
    ClassCountHook().before_train(runner(0, 0, classes=('a', 'b')))


def write_json(path, names: str, **content) -> str:
    """Six things, capital letters, and four stuff classes, in the given order."""
    categories = [dict(id=i, name=n, isthing=int(n.isupper())) for i, n in enumerate(names, 1)]
    image = dict(id=1, file_name='a.jpg', height=4, width=4)
    path.write_text(json.dumps(dict(images=[image], categories=categories, **content)))
    return str(path)


def dataset_of(kind: str, ann_file: str) -> BaseDataset:
    meta = dict(classes=[*'ABCDEFwxyz'], thing_classes=[*'ABCDEF'], stuff_classes=[*'wxyz'])
    annotations = dict(type=kind, ann_file=ann_file, metainfo=meta, data_prefix=dict(img='', seg=''))
    return DATASETS.build(dict(annotations, test_mode=True))


def test_stuff_first_is_refused_for_the_stock_data_set_only(tmp_path):
    def annotations(thing: int) -> dict:
        segment = dict(id=7, category_id=thing, area=4, bbox=[0, 0, 2, 2], iscrowd=0)
        return dict(annotations=[dict(image_id=1, file_name='a.png', segments_info=[segment])])

    things_first = write_json(tmp_path / 'a.json', 'ABCDEFwxyz', **annotations(6))
    stuff_first = write_json(tmp_path / 'b.json', 'wxyzABCDEF', **annotations(10))
    check = ClassCountHook().before_train
    ours = 'PanopticDataset'
    for kind, path in (('CocoPanopticDataset', things_first), (ours, things_first), (ours, stuff_first)):
        check(runner_with(dataset_of(kind, path)))
    with pytest.raises(ValueError, match='b.json, so that .* label 9, .*PanopticDataset'):
        check(runner_with(dataset_of('CocoPanopticDataset', stuff_first)))


def test_another_order_in_the_json_of_ap_is_refused(tmp_path):
    dataset = dataset_of('PanopticDataset', write_json(tmp_path / 'p.json', 'wxyzABCDEF'))
    same = write_json(tmp_path / 'same.json', 'ABCDEF', annotations=[])
    other = write_json(tmp_path / 'other.json', 'BACDEF', annotations=[])
    fewer = write_json(tmp_path / 'fewer.json', 'ABCDE', annotations=[])
    ap = [METRICS.build(dict(type='CocoMetric', ann_file=path)) for path in (same, other, fewer)]
    for when in ('before_val', 'before_test'):
        check = getattr(ClassCountHook(), when)
        check(runner_with(dataset, ap[0]))
        for metric in ap[1:]:
            with pytest.raises(ValueError, match='JSON of CocoMetric has the thing classes'):
                check(runner_with(dataset, metric))


def test_ids_of_joined_data_sets_in_a_metric_that_knows_images_by_them(tmp_path):
    path, kind = write_json(tmp_path / 'p.json', 'wxyzABCDEF'), 'PanopticDataset'
    ap = METRICS.build(
        dict(type='CocoMetric', ann_file=write_json(tmp_path / 'a.json', 'ABCDEF', annotations=[]))
    )
    twice = ConcatDataset([dataset_of(kind, path), dataset_of(kind, path)])
    check = ClassCountHook().before_test
    check(runner_with(twice))
    with pytest.raises(ValueError, match='CocoMetric knows .* a.jpg and a.jpg have the same id 1'):
        check(runner_with(twice, ap))
    check(runner_with(ConcatDataset([dataset_of(kind, path)]), ap))
    content = json.loads((tmp_path / 'p.json').read_text())
    content['images'][0]['id'] = 2
    (tmp_path / 'q.json').write_text(json.dumps(content))
    other = dataset_of(kind, str(tmp_path / 'q.json'))
    with pytest.raises(ValueError, match='its JSON lacks the id 2 of a.jpg'):
        check(runner_with(ConcatDataset([dataset_of(kind, path), other]), ap))


def test_rules_of_joined_data_sets_are_compared():
    steps = [dict(type='LoadImage', ranges=[(0, top)]) for top in (255, 4095, 65535)]
    few, more, other = (BaseDataset(pipeline=[step], metainfo=META, lazy_init=True) for step in steps)
    run = runner_with(ConcatDataset([few, more], lazy_init=True))
    run.val_dataloader = SimpleNamespace(dataset=more)
    ClassCountHook().before_train(run)
    run.val_dataloader = SimpleNamespace(dataset=ConcatDataset([few, other], lazy_init=True))
    with pytest.raises(ValueError, match=r'read differently, .* in training and .*65535.* in val'):
        ClassCountHook().before_train(run)


ORDERS = dict(train='ABCDEFwxyz', same='ABCDEFwxyz', swapped='ABDCEFwxyz', renamed='ABCDEFwxyv')


def named(order: str):
    names = ORDERS[order]
    metainfo = dict(classes=[*names], thing_classes=[*names[:6]], stuff_classes=[*names[6:]])
    return BaseDataset(metainfo=metainfo, lazy_init=True)


def checkpoint_of(order: str, key: str = 'classes') -> dict:
    return dict(meta=dict(dataset_meta={key: tuple(ORDERS[order])}))


def test_names_of_training_and_checkpoint_are_compared_in_order():
    run = runner_with(named('train'))
    for order, wrong in (('same', []), ('swapped', ['2', '3']), ('renamed', ['9'])):
        run.val_dataloader = SimpleNamespace(dataset=named(order))
        ClassCountHook(allow_other_names=True).before_train(run)
        if not wrong:
            ClassCountHook().before_train(run)
            continue
        with pytest.raises(ValueError, match='training data and of validation data') as error:
            ClassCountHook().before_train(run)
        table = [line.split() for line in str(error.value).splitlines() if line.startswith('| ')]
        assert [row[1] for row in table[1:]] == wrong
        assert 'allow_other_names=True' in str(error.value)
    run.val_loop = None  # a training without validation
    ClassCountHook().before_train(run)
    hook, run = ClassCountHook(), runner_with(named('swapped'))
    hook.after_load_checkpoint(run, checkpoint_of('train'))
    hook.before_train(run)
    hook.before_val(run)  # within this training
    hook.after_load_checkpoint(run, checkpoint_of('train'))
    run._resume = True
    with pytest.raises(ValueError, match='checkpoint and of training data'):
        hook.before_train(run)


@pytest.mark.parametrize('when', ['before_val', 'before_test'])
@pytest.mark.parametrize('key', ['classes', 'CLASSES'])
def test_names_of_the_checkpoint_are_compared(when, key):
    for order in ('same', 'swapped', 'renamed'):
        hook, run = ClassCountHook(), runner_with(named(order))
        getattr(hook, when)(run)  # no checkpoint
        hook.after_load_checkpoint(run, checkpoint_of('train', key))
        if order == 'same':
            getattr(hook, when)(run)
            continue
        with pytest.raises(ValueError, match='of checkpoint and of (test|validation) data'):
            getattr(hook, when)(run)
    hook.after_load_checkpoint(run, dict(meta={}))  # one that does not name its classes
    getattr(hook, when)(run)
