_base_ = './r50_cityscapes.py'

loss = dict(type='FocalLoss', alpha=0.25, gamma=2.0, loss_weight=4.0)
model = dict(panoptic_head=dict(loss_intra_batch=loss))
train_dataloader = dict(sampler=dict(_delete_=True, type='PairedSampler'))
# instead of the random size and the random crop
_base_.train_dataloader.dataset.pipeline[2:4] = [dict(type='PairedCrop', crop_size=(1024, 512))]
