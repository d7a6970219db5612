"""Data sets of the course, each with nothing to download or fetched once into a cache and checked.

`birds`: generated scenes. `images`: digits, single pictures, MNIST, CIFAR-10. `text`: Python's manual, Tiny
Shakespeare, Multi30k, GPT-2's vocabulary. `sound`: SIREN's two clips. The cache is the folder that the
environment variable COURSE_DATA names, or else one in the user's own cache.
"""
