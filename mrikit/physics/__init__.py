"""MR physics as tensor code: transforms, coils, operators, calibration. Any device, any batch."""
