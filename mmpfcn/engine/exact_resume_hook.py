"""A resumed run computes what it would have computed without the interruption."""

from mmdet.registry import HOOKS
from mmengine.dataset import InfiniteSampler
from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import CheckpointHook, EMAHook, Hook
from mmengine.runner import Runner

from ..datasets.replayable_sampler import ReplayableAspectRatioBatchSampler, mixed_seed, seed_all


@HOOKS.register_module()
class ExactResumeHook(Hook):
    """Random numbers of a training step that depend on the seed, the step and the process alone.

    mmengine restores weights, optimizer, schedule, EMA and loss scale, and goes on with the next
    sample. It restores neither the states of the random generators nor, where the config has no
    seed, the order of the data: a resumed run shuffles anew. With this hook there is no state to
    restore. :class:`ReplayableSampler` does the same for the augmentation.
    """

    def before_train(self, runner: Runner) -> None:
        """Before the sampler draws its first index."""
        batch_sampler = runner.train_dataloader.batch_sampler
        if hasattr(sampler := getattr(batch_sampler, 'sampler', None), 'seed'):
            sampler.seed = self._seed(runner)  # the checkpoint's, in a resumed run
        self._warn_about_accumulation(runner)
        loop = runner.train_loop
        # upstream's loop has no such switch: it loads what was used and throws it away
        can_skip = hasattr(loop, 'fast_forward_on_resume')
        can_skip &= isinstance(batch_sampler, ReplayableAspectRatioBatchSampler)
        # in a finite sampler only the loop knows in which round an iteration falls
        if runner.iter and can_skip and isinstance(sampler, InfiniteSampler):
            batch_sampler.skip_batches(runner.iter)
            loop.fast_forward_on_resume = True  # done, mmengine needs not skip

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: object = None) -> None:
        seed_all(mixed_seed(self._seed(runner), runner.iter, get_rank()))

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        checkpoint['meta'].update(world_size=get_world_size(), batch_size=_batch_size(runner))

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        if not runner._resume:
            return
        averages = any(isinstance(hook, EMAHook) for hook in runner.hooks)
        if 'ema_state_dict' in checkpoint and not averages:
            runner.logger.warning(
                'The checkpoint is of a run with EMAHook, this one has none. It goes on from the '
                'averaged weights, not exactly as before. Add the hook again '
                '(configs/_base_/ema_runtime.py).'
            )
        meta = checkpoint.get('meta', {})
        before, now = meta.get('world_size'), get_world_size()
        if before not in (None, now):
            runner.logger.warning(
                f'The checkpoint is of a run with {before} processes, this one has {now}. It goes '
                'on, but not exactly as before: a step has another number of images (keep the '
                'product of processes and train_dataloader.batch_size, or scale the learning '
                'rate), and the order of the data changes.'
            )
        before, now = meta.get('batch_size'), _batch_size(runner)
        if None not in (before, now) and before != now:
            runner.logger.warning(
                f'The checkpoint is of a run with train_dataloader.batch_size={before}, this one '
                f'has {now}. It goes on, but not exactly as before: a step has another number of '
                f'images, and the data does not start where it ended. Set it to {before}, or scale '
                'the learning rate.'
            )

    def _warn_about_accumulation(self, runner: Runner) -> None:
        """Gradients that are summed over several iterations are in no checkpoint."""
        counts = getattr(runner.optim_wrapper, '_accumulative_counts', 1)
        if runner.iter % counts:
            runner.logger.warning(
                f'The checkpoint is of iteration {runner.iter}, inside an accumulation of '
                f'{counts} (optim_wrapper.accumulative_counts): the gradients since iteration '
                f'{runner.iter // counts * counts} are lost, so the run goes on, but not exactly '
                f'as before. Resume from a multiple of {counts}.'
            )
        for hook in runner.hooks:
            if isinstance(hook, CheckpointHook) and not hook.by_epoch and hook.interval % counts:
                runner.logger.warning(
                    f'default_hooks.checkpoint.interval={hook.interval} is no multiple of '
                    f'optim_wrapper.accumulative_counts={counts}: a run that is resumed inside an '
                    'accumulation does not go on exactly as before. Set the interval to a multiple.'
                )

    def _seed(self, runner: Runner) -> int:
        """That of all processes."""
        different = runner._randomness_cfg.get('diff_rank_seed', False)
        return runner.seed - get_rank() if different else runner.seed


def _batch_size(runner: Runner) -> int | None:
    """Images of a step in a process; None before the data loader is built."""
    batch_sampler = getattr(runner.train_dataloader, 'batch_sampler', None)
    return getattr(batch_sampler, 'batch_size', None)
