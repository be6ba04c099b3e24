"""torchvision's larger image networks, fitted to small and to grey images."""

from __future__ import annotations

from torch import nn

from mycroft_fl.errors import SettingError
from mycroft_fl.models.classifier import Classifier, InputShape

SMALL = 64  # pixels; below, a stem that divides the side by four leaves too little
VIT_WIDTH, VIT_DEPTH, VIT_HEADS = 192, 6, 3


def resnet(name: str, shape: InputShape, num_classes: int) -> Classifier:
    """Build torchvision's ResNet; on images below 64 pixels with a 3 x 3 stem and no pooling.

    The small stem is that of He et al. 2016, section 4.2. Grey images get a stem of one channel.
    """
    import torchvision

    channels, height, width = _image_shape(name, shape)
    network = getattr(torchvision.models, name)()
    if min(height, width) < SMALL:
        network.conv1 = nn.Conv2d(channels, 64, 3, padding=1, bias=False)
        network.maxpool = nn.Identity()
    elif channels != 3:
        network.conv1 = nn.Conv2d(channels, 64, 7, stride=2, padding=3, bias=False)
    width = network.fc.in_features
    network.fc = nn.Identity()
    return Classifier(network, width, num_classes)


def vit(shape: InputShape, num_classes: int) -> Classifier:
    """Build torchvision's vision transformer, of ViT-Tiny's width and half its depth, on square images.

    The patch is the largest divisor of the side that leaves at least 7 x 7 patches.
    """
    from torchvision.models import VisionTransformer

    channels, height, width = _image_shape("vit", shape)
    if height != width or height < 7:
        raise SettingError(
            f"model 'vit' needs square images of at least 7 pixels, these are {width} x {height}; "
            "give the data set a size, or use 'cnn'"
        )
    patch = max(each for each in range(1, height // 7 + 1) if height % each == 0)
    network = VisionTransformer(
        image_size=height, patch_size=patch, num_layers=VIT_DEPTH, num_heads=VIT_HEADS,
        hidden_dim=VIT_WIDTH, mlp_dim=4 * VIT_WIDTH,
    )  # fmt: skip
    if channels != 3:
        network.conv_proj = nn.Conv2d(channels, VIT_WIDTH, patch, stride=patch)
    network.heads = nn.Identity()
    return Classifier(network, VIT_WIDTH, num_classes)


def _image_shape(name: str, shape: InputShape) -> tuple[int, int, int]:
    if len(shape) != 3:
        raise SettingError(
            f"model '{name}' needs images; these examples have shape {shape}; use 'mlp'"
        )
    channels, height, width = shape
    return channels, height, width
