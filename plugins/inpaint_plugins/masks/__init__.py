"""The built-in mask generators: a module for each family, a class for each name.

The same seed draws the same bits on every machine. To that end, lines are drawn by OpenCV without
anti-aliasing, between whole pixels inside the image (OpenCV 4 and 5 clip lines that leave it
differently), and every sine and cosine is rounded to a coarse grid (`brush.rounded_cos_sin`), as
processors differ in the last digit. Numpy's random streams are stable except for announced
changes; manifests record the versions and a hash of each mask.

Published families keep their parameters. Two defects of the published code are fixed: width and
height swapped (uneven on images that are not square), and flips computed but not used (uneven on
all images).
"""
