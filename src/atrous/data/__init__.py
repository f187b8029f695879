"""What lies on disk: pictures, masks, the layouts that pair them, and an opened data set.

Pixels are decoded in `images` and nowhere else; `masks` turns mask files into class indices
and back; `layouts` knows where pairs lie; `dataset` puts the three together and checks them.
"""
