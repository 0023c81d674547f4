"""Pictures of the results of a test or validation."""

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from mmdet.engine.hooks import DetVisualizationHook
from mmdet.registry import HOOKS
from mmdet.structures import DetDataSample
from mmengine.runner import Runner
from torch.utils.data import DataLoader

from ..datasets.load_image import picture
from ..formats.safe_names import distinct


@HOOKS.register_module()
class PanopticVisualizationHook(DetVisualizationHook):
    """mmdet's, on images as the data set reads them: upright, of any channels and bits."""

    @cached_property
    def _names(self) -> dict[Path, str]:
        """The files of the pictures of images."""
        return {}

    def after_val_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict, outputs: Sequence[DetDataSample]
    ) -> None:
        step = runner.iter + batch_idx
        if self.draw and step % self.interval == 0:
            self._add(runner.val_dataloader, outputs[0], 'val_img', step)

    def after_test_iter(
        self, runner: Runner, batch_idx: int, data_batch: dict, outputs: Sequence[DetDataSample]
    ) -> None:
        if not self.draw:
            return
        folder = None
        if self.test_out_dir is not None:
            folder = Path(runner.work_dir, runner.timestamp, self.test_out_dir)
            folder.mkdir(parents=True, exist_ok=True)
        for sample in outputs:
            self._test_index += 1
            self._add(runner.test_dataloader, sample, 'test_img', self._test_index, folder)

    def _add(
        self,
        loader: DataLoader,
        sample: DetDataSample,
        name: str,
        step: int,
        folder: Path | None = None,
    ) -> None:
        path = Path(sample.img_path)
        if path not in self._names:  # data sets that are joined may share some
            self._names[path] = distinct(path.name, {*self._names.values()})
        out_file = folder and str(folder / self._names[path])
        self._visualizer.add_datasample(
            path.name if self.show else name,
            picture(loader.dataset, sample.img_path),
            data_sample=sample,
            show=self.show,
            wait_time=self.wait_time,
            pred_score_thr=self.score_thr,
            out_file=out_file,
            step=step,
        )
