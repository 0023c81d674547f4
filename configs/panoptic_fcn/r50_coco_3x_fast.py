_base_ = './r50_coco_3x.py'

model = dict(test_cfg=dict(center_thr=0.2, region_thr=0.1))
