from collections.abc import Sequence
from pathlib import Path

import mmcv
import numpy as np
from mmdet.evaluation import INSTANCE_OFFSET
from mmdet.registry import VISUALIZERS
from mmdet.structures import DetDataSample
from mmdet.visualization import DetLocalVisualizer
from mmengine.dist import master_only
from mmengine.structures import PixelData

from ..formats.safe_names import name_below
from .colors import class_palette
from .drawing import Segment, draw_panoptic, enlarge, join_panels
from .ground_truth import GroundTruth, from_map, from_png, thing_labels

MIN_PANEL_HEIGHT = 480  # px: smaller images are enlarged, or no text would fit


@VISUALIZERS.register_module()
class PanopticVisualizer(DetLocalVisualizer):
    """Panoptic results as one picture: input | ground truth | prediction.

    Segments carry their class name and, where the model gives one, their score. The colour of a
    class is that of ``dataset_meta['palette']``; the things of one class are shades of it. Data
    samples without a panoptic prediction or ground truth are drawn as mmdet draws them.

    The prediction is ``pred_panoptic_seg``: ``sem_seg`` (1, H, W) of
    ``label + instance * INSTANCE_OFFSET``, void being the number of classes, and optionally
    ``segments_info``, a list of ``dict(id, label, score, ...)``. The ground truth is
    ``gt_panoptic_seg`` as :class:`PackPanopticInputs` gives it or, where there is none, the COCO
    panoptic PNG at ``seg_map_path`` with ``segments_info`` as mmdet's ``CocoPanopticDataset`` gives
    it; with neither there is no panel for it.

    Args:
        name, args, kwargs: Of mmdet's ``DetLocalVisualizer``.
        alpha: Opacity of the colours, in [0, 1].
    """

    def __init__(self, name: str = 'visualizer', *args, alpha: float = 0.6, **kwargs) -> None:
        super().__init__(name, *args, alpha=alpha, **kwargs)

    @master_only
    def add_datasample(
        self,
        name: str,
        image: np.ndarray,
        data_sample: DetDataSample | None = None,
        draw_gt: bool = True,
        draw_pred: bool = True,
        show: bool = False,
        wait_time: float = 0,
        out_file: str | None = None,
        pred_score_thr: float = 0.3,
        step: int = 0,
    ) -> None:
        """Draw a data sample, then show it, write it to ``out_file`` or give it to the backends.

        The arguments are mmdet's; image, (H, W, 3) RGB, ground truth and prediction have the
        original size. ``pred_score_thr`` is not used for panoptic maps: the model has chosen their
        segments, and a map that lacks some would no longer be the one that is evaluated.

        Raises:
            ValueError: ``dataset_meta`` does not fit the map, or the map not the image.
            FileNotFoundError: There is no file at ``seg_map_path``.
        """
        sample = DetDataSample() if data_sample is None else data_sample
        has_gt = 'gt_panoptic_seg' in sample or sample.get('seg_map_path') is not None
        has_gt, has_pred = draw_gt and has_gt, draw_pred and 'pred_panoptic_seg' in sample
        if not has_gt and not has_pred:
            super().add_datasample(
                name, image, data_sample, draw_gt, draw_pred, show, wait_time, out_file,
                pred_score_thr, step,
            )  # fmt: skip
            return
        image = image.clip(0, 255).astype(np.uint8)
        panels = [('input', enlarge(image, MIN_PANEL_HEIGHT))]
        if has_gt:
            panels.append(self._panel('ground truth', image, *self._ground_truth(sample)))
        if has_pred:
            prediction = self._prediction(sample.pred_panoptic_seg)
            panels.append(self._panel('prediction', image, *prediction))
        picture = join_panels(panels)
        self.set_image(picture)  # for get_image(), as mmdet does
        if show:
            self.show(picture, win_name=name, wait_time=wait_time)
        if out_file is not None:
            mmcv.imwrite(picture[..., ::-1], _own_file(out_file, sample))
        else:
            self.add_image(name, picture, step)

    def _panel(
        self, title: str, image: np.ndarray, ids: np.ndarray, segments: Sequence[Segment]
    ) -> tuple[str, np.ndarray]:
        """A title and the image, enlarged where it is small, with the segments on it."""
        if ids.shape != image.shape[:2]:
            raise ValueError(
                f'The {title} is {ids.shape} (H, W) but the image is '
                f'{image.shape[:2]}: both must have the original size'
            )
        image, ids = (enlarge(x, MIN_PANEL_HEIGHT) for x in (image, ids))
        classes, palette = self._classes(), class_palette(self.dataset_meta)
        drawn = draw_panoptic(image, ids, segments, classes, palette, self.alpha)
        return (title if segments else f'{title} (no segments)'), drawn

    def _classes(self) -> Sequence[str]:
        classes = self.dataset_meta.get('classes')
        if classes is None:
            raise ValueError(
                "dataset_meta has no 'classes': a panoptic map cannot be drawn "
                'without them. Set visualizer.dataset_meta = dataset.metainfo'
            )
        return classes

    def _ground_truth(self, data_sample: DetDataSample) -> GroundTruth:
        if 'gt_panoptic_seg' in data_sample:
            return from_map(data_sample.gt_panoptic_seg)
        self._classes()
        path, infos = data_sample.seg_map_path, data_sample.get('segments_info', ())
        try:
            return from_png(path, infos, thing_labels(self.dataset_meta))
        except FileNotFoundError as error:
            raise FileNotFoundError(
                f"No ground truth to draw at {path}: mend data_prefix['seg'] of the data set, or "
                "leave 'seg_map_path' out of the meta_keys of the pipeline's last transform"
            ) from error

    def _prediction(self, panoptic_seg: PixelData) -> tuple[np.ndarray, list[Segment]]:
        """(H, W) ids and the segments of a predicted map."""
        ids, infos = panoptic_seg.cpu().numpy().sem_seg[0], panoptic_seg.get('segments_info')
        by_id = {int(info['id']): info for info in infos or ()}
        num_classes = len(self._classes())
        # mmdet's CocoPanopticMetric, which runs before the pictures are drawn, overwrites void by
        # 0 in the map itself (on the CPU). No thing has that id, for instances count from 1.
        zero_is_void = infos is not None or 0 in thing_labels(self.dataset_meta)
        segments = []
        for value in np.unique(ids).tolist():
            label = value % INSTANCE_OFFSET
            if label > num_classes:
                raise ValueError(
                    f'The panoptic map has the label {label} (id {value}), but dataset_meta has '
                    f'{num_classes} classes, so that the labels are 0 to {num_classes - 1} and '
                    f'{num_classes} for void: the model was made for another data set'
                )
            if value in by_id:
                segments.append(Segment(value, by_id[value]['label'], by_id[value].get('score')))
            elif label < num_classes and not (value == 0 and zero_is_void):
                segments.append(Segment(value, label))
        return ids, segments


def _own_file(out_file: str, data_sample: DetDataSample) -> str:
    """In a folder if the image has one: mmdet's hook calls pictures like images, without it."""
    path, named = Path(out_file), data_sample.get('seg_file_name')
    if named is None or path.name != Path(data_sample.get('img_path', '')).name:
        return out_file
    return str(path.parent / Path(name_below(named)).parent / path.name)
