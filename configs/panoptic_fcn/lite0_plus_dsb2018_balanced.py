# Images on a bright ground, which are few, as often as the others; and longer.
_base_ = './lite0_plus_dsb2018.py'
train = _base_.train_dataloader.dataset
bright = dict(**train, filter_cfg=dict(min_median=128))
more = dict(type='RepeatDataset', times=3, dataset=bright)
train_dataloader = dict(dataset=dict(_delete_=True, type='ConcatDataset', datasets=[train, more]))
max_iters = 6000
train_cfg = dict(max_iters=max_iters, val_interval=3000)
_base_.param_scheduler[1].end = max_iters + 1
tuned = dict(fusion_iou_thr=0.6, similarity_thr=0.995, center_thr=0.1)  # by mmpfcn tune
tuned.update(mask_thr_binary=0.5, panoptic_score_thr=0.25, mask_overlap=0.3)
model = dict(test_cfg=tuned)
