"""The best checkpoint: by PQ, and never without one."""

from pathlib import Path
from types import SimpleNamespace

import pytest
from mmengine.logging import MessageHub, MMLogger

from mmpfcn.engine import WholeCheckpointHook

KEYS = ['coco_panoptic/PQ', 'coco_panoptic/SQ_th']


class Run(SimpleNamespace):
    """What the hook asks of a runner; a checkpoint is a file with the iteration in it."""

    disk_is_full = False

    def save_checkpoint(self, out_dir: str, filename: str, **kwargs) -> None:
        path = Path(out_dir, filename)
        self.seen = sorted(file.name for file in Path(out_dir).glob('best*'))
        path.write_text(str(self.iter))
        if self.disk_is_full:
            raise OSError(28, 'No space left on device')


def start(folder, name: str, **options) -> tuple[WholeCheckpointHook, Run]:
    hook = WholeCheckpointHook(by_epoch=False, interval=1, **options)
    hub = MessageHub.get_instance(f'{name}.{folder}')
    logger = MMLogger.get_instance('best')
    run = Run(work_dir=str(folder), message_hub=hub, iter=0, epoch=0, logger=logger)
    hook.before_train(run)
    return hook, run


def validate(hook, run, iteration: int, *scores: float) -> list[str]:
    run.iter = iteration
    hook.after_val_epoch(run, dict(zip(KEYS, scores, strict=False)))
    return sorted(path.name for path in Path(run.work_dir).glob('best*'))


def test_the_best_pq_stays_and_is_written_before_the_old_one_goes(tmp_path):
    hook, run = start(tmp_path, 'one', save_best=KEYS[0])
    assert validate(hook, run, 1, 10.0) == ['best_coco_panoptic_PQ_iter_1.pth']
    assert validate(hook, run, 2, 9.0) == ['best_coco_panoptic_PQ_iter_1.pth']
    assert validate(hook, run, 3, 11.0) == ['best_coco_panoptic_PQ_iter_3.pth']
    assert run.seen == ['best_coco_panoptic_PQ_iter_1.pth']  # when 3 was written
    run.disk_is_full = True
    with pytest.raises(OSError, match='No space'):
        validate(hook, run, 4, 12.0)
    assert [path.name for path in tmp_path.glob('best*')] == ['best_coco_panoptic_PQ_iter_3.pth']


def test_each_of_several_scores_has_its_best(tmp_path):
    hook, run = start(tmp_path, 'two', save_best=KEYS)
    validate(hook, run, 1, 10.0, 50.0)
    best = ['best_coco_panoptic_PQ_iter_2.pth', 'best_coco_panoptic_SQ_th_iter_1.pth']
    assert validate(hook, run, 2, 20.0, 40.0) == best
    hook, run = start(tmp_path, 'none', save_best='coco_panoptic/PQ_thing', rule='greater')
    with pytest.raises(ValueError, match=r"no \['coco_panoptic/PQ_thing'\].*'coco_panoptic/PQ'"):
        validate(hook, run, 1, 10.0)
