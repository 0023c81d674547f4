"""What is computed fast and knows nothing of the paper."""

from .deform_conv import ModulatedDeformConv
