"""A resumed run computes what it would have computed without the interruption."""

from mmdet.registry import HOOKS
from mmengine.dist import get_rank, get_world_size
from mmengine.hooks import Hook
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
        loop = runner.train_loop
        # upstream's loop has no such switch: it loads what was used and throws it away
        can_skip = hasattr(loop, 'fast_forward_on_resume')
        if (
            runner.iter
            and can_skip
            and isinstance(batch_sampler, ReplayableAspectRatioBatchSampler)
        ):
            batch_sampler.skip_batches(runner.iter)
            loop.fast_forward_on_resume = True  # done, mmengine needs not skip

    def before_train_iter(self, runner: Runner, batch_idx: int, data_batch: object = None) -> None:
        seed_all(mixed_seed(self._seed(runner), runner.iter, get_rank()))

    def before_save_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        checkpoint['meta']['world_size'] = get_world_size()

    def after_load_checkpoint(self, runner: Runner, checkpoint: dict) -> None:
        before, now = checkpoint.get('meta', {}).get('world_size'), get_world_size()
        if runner._resume and before not in (None, now):
            runner.logger.warning(
                f'The checkpoint is of a run with {before} processes, this one has {now}. It goes '
                'on, but not exactly as before: a step has another number of images (keep the '
                'product of processes and train_dataloader.batch_size, or scale the learning '
                'rate), and the order of the data changes.'
            )

    def _seed(self, runner: Runner) -> int:
        """That of all processes."""
        different = runner._randomness_cfg.get('diff_rank_seed', False)
        return runner.seed - get_rank() if different else runner.seed
