"""The parts in other models: what docs/reuse.md shows, trained for a step and used to predict."""

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from helpers import tiny
from mmdet.models.losses import DiceLoss
from mmdet.registry import MODELS
from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope
from mmengine.structures import InstanceData
from torch import Tensor, nn

from mmpfcn import FeatureEncoder, KernelFusion, PanopticFCNHead, WeightedDiceLoss

HEAD_IN_MASKFORMER = """
_base_ = './r18_shapes.py'
model = dict(type='MaskFormer', test_cfg=dict(semantic_on=False))
val_evaluator = _base_.val_evaluator[:2]  # mmdet's MaskFormer has no semantic map: no mIoU
test_evaluator = val_evaluator
"""

LOSS_IN_SOLOV2 = """
_base_ = 'mmdet::solov2/solov2_r50_fpn_1x_coco.py'
# the second: checkpoints run no code
custom_imports = dict(imports=['mmpfcn', 'mmpfcn.apis.safe_loading'])
model = dict(
    mask_head=dict(loss_mask=dict(_delete_=True, type='WeightedDiceLoss', loss_weight=3.0))
)
"""

LOSS_IN_CONDINST = """
_base_ = 'mmdet::condinst/condinst_r50_fpn_ms-poly-90k_coco_instance.py'
custom_imports = dict(imports=['mmpfcn'])
model = dict(mask_head=dict(loss_mask=dict(_delete_=True, type='WeightedDiceLoss')))
"""


def read(text: str, folder: Path) -> Config:
    """A config of the documentation, as a file beside our configs."""
    path = folder / 'reuse.py'
    path.write_text(text.replace("'./", f"'{tiny.CONFIGS.as_posix()}/"))
    return Config.fromfile(path)


def train_step(model: nn.Module, part: str, *samples: dict) -> dict[str, Tensor]:
    """One step of SGD: every parameter gets a gradient, and all of the part change (of the backbone only
    some: mmdet starts its residual branches with a factor of 0)."""
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    loss, losses = model.parse_losses(tiny.losses(model, *samples))
    assert loss.isfinite(), losses
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None, f'{name} has no gradient'
        assert parameter.grad.isfinite().all(), name
    optimizer.step()
    still = [name for name, p in model.named_parameters() if torch.equal(p, before[name])]
    assert not [name for name in still if name.startswith(part)]
    return losses


@pytest.fixture
def maskformer(tmp_path) -> nn.Module:
    model = read(HEAD_IN_MASKFORMER, tmp_path).model
    narrow = tiny.config()
    model.update({part: narrow[part] for part in ('backbone', 'neck', 'panoptic_head')})
    model = MODELS.build(model)
    model.init_weights()
    return model


def test_our_head_trains_in_maskformer(maskformer):
    assert type(maskformer).__module__ == 'mmdet.models.detectors.maskformer'
    assert type(maskformer.panoptic_head) is PanopticFCNHead
    losses = train_step(maskformer, 'panoptic_head', tiny.sample(), tiny.sample((50, 70), boxes=[]))
    assert {'loss_center', 'loss_region', 'loss_thing', 'loss_stuff'} < set(losses)
    parts = ('center', 'region', 'thing', 'stuff')
    assert losses['loss'].item() == pytest.approx(sum(losses[f'loss_{part}'].item() for part in parts))


def test_our_head_predicts_in_maskformer_as_in_panoptic_fcn(maskformer):
    generator = maskformer.panoptic_head.kernel_generator
    for layer in ('center_out', 'region_out', 'kernel_out', 'thing_embed', 'stuff_embed'):
        torch.nn.init.normal_(getattr(generator, layer).weight, std=0.5)  # many predictions
    ours = tiny.build(test_cfg=dict(stuff_area_limit=1))
    ours.load_state_dict(maskformer.state_dict(), strict=True)
    maskformer.panoptic_fusion_head.test_cfg.stuff_area_limit = 1
    items = [tiny.sample(), tiny.sample((50, 70), boxes=[])]
    results = (tiny.predict(model, *items) for model in (maskformer, ours))
    for theirs, own in zip(*results, strict=True):
        assert 'pred_sem_seg' not in theirs and 'pred_sem_seg' in own
        assert len(theirs.pred_panoptic_seg.segments_info) > 1
        assert torch.equal(theirs.pred_panoptic_seg.sem_seg, own.pred_panoptic_seg.sem_seg)
        assert torch.equal(theirs.pred_instances.masks, own.pred_instances.masks)
        assert torch.equal(theirs.pred_instances.scores, own.pred_instances.scores)


class PrototypeSegmentor(nn.Module):
    """Semantic segmentation: a few kernels per class, of which an image chooses those that suit."""

    def __init__(self, backbone: dict, neck: dict, num_classes: int, num_kernels: int = 4):
        super().__init__()
        self.backbone, self.neck = MODELS.build(backbone), MODELS.build(neck)
        narrow = dict(in_channels=16, feat_channels=16, norm_cfg=dict(type='GN', num_groups=4))
        self.encoder = FeatureEncoder(out_channels=8, **narrow)
        self.kernels = nn.Parameter(0.1 * torch.randn(num_classes, num_kernels, 8))
        self.choice = nn.Linear(8, num_classes * num_kernels)
        self.fusion = KernelFusion()
        self.loss_mask = WeightedDiceLoss()

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """mask_feats (N, 8, H/4, W/4) and a score for each kernel, (N, classes, kernels)."""
        mask_feats = self.encoder(self.neck(self.backbone(images))[:4])
        scores = self.choice(mask_feats.mean((2, 3))).sigmoid()
        return mask_feats, scores.view(-1, *self.kernels.shape[:2])

    def loss(self, images: Tensor, labels: Tensor) -> Tensor:
        """labels (N, H/4, W/4): all kernels of a class present in the image learn its mask."""
        total = 0
        for feats, scores, image_labels in zip(*self(images), labels, strict=True):
            classes = image_labels.unique()
            logits = torch.einsum('pke,ehw->pkhw', self.kernels[classes], feats)
            total += self.loss_mask(logits, image_labels == classes[:, None, None], scores[classes])
            present = torch.zeros_like(scores).index_fill(0, classes, 1)
            total += F.binary_cross_entropy(scores, present)
        return total / len(images)

    @torch.no_grad()
    def predict(self, images: Tensor) -> list[tuple[InstanceData, Tensor]]:
        """Per image the fused kernels and the label map (H/4, W/4)."""
        results = []
        for feats, scores in zip(*self(images), strict=True):
            labels, which = (scores > 0.5).nonzero(as_tuple=True)
            chosen, best = self.kernels[labels, which], scores[labels, which]
            kernels = InstanceData(kernels=chosen, labels=labels, scores=best)
            best_first = kernels.scores.argsort(descending=True)
            kernels = self.fusion(kernels[best_first], similarity_thr=0.8)
            logits = torch.einsum('ke,ehw->khw', kernels.kernels, feats)
            results.append((kernels, kernels.labels[logits.argmax(0)]))
        return results


def painted_images() -> tuple[Tensor, Tensor]:
    """Two drawn images, a colour for each class, and their label maps at stride 4."""
    items = [tiny.sample(), tiny.sample(boxes=[(16, 8, 70, 48)], labels=[2])]
    labels = torch.stack([item['data_samples'].gt_sem_seg.sem_seg[0] for item in items])
    colors = torch.randn(labels.max() + 1, 3, generator=torch.Generator().manual_seed(1))
    noise = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(2))
    return colors[labels].permute(0, 3, 1, 2) + 0.1 * noise, labels[:, 2::4, 2::4]


@pytest.fixture(scope='module')
def segmentor() -> tuple[PrototypeSegmentor, list[float]]:
    """Trained for 80 steps (2 seconds), and the losses on the way."""
    init_default_scope('mmdet')
    torch.manual_seed(0)
    narrow = tiny.config()
    model = PrototypeSegmentor(narrow.backbone, narrow.neck, tiny.NUM_THINGS + tiny.NUM_STUFF)
    images, labels = painted_images()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    losses = []
    for _ in range(80):
        loss = model.train().loss(images, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return model, losses


def test_a_segmentor_of_our_parts(segmentor):
    model, losses = segmentor
    assert losses[-1] < 0.1 * losses[0]
    for name, parameter in model.named_parameters():
        # the neck's two coarsest outputs, P6 and P7, are not encoded
        if not name.startswith(('neck.fpn_convs.4', 'neck.fpn_convs.5')):
            assert parameter.grad is not None and parameter.grad.isfinite().all(), name
    images, labels = painted_images()
    for (_, prediction), truth in zip(model.predict(images), labels, strict=True):
        assert (prediction == truth).float().mean() > 0.8
    # Training made the kernels of a class alike; before it, they point anywhere.
    _, scores = model(images)
    found = zip(model.predict(images), scores > 0.5, labels, strict=True)
    for (kernels, _), chosen, truth in found:
        assert sorted(kernels.labels.tolist()) == truth.unique().tolist()
        assert chosen.sum() > 2 * len(kernels)


GN = dict(type='GN', num_groups=4)
NARROW = dict(in_channels=16, feat_channels=16)


def narrow_solov2(model: ConfigDict) -> None:
    model.test_cfg.update(filter_thr=0.0, mask_thr=0.4)  # untrained masks are all near 0.5
    grids = [12, 10, 8, 6, 4]
    model.mask_head.update(num_classes=6, stacked_convs=1, num_grids=grids, norm_cfg=GN, **NARROW)
    model.mask_head.mask_feature_head.update(feat_channels=16, out_channels=8, norm_cfg=GN)


def narrow_condinst(model: ConfigDict) -> None:
    model.bbox_head.update(num_classes=6, stacked_convs=1, norm_cfg=GN, **NARROW)
    model.mask_head.mask_feature_head.update(num_stacked_convs=1, **NARROW)


def build_instance_model(text: str, folder: Path) -> nn.Module:
    model = read(text, folder).model
    model.backbone.update(depth=18, base_channels=16, frozen_stages=-1, init_cfg=None)
    model.neck.update(in_channels=[16, 32, 64, 128], out_channels=16)
    (narrow_solov2 if model.type == 'SOLOv2' else narrow_condinst)(model)
    model.test_cfg.score_thr = 0.0
    torch.manual_seed(0)
    model = MODELS.build(model)
    model.init_weights()
    return model


def instance_sample(**options) -> dict:
    item = tiny.sample(**options)
    item['data_samples'].set_metainfo(dict(scale_factor=(1.0, 1.0)))
    return item


SAMPLES = [dict(), dict(boxes=[(8, 8, 80, 60)], labels=[4], seed=1)]
INSTANCE_MODELS = dict(SOLOv2=LOSS_IN_SOLOV2, CondInst=LOSS_IN_CONDINST)


@pytest.mark.parametrize('name', INSTANCE_MODELS)
def test_our_loss_trains_an_mmdet_head_that_gives_it_logits(name, tmp_path):
    model = build_instance_model(INSTANCE_MODELS[name], tmp_path)
    assert type(model.mask_head.loss_mask) is WeightedDiceLoss
    losses = train_step(model, 'mask_head', *(instance_sample(**options) for options in SAMPLES))
    assert 0 < losses['loss_mask'].item() < model.mask_head.loss_mask.loss_weight
    # Our loss takes logits: given probabilities, it would not equal mmdet's dice. (mmdet's
    # DecoupledSOLOHead gives its loss probabilities, so ours is not for it.)
    model = build_instance_model(INSTANCE_MODELS[name], tmp_path)
    items = [instance_sample(**options) for options in SAMPLES]
    ours = tiny.losses(model, *items)['loss_mask']
    weight = model.mask_head.loss_mask.loss_weight
    model.mask_head.loss_mask = DiceLoss(activate=True, loss_weight=weight, eps=1e-8)
    theirs = tiny.losses(model, *items)['loss_mask']
    torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('name', ['SOLOv2', pytest.param('CondInst', marks=pytest.mark.ops)])
def test_a_model_with_our_loss_predicts(name, tmp_path):
    model = build_instance_model(INSTANCE_MODELS[name], tmp_path)
    results = tiny.predict(model, *(instance_sample(**options) for options in SAMPLES))
    for result, options in zip(results, SAMPLES, strict=True):
        assert len(result.pred_instances) > 0, options
        assert result.pred_instances.masks.shape[1:] == (64, 96)
        assert result.pred_instances.labels.lt(6).all()


@pytest.mark.parametrize('snippet', [HEAD_IN_MASKFORMER, LOSS_IN_SOLOV2])
def test_the_docs_show_what_is_tested(snippet):
    assert snippet.strip() in (tiny.ROOT / 'docs' / 'reuse.md').read_text()
