"""What lies on disk: panoptic JSON and PNG, results, images, maps of ids, inputs. No torch."""

from .inputs import Failure, Input, list_inputs
from .panoptic_json import PanopticJson, arrange_classes, read_panoptic_json
from .panoptic_png import read_panoptic_png, write_panoptic_png
from .read_image import image_size, read_image
