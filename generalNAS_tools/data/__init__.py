"""The data: MATLAB files, the packed cache made from them, and batches out of it.

May import `files`.
"""
