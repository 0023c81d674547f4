dataset_type = 'PanopticDataset'
data_root = 'data/shapes/'

train_pipeline = [
    dict(type='LoadImage'),
    dict(type='LoadPanopticGroundTruth'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackPanopticInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadPanopticGroundTruth', instances=False, panoptic=True),
    dict(type='PackPanopticInputs'),
]

train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='ReplayableSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/panoptic_train.json',
        data_prefix=dict(img='train/', seg='annotations/panoptic_train/'),
        pipeline=train_pipeline,
    ),
)
val_dataloader = dict(
    batch_size=8,
    num_workers=1,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file='annotations/panoptic_val.json',
        data_prefix=dict(img='val/', seg='annotations/panoptic_val/'),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader

val_evaluator = [
    dict(type='PanopticQualityMetric', classwise=True),
    dict(type='CocoMetric', ann_file=data_root + 'annotations/instances_val.json', metric='segm'),
    dict(type='RegionSemSegMetric'),
]
test_evaluator = val_evaluator
