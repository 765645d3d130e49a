import io

import numpy as np
import pytest
from PIL import Image

from counterweight.images.image_check import peculiarity
from tests.pictures import tiff_with_four_bands


def test_a_fourth_band_that_is_not_marked_as_transparency_is_said() -> None:
    said = "have a fourth band that is not marked as transparency; it is dropped"
    assert [peculiarity(tiff_with_four_bands(tag)[0]) for tag in (None, 0, 2)] == [said, said, None]


@pytest.mark.parametrize(("largest", "is_dark"), [(4080, True), (8191, True), (8192, False), (65535, False)])
@pytest.mark.parametrize("format", ["PNG", "TIFF"])
def test_dark_images_of_16_bits_are_said(format: str, largest: int, is_dark: bool) -> None:
    buffer = io.BytesIO()
    Image.fromarray(np.array([[0, largest]], dtype=np.uint16)).save(buffer, format)
    said = "have 16 bits, but no value above 8,191 of 65,535, and come out dark; multiply their values"
    assert peculiarity(buffer.getvalue()) == (said if is_dark else None)
