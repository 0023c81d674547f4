"""The detector."""

from mmdet.models.detectors import MaskFormer
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from mmengine.config import ConfigDict


@MODELS.register_module()
class PanopticFCN(MaskFormer):
    """Panoptic FCN (CVPR 2021, arXiv 2012.00720) on mmdet's generic panoptic detector.

    Backbone, neck (P2..P7), ``panoptic_head`` and ``panoptic_fusion_head``; the head and the fusion
    head share ``test_cfg``.

    Args:
        backbone: config of the backbone.
        neck: config of the neck.
        panoptic_head: config of :class:`PanopticFCNHead`.
        panoptic_fusion_head: config of :class:`PanopticFCNFusionHead`; it takes the class counts of
            ``panoptic_head``.
        train_cfg: training settings of the head.
        test_cfg: thresholds of both heads.
        data_preprocessor: config of mmdet's ``DetDataPreprocessor``.
        init_cfg: weights to load.

    Raises:
        ValueError: when the config has counts for both heads and they disagree.
    """

    def __init__(
        self,
        backbone: dict,
        neck: dict,
        panoptic_head: dict,
        panoptic_fusion_head: dict,
        train_cfg: dict | None = None,
        test_cfg: dict | None = None,
        data_preprocessor: dict | None = None,
        init_cfg: dict | None = None,
    ) -> None:
        fusion_head = ConfigDict(panoptic_fusion_head)
        for name in ('num_things_classes', 'num_stuff_classes'):
            fusion_head.setdefault(name, panoptic_head[name])
        super().__init__(
            backbone=backbone,
            neck=neck,
            panoptic_head=ConfigDict(panoptic_head),  # mmdet's shell copies a ConfigDict's way
            panoptic_fusion_head=fusion_head,
            train_cfg=train_cfg,
            test_cfg=test_cfg,
            data_preprocessor=data_preprocessor,
            init_cfg=init_cfg,
        )
        for name in ('num_things_classes', 'num_stuff_classes'):
            head, fusion = getattr(self, name), getattr(self.panoptic_fusion_head, name)
            if head != fusion:
                raise ValueError(
                    f'panoptic_head.{name}={head} but panoptic_fusion_head.{name}={fusion}: set '
                    'both to the count of the data set'
                )

    def add_pred_to_datasample(
        self, data_samples: SampleList, results_list: list[dict]
    ) -> SampleList:
        """Add ``pred_panoptic_seg``, ``pred_instances`` and ``pred_sem_seg`` where predicted."""
        for data_sample, results in zip(data_samples, results_list, strict=True):
            if 'sem_results' in results:
                data_sample.pred_sem_seg = results.pop('sem_results')
        return super().add_pred_to_datasample(data_samples, results_list)
