dataset_type = 'CocoPanopticDataset'
data_root = 'data/shapes/'
metainfo = dict(
    classes=(
        'ball', 'square', 'triangle', 'star', 'ring', 'cross', 'sky', 'grass', 'water', 'brick',
    ),
    thing_classes=('ball', 'square', 'triangle', 'star', 'ring', 'cross'),
    stuff_classes=('sky', 'grass', 'water', 'brick'),
    palette=[
        (226, 74, 51), (66, 133, 244), (251, 188, 5), (171, 71, 188), (46, 174, 96),
        (0, 172, 193), (160, 205, 240), (98, 158, 66), (48, 92, 160), (158, 104, 82),
    ],
)  # fmt: skip

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadPanopticAnnotations'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='PackDetInputs'),
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='LoadPanopticAnnotations',
        with_bbox=False,
        with_label=False,
        with_mask=False,
        with_seg=True,
    ),
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape', 'seg_map_path', 'segments_info'),
    ),
]

train_dataloader = dict(
    batch_size=8,
    num_workers=1,
    persistent_workers=True,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        metainfo=metainfo,
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
        metainfo=metainfo,
        ann_file='annotations/panoptic_val.json',
        data_prefix=dict(img='val/', seg='annotations/panoptic_val/'),
        test_mode=True,
        pipeline=test_pipeline,
    ),
)
test_dataloader = val_dataloader

val_evaluator = [
    dict(
        type='CocoPanopticMetric',
        ann_file=data_root + 'annotations/panoptic_val.json',
        seg_prefix=data_root + 'annotations/panoptic_val/',
        classwise=True,
    ),
    dict(type='CocoMetric', ann_file=data_root + 'annotations/instances_val.json', metric='segm'),
    dict(type='StuffSemSegMetric'),
]
test_evaluator = val_evaluator
