"""The images of a data set, decoded and brought to a size."""
