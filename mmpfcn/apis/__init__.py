"""Using a trained model: from images to panoptic results."""

from ..formats.inputs import Failure, Input, list_inputs
from ..formats.read_image import read_image
from ..structures import NetworkOutput
from .checkpoint import read_checkpoint, write_checkpoint
from .explain import explain
from .explanation import Candidate, Explanation, Kernel, Outcome
from .panoptic_inferencer import PanopticInferencer
from .panoptic_result import PanopticResult
