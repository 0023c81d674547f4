"""Checkpoints that are whole or not there, whatever happens while one is written."""

import os
import re
import zipfile
from collections.abc import Iterable
from pathlib import Path

from mmdet.registry import HOOKS
from mmengine.dist import is_main_process
from mmengine.hooks import CheckpointHook
from mmengine.runner import Runner

from ..formats.atomic_files import write_atomic


@HOOKS.register_module()
class WholeCheckpointHook(CheckpointHook):
    """mmengine's CheckpointHook that never leaves a run without a whole checkpoint.

    A checkpoint is written under a temporary name and renamed, ``last_checkpoint`` likewise, and
    only then are older ones removed, the best one so far (``save_best``) too. On a full disk, or
    without its work dir, the run ends with one error; the checkpoint before it stays and is the
    last one. Checkpoints of mmengine's strategies and on remote storage are written as mmengine
    does.
    """

    _default_greater_keys = (*CheckpointHook._default_greater_keys, 'PQ', 'SQ', 'RQ')

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: object = None) -> None:
        if is_main_process() and not Path(runner.work_dir).is_dir():
            raise FileNotFoundError(
                f'the work dir {runner.work_dir} is gone after iteration {runner.iter}: nothing '
                'can be saved any more. Bring it back, or start anew from another checkpoint'
            )

    def _save_checkpoint_with_step(self, runner: Runner, step: int, meta: dict) -> None:
        if type(runner) is not Runner or '://' in str(self.out_dir):
            super()._save_checkpoint_with_step(runner, step, meta)
            return
        outdated = []
        if self.max_keep_ckpts > 0 and [*self.keep_ckpt_ids][-1:] != [step]:
            kept = [*self.keep_ckpt_ids, step]
            outdated = kept[: -self.max_keep_ckpts]
            self.keep_ckpt_ids.append(step)  # a deque of max_keep_ckpts
            runner.message_hub.update_info('keep_ckpt_ids', list(self.keep_ckpt_ids))
        path = Path(self.out_dir) / self.filename_tmpl.format(step)
        self.last_ckpt = str(path)
        runner.message_hub.update_info('last_ckpt', self.last_ckpt)
        if not is_main_process():
            return
        self._write(runner, path, meta)
        for old in outdated:
            (path.parent / self.filename_tmpl.format(old)).unlink(missing_ok=True)

    def _save_best_checkpoint(self, runner: Runner, metrics: dict) -> None:
        """Mmengine's, told of no older best one: it would remove that before it writes."""
        if not self.save_best:
            return
        missing = set(self.key_indicators) - {'auto'} - set(metrics)
        if missing:
            raise ValueError(
                f'save_best={self.save_best!r}: the validation has no {sorted(missing)}, it has '
                f'{sorted(metrics)}: choose one of these'
            )
        paths, keys = vars(self), ['best_ckpt_path']
        if len(self.key_indicators) > 1:
            paths, keys = self.best_ckpt_path_dict, self.key_indicators
        old = {key: paths.get(key) for key in keys}
        paths.update(dict.fromkeys(keys))
        try:
            super()._save_best_checkpoint(runner, metrics)
        except OSError:
            if is_main_process():  # cut off
                _remove(path for key, path in paths.items() if key in keys and path != old[key])
            raise
        for key, path in old.items():
            if paths[key] is None:  # not better
                paths[key] = path
            elif is_main_process() and path != paths[key]:
                _remove([path])

    def _write(self, runner: Runner, path: Path, meta: dict) -> None:
        partial = path.with_name(f'.{path.name}.partial')
        try:
            runner.save_checkpoint(
                str(path.parent),
                partial.name,
                save_optimizer=self.save_optimizer,
                save_param_scheduler=self.save_param_scheduler,
                meta=meta,
                by_epoch=self.by_epoch,
                **self.args,
            )
            with partial.open('rb') as file:
                os.fsync(file.fileno())
            partial.replace(path)
            write_atomic(Path(runner.work_dir) / 'last_checkpoint', str(path).encode())
        except OSError as error:
            last = newest_whole_checkpoint(runner.work_dir)
            raise OSError(
                f'checkpoint {path} could not be written ({error}). Make room, then go on with '
                f'--resume from the last whole one, {last}'
            ) from error
        finally:
            partial.unlink(missing_ok=True)


def _remove(paths: Iterable[str | None]) -> None:
    for path in paths:
        if path is not None and Path(path).is_file():
            Path(path).unlink()


def newest_whole_checkpoint(work_dir: str | Path) -> Path | None:
    """The file ``iter_N.pth`` or ``epoch_N.pth`` written last and to its end; None for none.

    Looked for in the work dir and beside the one that its ``last_checkpoint`` names.
    """
    folders = {Path(work_dir).absolute()}
    pointer = Path(work_dir) / 'last_checkpoint'
    if pointer.is_file() and (text := pointer.read_text().strip()):
        folders.add(Path(text).parent.absolute())
    files = [
        path
        for folder in folders
        for path in folder.glob('*.pth')
        if re.fullmatch(r'(iter|epoch)_\d+\.pth', path.name) and path.is_file()
    ]
    files.sort(key=lambda path: path.stat().st_mtime_ns, reverse=True)
    return next(filter(is_whole, files), None)


def is_whole(path: Path) -> bool:
    """Whether ``torch.save`` came to the end of its file, a zip, and no byte changed since."""
    try:
        with zipfile.ZipFile(path) as archive:
            return archive.testzip() is None
    except (OSError, zipfile.BadZipFile):
        return False
