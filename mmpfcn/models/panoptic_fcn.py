"""The detector."""

from mmdet.models.detectors import MaskFormer
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from mmengine.config import ConfigDict
from torch import Tensor

from .input_channels import spread_weights
from .timm_backbone import STRIDES, TimmBackbone


@MODELS.register_module()
class PanopticFCN(MaskFormer):
    """Panoptic FCN (CVPR 2021, arXiv 2012.00720) on mmdet's generic panoptic detector.

    Backbone, neck (P2..P7), ``panoptic_head`` and ``panoptic_fusion_head``; the head and the fusion
    head share ``test_cfg``.

    Args:
        backbone: config of the backbone; where it has ``in_channels``, weights of one for three
            channels are spread over them (:func:`spread_weights`).
        neck: config of the neck.
        panoptic_head: config of :class:`PanopticFCNHead`.
        panoptic_fusion_head: config of :class:`PanopticFCNFusionHead`; it takes the class counts of
            ``panoptic_head``.
        train_cfg: training settings of the head.
        test_cfg: thresholds of both heads.
        data_preprocessor: config of a ``DetDataPreprocessor`` or ``ChannelDataPreprocessor``.
        init_cfg: weights to load.

    Raises:
        ValueError: when the config has counts for both heads and they disagree, and when the
            features of the backbone have other channels or strides than the neck is told.
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
        spread_weights(self.backbone)
        if isinstance(self.backbone, TimmBackbone):
            self._require_channels(self.backbone.out_channels)

    def extract_feat(self, batch_inputs: Tensor) -> tuple[Tensor, ...]:
        """(N, C, H, W) to P2..P7, of which P_l has stride 2^l.

        Behind them stand the last features of the backbone, if the head has a :class:`ClassPath`.
        """
        feats = self.backbone(batch_inputs)
        self._require_channels([f.shape[1] for f in feats])
        height, heights = batch_inputs.shape[2], [f.shape[2] for f in feats]
        if len(heights) != len(STRIDES) or not all(
            height // stride <= h <= -(-height // stride)
            for stride, h in zip(STRIDES, heights, strict=True)
        ):
            raise ValueError(
                f'{type(self.backbone).__name__} made features of {heights} rows of an image of '
                f'{height}, expected those at strides {STRIDES}: choose them by the settings of '
                'model.backbone'
            )
        class_path = getattr(self.panoptic_head, 'class_path', None)
        num_given = len(class_path.in_channels) if class_path else 0
        return (*self.neck(feats), *feats[len(feats) - num_given :])

    def _require_channels(self, channels: list[int]) -> None:
        expected = list(getattr(self.neck, 'in_channels', channels))
        if list(channels) != expected:
            raise ValueError(
                f'model.backbone, {type(self.backbone).__name__}, gives features of {channels} '
                f'channels and model.neck expects {expected}: set model.neck.in_channels={channels}'
            )

    def add_pred_to_datasample(
        self, data_samples: SampleList, results_list: list[dict]
    ) -> SampleList:
        """Add ``pred_panoptic_seg``, ``pred_instances`` and ``pred_sem_seg`` where predicted."""
        for data_sample, results in zip(data_samples, results_list, strict=True):
            if 'sem_results' in results:
                data_sample.pred_sem_seg = results.pop('sem_results')
        return super().add_pred_to_datasample(data_samples, results_list)
