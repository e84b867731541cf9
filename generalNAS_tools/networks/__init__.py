"""The networks: the frame that all share, the supernet and the final network on top of it.

`cnn` holds the convolutional cells, `rhn` the recurrent one. May import `search_space`.
"""
