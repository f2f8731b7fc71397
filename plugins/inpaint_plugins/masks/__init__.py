"""The built-in mask generators: one module a family, one class a name.

They draw with OpenCV without anti-aliasing, between whole pixels inside the picture (how lines
that leave it are clipped differs between OpenCV 4 and 5), and round every sine and cosine to a
coarse grid first (`brush.unit`), so that processors whose mathematics differ in the last digit
still draw the same bits. What is left to rely on is numpy's random stream, which numpy keeps
stable except for announced changes; manifests note the versions and a hash of each mask.

Published families keep their parameters, with the defects mended that were copied along with
them: width and height swapped (lopsided on pictures that are not square), flips computed and
thrown away (lopsided on all).
"""
